from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from leukoscope.errors import SlideError
from leukoscope.slides import RED_CELL_UM, open_slide


def _fields(folder, sizes, suffixes=(".png",)):
    folder.mkdir()
    for i, (height, width) in enumerate(sizes, 1):
        pixels = np.full((height, width, 3), 10 * i, np.uint8)
        path = folder / f"field {i}{suffixes[i % len(suffixes)]}"
        tifffile.imwrite(path, pixels, photometric="rgb") if path.suffix == ".tif" else Image.fromarray(pixels).save(
            path
        )


def test_a_folder_is_one_slide_of_many_fields(tmp_path):
    sizes = [(120, 160)] * 10 + [(90, 200)]
    _fields(tmp_path / "study", sizes, (".png", ".bmp", ".tif"))
    (tmp_path / "study" / "notes.txt").write_text("not a field")
    (tmp_path / "study" / ".hidden.png").write_bytes(b"")
    with open_slide(tmp_path / "study") as slide:
        assert slide.name == "study"
        assert [f.name for f in slide.fields] == [f"field {i}" for i in range(1, 12)]  # 2 before 10
        pixels = slide.levels[0].compute()
        covered = np.zeros(pixels.shape[:2], bool)
        for i, (field, size) in enumerate(zip(slide.fields, sizes, strict=True), 1):
            place = np.s_[field.y : field.y + field.height, field.x : field.x + field.width]
            assert (field.height, field.width) == size
            assert (pixels[place] == 10 * i).all()
            assert not covered[place].any()
            covered[place] = True
        assert (pixels[~covered] == 255).all()
        assert 0.4 < slide.shape[0] / slide.shape[1] < 2.5


def test_fields_of_one_magnification_give_their_median(tmp_path, smear):
    (tmp_path / "study").mkdir()
    for i, diameter in enumerate((38, 40, 43)):
        Image.fromarray(smear(diameter, size=400, seed=i)).save(tmp_path / "study" / f"{i}.png")
    with open_slide(tmp_path / "study") as slide:
        assert slide.mpp == pytest.approx(RED_CELL_UM / 40, rel=0.08)
        assert slide.mpp_source == "red cells"


def test_fields_of_two_objectives_are_refused_until_a_scale_is_given(tmp_path, smear):
    (tmp_path / "study").mkdir()
    for i, diameter in enumerate((20, 60)):
        Image.fromarray(smear(diameter, size=500)).save(tmp_path / "study" / f"{i}.png")
    with open_slide(tmp_path / "study") as slide, pytest.raises(SlideError, match="differ in magnification"):
        _ = slide.mpp
    with open_slide(tmp_path / "study", mpp=0.2) as slide:
        assert slide.mpp == 0.2


def test_a_damaged_field_is_named(tmp_path):
    _fields(tmp_path / "study", [(50, 60)] * 3)
    (tmp_path / "study" / "field 2.png").write_bytes(b"\x89PNG, or so")
    with pytest.raises(SlideError, match=r"field 2\.png"):
        open_slide(tmp_path / "study")


def test_the_fingerprint_follows_every_field(tmp_path):
    _fields(tmp_path / "study", [(50, 60)] * 3)
    with open_slide(tmp_path / "study") as slide:
        before = slide.fingerprint
    Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(tmp_path / "study" / "field 3.png")
    with open_slide(tmp_path / "study") as slide:
        assert slide.fingerprint != before
