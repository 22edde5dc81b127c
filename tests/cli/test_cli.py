"""The command line as a user meets it: what it prints, what it leaves, how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from smears import small_smear, write_field, write_ome_tiff

COMMAND = [sys.executable, "-c", "from leukoscope.cli import main; main()"]


def leukoscope(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("LEUKOSCOPE_DEBUG", None)
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment,
        timeout=240,
        check=False,
    )


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """The single line of an error, after checking that it is one, with the exit code of bad input."""
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


@pytest.fixture(scope="module")
def smear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "smear.ome.tiff"
    return write_ome_tiff(path, small_smear(seed=1, size=800, mpp=0.25).rgb, mpp=0.25, levels=2)


def test_help_names_every_command_with_its_units() -> None:
    top = leukoscope("--help")
    assert top.returncode == 0
    for command in ("analyze", "view", "demo", "export", "models", "bench"):
        assert command in top.stdout
    detail = leukoscope("analyze", "--help").stdout
    assert "µm per pixel" in detail
    assert "spike" in detail


def test_analyze_prints_the_count_and_leaves_the_case(smear: Path, tmp_path: Path) -> None:
    result = leukoscope("analyze", smear, "--out", tmp_path, "--segmenter", "watershed")
    assert result.returncode == 0, result.stderr
    assert "research use only" in result.stdout
    assert "blasts" in result.stdout
    assert str(tmp_path / "smear.leuko") in result.stdout
    cells = pd.read_csv(tmp_path / "smear.leuko" / "cells.csv")
    assert len(cells) > 0
    probabilities = cells.filter(like="p_").to_numpy(float)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-3)


def test_export_writes_what_is_asked_for(smear: Path, tmp_path: Path) -> None:
    leukoscope("analyze", smear, "--out", tmp_path, "--segmenter", "watershed", "--model", "none", "--quiet")
    case = tmp_path / "smear.leuko"
    result = leukoscope("export", case, "--no-csv", "--geojson", "--report", "--pdf")
    assert result.returncode == 0, result.stderr
    assert (case / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert (case / "cells.geojson").is_file()
    assert "esearch use only" in (case / "report.html").read_text(encoding="utf-8")


def test_one_bad_slide_does_not_stop_the_others(smear: Path, tmp_path: Path) -> None:
    result = leukoscope(
        "analyze",
        tmp_path / "missing.svs",
        smear,
        "--out",
        tmp_path,
        "--segmenter",
        "watershed",
        "--model",
        "none",
        "-q",
    )
    assert "missing.svs" in one_line(result)
    assert (tmp_path / "smear.leuko" / "cells.csv").is_file()


def _bad_slides(folder: Path) -> dict[str, Path]:
    paths = {name: folder / name for name in ("empty.svs", "text.tif", "truncated.tiff", "noise.png")}
    paths["empty.svs"].write_bytes(b"")
    paths["text.tif"].write_text("not a picture")
    whole = write_ome_tiff(folder / "whole.ome.tiff", small_smear(size=300).rgb).read_bytes()
    paths["truncated.tiff"].write_bytes(whole[: len(whole) // 3])
    paths["noise.png"].write_bytes(np.random.default_rng(0).bytes(2000))
    paths["missing.svs"] = folder / "missing.svs"
    paths["folder"] = folder / "folder"
    paths["folder"].mkdir()
    return paths


@pytest.mark.parametrize("name", ["missing.svs", "empty.svs", "text.tif", "truncated.tiff", "noise.png", "folder"])
def test_a_bad_slide_is_one_line_with_its_name(tmp_path: Path, name: str) -> None:
    path = _bad_slides(tmp_path)[name]
    result = leukoscope("analyze", path, "--out", tmp_path / "out", "--segmenter", "watershed", "--model", "none", "-q")
    assert name in one_line(result)
    assert not list((tmp_path / "out").glob("*.leuko"))


def test_one_pixel_is_refused_or_empty_but_never_a_traceback(tmp_path: Path) -> None:
    path = write_field(tmp_path / "dot.png", np.full((1, 1, 3), 200, np.uint8))
    result = leukoscope("analyze", path, "--out", tmp_path, "--segmenter", "watershed", "--model", "none", "-q")
    assert "dot.png" in one_line(result)
    result = leukoscope(
        "analyze", path, "--out", tmp_path, "--segmenter", "watershed", "--model", "none", "-q", "--mpp", "0.25"
    )
    assert result.returncode == 0, result.stderr
    assert pd.read_csv(tmp_path / "dot.leuko" / "cells.csv").empty


def test_a_bundle_of_the_wrong_shape_is_named(smear: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model.json").write_text("{}")
    result = leukoscope("analyze", smear, "--out", tmp_path, "--segmenter", "watershed", "--model", bundle, "-q")
    assert "bundle" in one_line(result)
    assert not list(tmp_path.glob("*.leuko"))


def test_a_folder_that_cannot_be_written_is_named(smear: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = leukoscope(
        "analyze", smear, "--out", tmp_path / "file", "--segmenter", "watershed", "--model", "none", "-q"
    )
    assert "file" in one_line(result)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file system that can be made full")
def test_a_full_disk_is_one_line_and_no_half_case(smear: Path, tmp_path: Path) -> None:
    # A file size limit stands in for the full disk: writing fails in the same place, without root.
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "from leukoscope.cli import main\n"
        f"sys.argv = ['leukoscope', 'analyze', {str(smear)!r}, '--out', {str(tmp_path)!r}, '--segmenter', 'watershed',"
        " '--model', 'none', '-q']\n"
        "main()\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240, check=False)
    assert str(tmp_path) in one_line(result)
    assert not list(tmp_path.glob("*.leuko"))


def test_something_that_is_no_case_cannot_be_exported(tmp_path: Path) -> None:
    assert "case" in one_line(leukoscope("export", tmp_path))


def test_models_lists_what_ships() -> None:
    result = leukoscope("models")
    assert result.returncode == 0, result.stderr
    assert "blood" in result.stdout
    assert "blast" in result.stdout


def test_importing_the_package_is_quick_and_loads_neither_torch_nor_napari() -> None:
    script = (
        "import sys, leukoscope\n"
        "assert not {'torch', 'napari', 'dask', 'pandas', 'qtpy'} & set(sys.modules), set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.slow
def test_the_demo_leaves_case_picture_and_report(tmp_path: Path) -> None:
    result = leukoscope("demo", "--out", tmp_path, "--no-show")
    assert result.returncode == 0, result.stderr
    folder = next(tmp_path.glob("*.leuko"))
    assert (folder / "overlay.png").stat().st_size > 10_000
    assert (folder / "report.html").is_file()
    assert len(pd.read_csv(folder / "cells.csv")) > 50


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_terminal_cannot_show_is_written_in_other_letters(smear: Path, tmp_path: Path, encoding: str) -> None:
    folder = tmp_path / "Häm \u2764"
    environment = os.environ | {"PYTHONIOENCODING": encoding, "NO_COLOR": "1", "COLUMNS": "60"}
    result = subprocess.run(
        [*COMMAND, "analyze", str(smear), "--out", str(folder), "--segmenter", "watershed"],
        capture_output=True,
        env=environment,
        timeout=240,
        check=False,
    )
    said = result.stdout.decode(encoding)
    assert result.returncode == 0, result.stderr
    assert "research use only" in " ".join(said.split())
    assert ("–" if encoding == "utf-8" else "-") in said.splitlines()[1]
    assert {"ascii": "H\\xe4m \\u2764", "latin-1": "Häm \\u2764", "utf-8": "Häm \u2764"}[encoding] in said
    listed = subprocess.run([*COMMAND, "models"], capture_output=True, env=environment, timeout=240, check=False)
    assert listed.returncode == 0, listed.stderr


def test_export_counts_under_the_profile_that_is_named(smear: Path, tmp_path: Path) -> None:
    assert leukoscope("analyze", smear, "--out", tmp_path, "--segmenter", "watershed", "-q").returncode == 0
    case = next(tmp_path.glob("*.leuko"))
    assert leukoscope("export", case, "--profile", "marrow", "--report").returncode == 0
    assert set(pd.read_csv(case / "counts.csv")["profile"]) == {"marrow"}
    assert "Profile marrow, at least 500 cells" in (case / "report.html").read_text("utf-8")
    assert "there is no profile 'liver'" in one_line(leukoscope("export", case, "--profile", "liver"))
