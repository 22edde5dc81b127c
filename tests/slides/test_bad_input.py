"""Whatever is wrong with a file, one line says what, in which file, and what to do."""

from __future__ import annotations

import struct
import sys

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from leukoscope.errors import SlideError
from leukoscope.slides import open_slide, read_picture


def _refused(path, match):
    with pytest.raises(SlideError, match=match) as caught:
        open_slide(path)
    assert caught.value.remedy
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.svs", "a.png", "a.tif", "a.mrxs", "folder", "a.zarr", "ünïcode ✓.ndpi"])
def test_missing(tmp_path, name):
    _refused(tmp_path / name, "no such file")


@pytest.mark.parametrize("name", ["a.svs", "a.png", "a.tif", "a", "a.jpg"])
def test_empty_or_text(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    _refused(tmp_path / name, "empty")
    (tmp_path / name).write_text("Dear pathologist, the slide is in the other mail.")
    _refused(tmp_path / name, "not a")


def test_folders_that_are_no_slide(tmp_path):
    _refused(tmp_path, "no JPG, PNG, BMP or TIFF")
    (tmp_path / "x.zarr").mkdir()
    _refused(tmp_path / "x.zarr", "OME-Zarr")
    zarr.open_group(str(tmp_path / "y.zarr"), mode="w")
    _refused(tmp_path / "y.zarr", "multiscales")
    (tmp_path / "mirax").mkdir()
    (tmp_path / "mirax" / "Slidedat.ini").write_text("[GENERAL]")
    _refused(tmp_path / "mirax", r"\.mrxs")


def test_a_zarr_plate_and_too_many_channels(tmp_path):
    group = zarr.open_group(str(tmp_path / "plate.zarr"), mode="w")
    group.attrs["ome"] = {"version": "0.5", "plate": {}}
    _refused(tmp_path / "plate.zarr", "wells")
    group = zarr.open_group(str(tmp_path / "five.zarr"), mode="w")
    group.create_array("0", shape=(5, 20, 20), dtype="uint8")
    axes = [{"name": a} for a in "cyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    _refused(tmp_path / "five.zarr", "5 channels")
    tifffile.imwrite(tmp_path / "five.ome.tif", np.zeros((5, 20, 20), np.uint8), metadata={"axes": "CYX"})
    _refused(tmp_path / "five.ome.tif", "5 channels")


def test_an_address_nobody_answers():
    _refused("memory://nowhere/at/all.zarr", "Zarr")
    _refused("gopher://host/slide.zarr", "Zarr")


def test_one_pixel_opens(tmp_path):
    for name in ("one.png", "one.tif"):
        Image.fromarray(np.full((1, 1, 3), 77, np.uint8)).save(tmp_path / name)
        with open_slide(tmp_path / name) as slide:
            assert slide.levels[0].shape == (1, 1, 3)
            assert (slide.overview() == 77).all()
            assert slide.mpp is None


def test_truncated(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.jpg", quality=95)
    Image.fromarray(picture).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", tile=(64, 64), compression="zlib")
    for name in ("a.jpg", "a.png", "a.tif"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        _refused(tmp_path / name, "truncated|TIFF")


@pytest.mark.parametrize("part", [0.02, 0.1, 0.99])
def test_a_picture_cut_short_anywhere(tmp_path, picture, part):
    Image.fromarray(picture).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: int(len(data) * part)])
    _refused(tmp_path / "a.png", "truncated")
    with pytest.raises(SlideError, match="truncated"):
        read_picture(tmp_path / "a.png")


def test_lab_is_not_taken_for_rgb(tmp_path, picture):
    Image.fromarray(picture).convert("LAB").save(tmp_path / "lab.tif")
    _refused(tmp_path / "lab.tif", "RGB")


def test_hostile_sizes(tmp_path):
    def tiff(width, height):
        entries = [
            (256, 4, 1, width),
            (257, 4, 1, height),
            (258, 3, 1, 8),
            (262, 3, 1, 1),
            (273, 4, 1, 8),
            (279, 4, 1, 8),
        ]
        body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries) + bytes(4)
        return b"II*\0" + struct.pack("<I", 8) + body

    (tmp_path / "huge.tif").write_bytes(tiff(2**31 - 1, 2**31 - 1))
    _refused(tmp_path / "huge.tif", "header claims|TIFF|truncated")
    (tmp_path / "flat.tif").write_bytes(tiff(0, 100))
    _refused(tmp_path / "flat.tif", "TIFF|header")


def test_a_decompression_bomb(tmp_path, monkeypatch):
    Image.fromarray(np.zeros((300, 300, 3), np.uint8)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    _refused(tmp_path / "bomb.png", "too large")


def test_openslide_missing_names_the_extra(tmp_path, monkeypatch):
    (tmp_path / "a.mrxs").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "openslide", None)
    _refused(tmp_path / "a.mrxs", r"pip install \"leukoscope\[openslide\]\"")


def test_a_damaged_mirax(tmp_path):
    pytest.importorskip("openslide")
    (tmp_path / "a.mrxs").write_bytes(b"anything")
    _refused(tmp_path / "a.mrxs", "OpenSlide")


@pytest.fixture
def small_files(tmp_path, picture):
    small = picture[:90, :110]
    for name in ("f.png", "f.jpg", "f.bmp"):
        Image.fromarray(small).save(tmp_path / name)
    tifffile.imwrite(tmp_path / "f.tif", small, photometric="rgb", compression="lzw")
    tifffile.imwrite(tmp_path / "f.ome.tif", small, photometric="rgb", tile=(32, 32), compression="jpeg")
    return sorted(tmp_path.iterdir())


@given(data=st.data())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_ends_in_one_clear_error_or_in_pixels(small_files, data):
    path = data.draw(st.sampled_from(small_files))
    content = bytearray(path.read_bytes())
    content = content[: data.draw(st.integers(1, len(content)))]
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, min(len(content), 400) - 1) | st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    broken = path.with_name(f"broken-{path.name}")
    broken.write_bytes(content)
    error = None
    try:
        with open_slide(broken) as slide:
            if slide.shape[0] * slide.shape[1] < 10**6:
                assert slide.read((0, 0, *slide.shape)).shape == (*slide.shape, 3)
    except SlideError as caught:
        error = caught
    assert error is None or (str(broken) in str(error) and error.remedy)
