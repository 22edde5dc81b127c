"""Half a gigapixel: opening is instant and an overview takes little memory."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READ = """
import json, sys, time
from leukoscope.slides import open_slide
import dask.array
def peak():  # MB; getrusage would count the parent's memory too, as it was before exec
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
base = peak()
start = time.perf_counter()
slide = open_slide(sys.argv[1])
opened = time.perf_counter()
shape = slide.overview().shape
seen = time.perf_counter()
part = slide.read((10000, 10000, 2048, 2048)).mean()
print(json.dumps({"open": opened - start, "overview": seen - opened, "read": time.perf_counter() - seen, "base": base,
                  "peak": peak(), "shape": shape, "size": slide.shape, "mpp": slide.mpp, "levels": len(slide.levels)}))
"""


def _build(fields, out, gigapixels):
    command = [sys.executable, ROOT / "benchmarks" / "build_pyramid.py", "--fields", fields, "--out", out]
    subprocess.run([*command, "--gigapixels", str(gigapixels), "--mpp", "0.09"], check=True, capture_output=True)
    with out.with_name("big.blasts.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_half_a_gigapixel_opens_at_once_and_in_little_memory(shared_data, tmp_path):
    blasts = _build(shared_data / "all_idb1", tmp_path / "big.ome.tif", 0.5)
    assert len(blasts) > 311  # every field's, and those of the fields that repeat
    result = subprocess.run([sys.executable, "-c", READ, tmp_path / "big.ome.tif"], capture_output=True, check=True)
    figures = json.loads(result.stdout)
    print(figures)  # noqa: T201  # pytest -s shows what the docs quote
    assert figures["size"][0] * figures["size"][1] >= 5e8
    assert figures["mpp"] == pytest.approx(0.09)
    assert figures["levels"] >= 5
    assert figures["peak"] - figures["base"] < 250  # MB; level 0 alone would be 1,500
    assert figures["open"] < 5


def test_blasts_of_a_built_slide_lie_on_their_cells(tmp_path, picture):
    from PIL import Image

    from leukoscope.slides import open_slide

    (tmp_path / "fields").mkdir()
    for name, place in (("a", (50, 60)), ("b", (200, 100))):
        pixels = picture.copy()
        pixels[place[0] - 5 : place[0] + 6, place[1] - 5 : place[1] + 6] = 0
        Image.fromarray(pixels).save(tmp_path / "fields" / f"{name}.png")
        (tmp_path / "fields" / f"{name}.csv").write_text(f"x,y,label\n{place[1]},{place[0]},blast\n9,9,other\n")
    blasts = _build(tmp_path / "fields", tmp_path / "big.ome.tif", 0.003)
    assert len(blasts) >= 20
    with open_slide(tmp_path / "big.ome.tif") as slide:
        assert slide.mpp == pytest.approx(0.09)
        assert len(slide.levels) > 1
        for blast in blasts:
            x, y = float(blast["x"]), float(blast["y"])
            assert slide.read((int(y) - 3, int(x) - 3, 7, 7)).mean() < 25
            level = slide.levels[1][int(y / 2) - 1 : int(y / 2) + 2, int(x / 2) - 1 : int(x / 2) + 2].compute()
            assert level.mean() < 60
