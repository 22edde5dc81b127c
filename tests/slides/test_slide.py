from __future__ import annotations

import gc
import hashlib
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from leukoscope.errors import SlideError
from leukoscope.slides import RED_CELL_UM, open_slide
from leukoscope.slides._pixels import Pixels
from leukoscope.slides._pyramid import Halved, complete


class Noise(Pixels):
    """An image of a formula, as large as wanted."""

    def __init__(self, height, width, chunk=(64, 48)):
        super().__init__(height, width, chunk, "noise")

    def _region(self, y0, y1, x0, x1):
        y, x = np.mgrid[y0:y1, x0:x1]
        return np.stack([(y * 7 + x * 13) % 256, (y * x) % 251, (y + x) % 256], -1).astype(np.uint8)


@given(height=st.integers(1, 3000), width=st.integers(1, 3000), gap=st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_a_pyramid_is_always_whole(height, width, gap):
    native = [Noise(height, width)]
    if height // gap and width // gap:
        native.append(Noise(height // gap, width // gap))
    levels = complete(native)
    assert max(levels[-1].shape) <= 1024
    for finer, coarser in pairwise(levels):
        assert coarser.shape[0] <= finer.shape[0]
        assert coarser.shape[1] <= finer.shape[1]
        if min(coarser.shape[:2]) > 20:
            assert finer.shape[1] / coarser.shape[1] < 4.5


@given(
    height=st.integers(1, 300), width=st.integers(1, 300), y=st.integers(0, 150), x=st.integers(0, 150),
    h=st.integers(1, 150), w=st.integers(1, 150), chunk=st.sampled_from([(64, 48), (512, 512), (37, 41)]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_computed_level_is_the_mean_of_four_and_does_not_depend_on_the_region(height, width, y, x, h, w, chunk):
    parent = Noise(height, width, chunk)
    level = Halved(parent)
    assert level.shape == ((height + 1) // 2, (width + 1) // 2, 3)
    whole = level.region(0, height, 0, width)
    np.testing.assert_array_equal(level.region(y, y + h, x, x + w), whole[y : y + h, x : x + w])
    full = np.pad(parent.region(0, height, 0, width), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    mean = full.reshape(level.shape[0], 2, level.shape[1], 2, 3).mean((1, 3))
    assert np.abs(whole - mean).max() <= 0.5


@pytest.fixture
def slide_file(tmp_path, picture):
    big = np.tile(picture, (8, 7, 1))
    tifffile.imwrite(tmp_path / "big.tif", big, tile=(256, 256), compression="zlib", photometric="rgb")
    return tmp_path / "big.tif", big


def test_a_flat_file_gets_levels(slide_file):
    path, big = slide_file
    with open_slide(path) as slide:
        assert [level.shape for level in slide.levels] == [(2408, 2821, 3), (1204, 1411, 3), (602, 706, 3)]
        assert slide.downsamples == (1, 2, 4)
        assert all(level.dtype == np.uint8 for level in slide.levels)
        coarse = slide.levels[2].compute()
        assert coarse.shape == (602, 706, 3)
        assert np.abs(coarse.mean((0, 1)) - big.mean((0, 1))).max() < 1
        assert slide.overview(800).shape == (602, 706, 3)
        assert max(slide.overview(300).shape) <= 300


@given(region=st.tuples(st.integers(-3000, 3000), st.integers(-3000, 3000), st.integers(0, 4000), st.integers(0, 4000)))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_clips_to_the_slide(slide_file, region):
    path, big = slide_file
    y, x, h, w = region
    with open_slide(path) as slide:
        expected = big[max(y, 0) : max(y + h, 0), max(x, 0) : max(x + w, 0)]
        got = slide.read(region)
        assert got.shape[2] == 3
        if expected.size:
            np.testing.assert_array_equal(got, expected)
            np.testing.assert_array_equal(slide.read((slice(y, y + h), slice(x, x + w))), expected)
        else:
            assert got.size == 0


def test_regions_that_make_no_sense_are_refused(slide_file):
    with open_slide(slide_file[0]) as slide:
        for region in ((1, 2, 3), (0.5, 0, 10, 10), "region"):
            with pytest.raises(SlideError, match="whole pixels"):
                slide.read(region)
        with pytest.raises(SlideError, match="levels 0 to 2"):
            slide.read((0, 0, 1, 1), level=9)


def test_threads_read_the_same_pixels(slide_file):
    path, big = slide_file
    corners = [(y, x) for y in range(0, 2400, 300) for x in range(0, 2800, 350)]
    with open_slide(path) as slide, ThreadPoolExecutor(8) as pool:
        for (y, x), part in zip(corners, pool.map(lambda c: slide.read((*c, 300, 350)), corners), strict=True):
            np.testing.assert_array_equal(part, big[y : y + 300, x : x + 350])


def test_a_slide_travels_to_another_process_by_its_address(slide_file):
    path, big = slide_file
    with open_slide(path, mpp=0.3) as slide:
        data = pickle.dumps(slide)
        assert len(data) < 2000
        with pickle.loads(data) as again:
            assert (again.mpp, again.mpp_source, again.fingerprint) == (0.3, "given", slide.fingerprint)
            np.testing.assert_array_equal(again.read((5, 6, 7, 8)), big[5:12, 6:14])


def test_the_file_is_closed_with_the_slide_or_its_arrays(slide_file):
    path, big = slide_file
    level = open_slide(path).levels[0]
    gc.collect()
    np.testing.assert_array_equal(level[:10, :10].compute(), big[:10, :10])  # the array keeps its file
    del level
    gc.collect()  # a file left open would be a ResourceWarning, and so an error
    slide = open_slide(path)
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read((0, 0, 10, 10))


def test_the_users_scale_overrides_and_is_checked(slide_file):
    path, _ = slide_file
    with open_slide(path, mpp=0.25) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.25, "given")
        assert slide.with_mpp(0.5).mpp == 0.5
        assert slide.mpp == 0.25
    for wrong in (0, -1, float("nan"), 1000):
        with pytest.raises(SlideError, match="µm/px"):
            open_slide(path, mpp=wrong)


def test_the_scale_is_estimated_from_red_cells_when_asked(tmp_path, smear):
    Image.fromarray(smear(40)).save(tmp_path / "field.png")
    with open_slide(tmp_path / "field.png") as slide:
        assert slide.mpp == pytest.approx(RED_CELL_UM / 40, rel=0.08)
        assert slide.mpp_source == "red cells"


@pytest.mark.parametrize("pyramid", [True, False])
def test_a_large_slide_is_sampled_where_cells_lie(tmp_path, smear, pyramid):
    big = np.full((5000, 5000, 3), 225, np.uint8)
    big[3000:4280, 2800:4080] = np.tile(smear(30, cover=0.4), (2, 2, 1))
    with tifffile.TiffWriter(tmp_path / "big.tif") as writer:
        options = {"tile": (256, 256), "compression": "zlib", "photometric": "rgb", "metadata": None}
        writer.write(big, subifds=1 if pyramid else None, **options)
        if pyramid:
            writer.write(big[::8, ::8], subfiletype=1, **options)
    with open_slide(tmp_path / "big.tif") as slide:
        assert slide.mpp == pytest.approx(RED_CELL_UM / 30, rel=0.08)


def test_the_fingerprint_follows_the_file(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "a.png")
    (tmp_path / "other").mkdir()
    Image.fromarray(picture).save(tmp_path / "other" / "a.png")
    with open_slide(tmp_path / "a.png") as first, open_slide(tmp_path / "other" / "a.png") as same:
        assert first.fingerprint == same.fingerprint
    Image.fromarray(255 - picture).save(tmp_path / "a.png")
    with open_slide(tmp_path / "a.png") as changed:
        assert changed.fingerprint != first.fingerprint


@pytest.mark.parametrize("name", ["b.png", "ä b.tif", "other/a.png"])
def test_a_renamed_or_copied_file_is_the_same_slide(tmp_path, picture, name):
    Image.fromarray(picture).save(tmp_path / "a.png")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    shutil.copy(tmp_path / "a.png", tmp_path / name)
    with open_slide(tmp_path / "a.png") as one, open_slide(tmp_path / name) as other:
        assert other.fingerprint == one.fingerprint
        assert (other.former_fingerprint == one.former_fingerprint) == name.endswith("a.png")
        assert other.with_mpp(0.3).former_fingerprint == other.former_fingerprint


@pytest.mark.parametrize("size", [10, 65536, 65537, 300_000])
def test_the_former_fingerprint_is_that_of_version_0_1_0(tmp_path, size):
    rng = np.random.default_rng(size)
    picture = rng.integers(0, 255, (max(size // 3000, 1), 1000 if size > 3000 else 1, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.bmp")
    data = (tmp_path / "a.bmp").read_bytes()
    was = hashlib.sha256(b"a.bmp" + str(len(data)).encode() + data[:65536] + data[-65536:]).hexdigest()[:32]
    with open_slide(tmp_path / "a.bmp", mpp=0.25) as slide:
        assert slide.former_fingerprint == was


def test_pictures_that_differ_in_the_middle_alone_are_told_apart(tmp_path):
    picture = np.full((600, 600, 3), 255, np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.bmp")
    picture[250:350, 250:350] = 90
    Image.fromarray(picture).save(tmp_path / "b.bmp")
    with open_slide(tmp_path / "a.bmp", mpp=0.25) as one, open_slide(tmp_path / "b.bmp", mpp=0.25) as other:
        assert one.fingerprint != other.fingerprint


def test_one_slide_is_one_field(slide_file):
    with open_slide(slide_file[0]) as slide:
        (field,) = slide.fields
        assert (field.name, field.y, field.x, field.height, field.width) == ("big", 0, 0, 2408, 2821)


def test_a_real_slide_is_read_without_its_label(shared_data, monkeypatch):
    path = shared_data / "slides" / "CMU-1-Small-Region.svs"
    with tifffile.TiffFile(path) as tif:
        secret = [p for s in tif.series if s.name in ("Label", "Macro", "Thumbnail") for p in s.pages]
        hidden = {offset for page in secret for offset in page.dataoffsets}
        expected = tif.series[0].asarray()
    sought = []
    seek = tifffile.FileHandle.seek
    monkeypatch.setattr(tifffile.FileHandle, "seek", lambda self, o, w=0: (sought.append(o), seek(self, o, w))[1])
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.levels[0].compute(), expected)
        assert slide.overview().size
        assert (slide.mpp, slide.mpp_source) == (0.499, "metadata")
    assert sought
    assert not hidden & set(sought)


def test_a_real_slide_with_two_levels(shared_data):
    with open_slide(shared_data / "slides" / "tcga-cr-7395-01a-01-ts1.svs") as slide:
        assert [level.shape[:2] for level in slide.levels[:2]] == [(3567, 4443), (1783, 2221)]
        fine = slide.read((1000, 1000, 400, 400)).reshape(200, 2, 200, 2, 3).mean((1, 3))
        coarse = slide.read((500, 500, 200, 200), level=1)
        assert np.abs(fine - coarse).mean() < 9


def test_openslide_sees_the_same_slide(shared_data):
    pytest.importorskip("openslide")
    from leukoscope.slides._openslide import open_openslide

    path = str(shared_data / "slides" / "CMU-1-Small-Region.svs")
    source = open_openslide(path)
    with open_slide(path) as slide:
        assert source.mpp == slide.mpp
        assert source.levels[0].shape == slide.levels[0].shape
        ours, theirs = slide.read((700, 500, 300, 400)), source.levels[0].region(700, 1000, 500, 900)
        assert np.abs(ours.astype(int) - theirs.astype(int)).mean() < 1.5
    source.close()
