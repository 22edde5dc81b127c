"""Tiles give what the whole slide gives, whatever their size and order."""

from __future__ import annotations

from functools import cache

import dask.array as da
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from smears import small_smear

from leukoscope.segmentation import (
    Calibration,
    GridSegmenter,
    Masks,
    get_segmenter,
    read_working,
    segment_tile,
    segment_tiled,
    working_shape,
)
from leukoscope.segmentation.tiling import tile_regions


class PaintedMaps(GridSegmenter):
    """Reads its maps from the image: red is the nucleus', green the cell's, blue the centers' probability."""

    name = "painted"

    def __init__(self, centers: bool) -> None:
        self.centers = centers

    def _maps(self, rgb: NDArray[np.uint8], calibration: Calibration) -> tuple[NDArray[np.float32], ...]:
        maps = np.where((rgb == 255).all(axis=2)[None], 0, np.moveaxis(rgb, 2, 0)).astype(np.float32) / 255
        return tuple(maps if self.centers else maps[:2])


@cache
def scene(seed: int) -> NDArray[np.uint8]:
    """Scatter blobs in clumps, as maps of three channels; among them chains, blots and specks."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((300, 340), np.float32)
    depth = np.full(y.shape, -9.0, np.float32)
    middle = np.array([150.0, 170.0])
    for _ in range(55):
        middle = rng.uniform((0, 0), y.shape) if rng.random() < 0.4 else middle + rng.normal(0, 14, 2)
        radius = rng.choice([2, 4, 7, 10, 13, 30], p=[0.1, 0.25, 0.25, 0.25, 0.13, 0.02])
        depth = np.maximum(depth, radius - np.hypot(y - middle[0], x - middle[1]))
    noise = rng.normal(0, 0.35, y.shape)
    channels = [depth + noise, depth + 3 + noise, depth - 4]
    return np.stack([np.clip(127 + 60 * c, 0, 254) for c in channels], axis=2).astype(np.uint8)


def assert_same(tiled: Masks, whole: Masks) -> None:
    np.testing.assert_array_equal(tiled.cells, whole.cells)
    np.testing.assert_array_equal(tiled.nuclei, whole.nuclei)
    np.testing.assert_array_equal(tiled.scores, whole.scores)
    assert tiled.kinds == whole.kinds
    assert len(whole.kinds) == len(whole)


@given(seed=st.integers(0, 30), tile=st.integers(60, 320), centers=st.booleans())
@settings(max_examples=10, deadline=None)
def test_tiled_equals_untiled_on_any_maps(seed: int, tile: int, centers: bool) -> None:
    segmenter = PaintedMaps(centers)
    rgb = scene(seed)
    whole = segmenter.segment(rgb, segmenter.mpp, Calibration())
    assert len(whole) > 3
    assert_same(segment_tiled(segmenter, rgb, segmenter.mpp, tile, Calibration()), whole)


@given(seed=st.integers(0, 1), tile=st.integers(100, 300), mpp=st.sampled_from([0.25, 0.4, 0.5, 0.7]))
@example(seed=0, tile=1024, mpp=0.25)
@settings(max_examples=4, deadline=None)
def test_tiled_equals_untiled_on_smears(seed: int, tile: int, mpp: float) -> None:
    segmenter = get_segmenter("watershed")
    rgb = small_smear(seed).rgb
    whole = segmenter.segment(rgb, mpp)
    assert len(whole) > 0
    assert_same(segment_tiled(segmenter, da.from_array(rgb, chunks=(100, 200, 3)), mpp, tile), whole)


@given(order=st.randoms(use_true_random=False), tile=st.integers(100, 200))
@settings(max_examples=3, deadline=None)
def test_every_cell_is_found_by_exactly_one_tile_in_any_order(order: object, tile: int) -> None:
    segmenter = get_segmenter("watershed")
    rgb = small_smear(1).rgb
    step = segmenter.mpp / 0.25
    bounds = working_shape(rgb.shape, step)

    def read(region: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        return read_working(rgb, step, region)

    calibration = segmenter.calibrate(read((0, 0, *bounds)))
    whole = segmenter.segment(read((0, 0, *bounds)), segmenter.mpp, calibration)
    regions = list(tile_regions(bounds, tile))
    order.shuffle(regions)  # type: ignore[attr-defined]
    found = np.zeros(bounds, np.int32)
    count = 0
    for region in regions:
        masks, (top, left) = segment_tile(segmenter, read, region, calibration, bounds)
        at = slice(top, top + masks.cells.shape[0]), slice(left, left + masks.cells.shape[1])
        assert not (found[at][masks.cells > 0]).any()
        found[at] += masks.cells > 0
        count += len(masks)
    assert count == len(whole)
    np.testing.assert_array_equal(found > 0, whole.cells > 0)


def test_a_tile_without_cells_gives_none() -> None:
    segmenter = get_segmenter("watershed")
    calibration = segmenter.calibrate(small_smear(0, mpp=0.5).rgb)
    blank = np.full((200, 200, 3), 240, np.uint8)
    masks, origin = segment_tile(segmenter, lambda _: blank, (1000, 2000, 40, 40), calibration)
    assert len(masks) == 0
    assert origin == (1000 - segmenter.halo, 2000 - segmenter.halo)


@pytest.mark.slow
def test_tiled_equals_untiled_on_real_fields(shared_data: object) -> None:
    from PIL import Image

    rgb = np.asarray(Image.open(f"{shared_data}/all_idb1/Im006_1.jpg").convert("RGB"))
    segmenter = get_segmenter("watershed")
    assert_same(segment_tiled(segmenter, rgb, 0.105, tile=150), segmenter.segment(rgb, 0.105))
