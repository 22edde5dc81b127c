"""The working grid: what a region holds does not depend on how the slide was cut."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.segmentation import read_working, working_shape

LEVEL = np.random.default_rng(3).integers(0, 256, (97, 113, 3), dtype=np.uint8)


@given(
    scale=st.sampled_from([1.0, 0.37, 0.5, 2.0, 4.5454545, 1.0000001]) | st.floats(0.2, 6),
    top=st.integers(-9, 80),
    left=st.integers(-9, 80),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_a_region_is_bit_for_bit_the_same_however_it_is_cut(
    scale: float, top: int, left: int, height: int, width: int
) -> None:
    rows, columns = working_shape(LEVEL.shape, scale)
    whole = read_working(LEVEL, scale, (-10, -10, rows + 90, columns + 90))
    top, left = min(top, rows), min(left, columns)
    part = read_working(LEVEL, scale, (top, left, height, width))
    expected = whole[top + 10 : top + 10 + height, left + 10 : left + 10 + width]
    np.testing.assert_array_equal(part[: expected.shape[0], : expected.shape[1]], expected)


def test_outside_the_slide_is_white_and_inside_is_not_mixed_with_it() -> None:
    black = np.zeros((10, 10, 3), np.uint8)
    got = read_working(black, 2.5, (-2, -2, 8, 8))
    assert (got[2:6, 2:6] == 0).all()
    assert (got[:2] == 255).all()
    assert (got[6:] == 255).all()
    assert (read_working(black, 2.5, (100, 100, 3, 4)) == 255).all()


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.7])
def test_a_gradient_keeps_its_place(scale: float) -> None:
    # A pixel's value is its position, so what is read says where it was read.
    level = np.repeat(np.tile(np.arange(200, dtype=np.uint8), (20, 1))[..., None], 3, axis=2)
    got = read_working(level, scale, (0, 0, 4, int(200 / scale)))[2, :, 0].astype(float)
    wanted = (np.arange(len(got)) + 0.5) * scale - 0.5
    assert np.abs(got - wanted)[3:-3].max() <= 0.51


def test_dask_and_numpy_levels_read_alike() -> None:
    lazy = da.from_array(LEVEL, chunks=(31, 40, 3))
    np.testing.assert_array_equal(read_working(lazy, 2.3, (5, 7, 20, 20)), read_working(LEVEL, 2.3, (5, 7, 20, 20)))


@given(size=st.integers(1, 5000), scale=st.floats(0.1, 20))
def test_the_grid_covers_the_level(size: int, scale: float) -> None:
    n = working_shape((size, size), scale)[0]
    assert n >= 1
    assert n * scale >= size * (1 - 1e-4) - 1e-3
    assert (n - 1) * scale < size
