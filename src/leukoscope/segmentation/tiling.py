"""Segmenting a slide tile by tile, with the result the whole slide would give.

A tile is read with the segmenter's halo around it, cut at the slide's border, and keeps the cells whose centroid
lies in it. So tiles do not depend on each other, their order does not matter, and nothing is stitched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._resample import Region, read_working, working_shape
from ._upsample import upsample_labels
from .base import Calibration, Masks, Segmenter

__all__ = ["read_working", "segment_tile", "segment_tiled", "tile_regions", "tile_window", "working_shape"]

SAMPLE = 4096  # working px; a whole image up to so many squared is its own calibration sample


def tile_window(segmenter: Segmenter, tile: Region, bounds: tuple[int, int] | None = None) -> Region:
    """Give the region a segmenter must see for a tile: its halo around it, aligned, cut at the slide's border.

    Parameters
    ----------
    segmenter : Segmenter
    tile : tuple of 4 int
        `(y, x, height, width)` in working pixels.
    bounds : tuple of 2 int, optional
        Height and width of the slide in working pixels. Without them the window reaches over the border.

    Returns
    -------
    tuple of 4 int
    """
    y, x, height, width = tile
    align = getattr(segmenter, "align", 1)
    halo = segmenter.halo
    top, left = (y - halo) // align * align, (x - halo) // align * align
    bottom, right = y + height + halo, x + width + halo
    if bounds is not None:
        top, left, bottom, right = max(0, top), max(0, left), min(bounds[0], bottom), min(bounds[1], right)
    return top, left, max(1, bottom - top), max(1, right - left)


def segment_tile(
    segmenter: Segmenter,
    read: Callable[[Region], NDArray[np.uint8]],
    tile: Region,
    calibration: Calibration,
    bounds: tuple[int, int] | None = None,
) -> tuple[Masks, tuple[int, int]]:
    """Find the cells of one tile.

    Parameters
    ----------
    segmenter : Segmenter
    read : callable
        Gives the pixels of a region of the working grid, uint8 (height, width, 3), such as
        `lambda region: read_working(level, scale, region)`.
    tile : tuple of 4 int
        `(y, x, height, width)` in working pixels.
    calibration : Calibration
        That of the slide.
    bounds : tuple of 2 int, optional
        Height and width of the slide in working pixels (`working_shape`), so that the window stops at its border.

    Returns
    -------
    masks : Masks
        Of the tile and its halo, with the cells only whose centroid lies in the tile.
    origin : tuple of 2 int
        `(y, x)` of the masks' first pixel, in working pixels.
    """
    window = tile_window(segmenter, tile, bounds)
    masks = segmenter.segment(read(window), segmenter.mpp, calibration)
    keep = _own(masks.cells, len(masks), window, tile)
    number = np.zeros(len(masks) + 1, np.int32)
    number[1:][keep] = np.arange(1, keep.sum() + 1)
    kinds = tuple(kind for kind, own in zip(masks.kinds, keep, strict=False) if own)
    own = Masks(number[masks.cells], number[masks.nuclei], masks.scores[keep], masks.mpp, masks.mpp_source, kinds)
    return own, window[:2]


def tile_regions(shape: tuple[int, int], tile: int) -> Iterator[Region]:
    """Give the tiles, `(y, x, height, width)`, that cover `shape`, row by row."""
    for y in range(0, shape[0], tile):
        for x in range(0, shape[1], tile):
            yield y, x, min(tile, shape[0] - y), min(tile, shape[1] - x)


def segment_tiled(
    segmenter: Segmenter, rgb: Any, mpp: float, tile: int = 1024, calibration: Calibration | None = None
) -> Masks:
    """Find the cells of an image tile by tile; the result equals `segmenter.segment(rgb, mpp, calibration)`.

    Parameters
    ----------
    segmenter : Segmenter
    rgb : dask array or ndarray of uint8, shape (Y, X, 3)
        Read a tile at a time; the labels returned are as large as it is.
    mpp : float
        Its µm per pixel.
    tile : int
        Edge of a tile, working pixels.
    calibration : Calibration, optional
        Without it, taken from the image: all of it up to 4096² working pixels, else 16 samples of it.

    Returns
    -------
    Masks
    """
    step = segmenter.mpp / mpp
    bounds = working_shape(rgb.shape, step)

    def read(region: Region) -> NDArray[np.uint8]:
        return read_working(rgb, step, region)

    if calibration is None:
        calibration = segmenter.calibrate(_sample(read, bounds))
    cells, nuclei = np.zeros(bounds, np.int32), np.zeros(bounds, np.int32)
    scores: list[NDArray[np.float32]] = []
    kinds: list[str] = []
    count = 0
    for region in tile_regions(bounds, max(1, tile)):
        masks, (top, left) = segment_tile(segmenter, read, region, calibration, bounds)
        at = slice(top, top + masks.cells.shape[0]), slice(left, left + masks.cells.shape[1])
        for part, whole in ((masks.cells, cells[at]), (masks.nuclei, nuclei[at])):
            np.copyto(whole, part + count, where=part > 0)
        scores.append(masks.scores)
        kinds += masks.kinds
        count += len(masks)
    number, order = _scan_order(cells, count)
    cells, nuclei, score = number[cells], number[nuclei], np.concatenate(scores)[order]
    if step != 1:
        cells, nuclei = upsample_labels(cells, nuclei, count, step, rgb.shape[:2])
    return Masks(cells, nuclei, score, float(mpp), "given", tuple(kinds[i] for i in order) if kinds else ())


def _own(cells: NDArray[np.int32], count: int, window: Region, tile: Region) -> NDArray[np.bool_]:
    """Tell of each cell whether its centroid lies in the tile, in whole numbers, so that exactly one tile says yes."""
    keep = np.ones(count, bool)
    y, x = np.nonzero(cells)
    label = cells[y, x]
    area = np.bincount(label, minlength=count + 1)[1:]
    for position, axis in ((y, 0), (x, 1)):
        total = np.zeros(count + 1, np.int64)
        np.add.at(total, label, position.astype(np.int64) + window[axis])
        twice = 2 * total[1:] + area  # twice the sum of the pixels' centers
        keep &= (twice >= 2 * tile[axis] * area) & (twice < 2 * (tile[axis] + tile[axis + 2]) * area)
    return keep


def _scan_order(cells: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Give every cell's number in the order in which a scan from the top left meets them, and that order, from 0."""
    found, first = np.unique(cells, return_index=True)
    order = found[np.argsort(first)]
    order = order[order > 0]
    number = np.zeros(count + 1, np.int32)
    number[order] = np.arange(1, len(order) + 1)
    return number, order - 1


def _sample(read: Callable[[Region], NDArray[np.uint8]], bounds: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = bounds
    if height * width <= SAMPLE**2:
        return read((0, 0, height, width))
    edge = min(SAMPLE // 4, height, width)
    ys, xs = (np.linspace(0, n - edge, 4).astype(int) for n in bounds)
    return np.concatenate([read((int(y), int(x), edge, edge)) for y in ys for x in xs])
