from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import disk

from leukoscope.classification import CropSpec, standardize
from leukoscope.classification._outline import _within, black_surroundings, classical, equivalent_diameter
from leukoscope.classification.crops import resolve_scale
from leukoscope.errors import SettingsError

SPEC = CropSpec(size=64, mpp=0.25, assumed_mpp={"black": 0.05, "plain": 0.1})


def cell(size: int = 120, radius: float = 40, center: tuple[float, float] | None = None, around: int = 235):
    """A cell with a dark, off-center nucleus, on a plain background."""
    cy, cx = center or (size / 2, size / 2)
    y, x = np.mgrid[:size, :size]
    image = np.full((size, size, 3), around, np.uint8)
    body = np.hypot(y - cy, x - cx) <= radius
    image[body] = (190, 170, 210)
    image[np.hypot(y - cy - radius / 5, x - cx) <= 0.6 * radius] = (90, 40, 130)
    return image, body


def extent(crop: np.ndarray) -> tuple[float, float, float]:
    seen = crop.min(axis=2) < 255
    y, x = np.nonzero(seen)
    return float(y.mean()), float(x.mean()), equivalent_diameter(seen)


@given(y=st.floats(30, 90), x=st.floats(30, 90), radius=st.floats(8, 28), mpp=st.floats(0.05, 0.3))
@settings(deadline=None, max_examples=40)
def test_a_cell_is_centered_and_scaled_wherever_it_lies(y, x, radius, mpp):
    image, mask = cell(120, radius, (y, x))
    wanted = equivalent_diameter(mask) * mpp / SPEC.mpp
    if not 6 < wanted < 60:
        return
    crop = standardize(image, mask, mpp, SPEC)
    cy, cx, diameter = extent(crop)
    assert crop.shape == (64, 64, 3)
    assert abs(cy - 31.5) < 0.8
    assert abs(cx - 31.5) < 0.8
    assert diameter == pytest.approx(wanted, abs=1.5)


def test_one_cell_at_two_resolutions_looks_the_same():
    fine, fine_mask = cell(240, 80)
    coarse, coarse_mask = cell(120, 40)
    a = standardize(fine, fine_mask, 0.05, SPEC).astype(int)
    b = standardize(coarse, coarse_mask, 0.1, SPEC).astype(int)
    assert np.abs(a - b).mean() < 4


def test_what_surrounds_the_cell_is_not_seen():
    image, mask = cell()
    black, pink = image.copy(), image.copy()
    black[~mask], pink[~mask] = 0, (220, 130, 140)
    assert np.array_equal(standardize(black, mask, 0.1, SPEC), standardize(pink, mask, 0.1, SPEC))


def test_a_darker_exposure_and_a_tint_are_balanced_away():
    image, mask = cell()
    tinted = (image * np.array([0.55, 0.7, 0.6])).astype(np.uint8)
    difference = np.abs(standardize(image, mask, 0.1, SPEC).astype(int) - standardize(tinted, mask, 0.1, SPEC))
    assert np.abs(image.astype(int) - tinted)[mask].mean() > 40
    assert difference.mean() < 3


def test_the_nucleus_stays_darker_than_the_cytoplasm():
    image, mask = cell()
    crop = standardize(image, mask, 0.1, SPEC)
    inside = crop[crop.min(axis=2) < 255]
    assert np.percentile(inside[:, 1], 90) > 2 * np.percentile(inside[:, 1], 10)


def test_a_cell_cut_out_on_black_needs_no_mask():
    image, mask = cell(around=0)
    assert np.array_equal(standardize(image, None, 0.1, SPEC), standardize(image, mask, 0.1, SPEC))
    assert black_surroundings(cell(around=235)[0]) is None


def test_without_a_scale_the_usual_one_is_assumed_while_the_cell_is_plausible():
    image, mask = cell(around=235, radius=60, size=160)
    assert resolve_scale(image, mask, None, SPEC) == 0.1
    black, _ = cell(around=0, radius=100, size=240)
    assert resolve_scale(black, cell(radius=100, size=240)[1], None, SPEC) == 0.05
    small, small_mask = cell(radius=10, size=30)
    assert resolve_scale(small, small_mask, None, SPEC) == pytest.approx(12 / equivalent_diameter(small_mask))
    assert resolve_scale(small, small_mask, 0.4, SPEC) == 0.4


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    mpp=st.one_of(st.none(), st.floats(1e-4, 1e4)),
    seed=st.integers(0, 9),
)
@settings(deadline=None, max_examples=60)
def test_any_picture_gives_a_crop(height, width, mpp, seed):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mask = rng.random((height, width)) < 0.5
    for given_mask in (None, mask):
        crop = standardize(image, given_mask, mpp, SPEC)
        assert crop.shape == (64, 64, 3)
        assert crop.dtype == np.uint8


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((5, 5), np.uint8), "uint8 (5, 5)"),
        (np.zeros((5, 5, 4), np.uint8), "(5, 5, 4)"),
        (np.zeros((5, 5, 3), np.float32), "float32"),
        (np.zeros((0, 5, 3), np.uint8), "no pixels"),
        ("cell.png", "str"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_shape(image, words):
    with pytest.raises(SettingsError, match="(?s)" + words.replace("(", r"\(").replace(")", r"\)")):
        standardize(image, None, 0.1, SPEC)


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_scale_is_refused(mpp):
    with pytest.raises(SettingsError, match="µm per pixel"):
        standardize(*cell(), mpp, SPEC)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(SettingsError, match="mask"):
        standardize(cell()[0], np.ones((3, 3), bool), 0.1, SPEC)


def test_thresholds_outline_the_middle_cell_and_its_nucleus():
    image, mask = cell()
    grain = np.random.default_rng(0).normal(0, 6, image.shape)
    found, nucleus = classical(np.clip(image + grain, 0, 255).astype(np.uint8))
    assert np.count_nonzero(found & mask) / np.count_nonzero(found | mask) > 0.8
    assert not (nucleus & ~found).any()
    assert 0.2 < nucleus.sum() / found.sum() < 0.5


def test_a_dilation_by_distance_is_one_by_a_disk():
    mask = np.random.default_rng(0).random((60, 80)) < 0.01
    for reach in (2, 5, 9):
        assert np.array_equal(_within(mask, reach), ndimage.binary_dilation(mask, disk(reach)))


def test_a_specification_survives_json():
    assert CropSpec.from_json(SPEC.to_json()) == SPEC
