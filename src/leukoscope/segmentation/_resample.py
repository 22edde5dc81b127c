"""Reading a level on the working grid, bit for bit the same wherever a region was cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_working", "working_shape"]

Region = tuple[int, int, int, int]


def working_shape(shape: tuple[int, ...], scale: float) -> tuple[int, int]:
    """Give the height and width in working pixels of a level of `shape` (Y, X, ...) pixels."""
    # The small slack keeps 1000 · 0.1 / 0.1 at 1000.
    height, width = (max(1, int(np.ceil(n / scale - 1e-6))) for n in shape[:2])
    return height, width


def read_working(level: Any, scale: float, region: Region) -> NDArray[np.uint8]:
    """Read a region of the working grid from a level.

    Working pixel *i* samples level position `(i + 0.5)·scale − 0.5`: the mean over its own `scale` level pixels when
    that makes the image smaller, linear interpolation otherwise. Every weight follows from the pixel's global index
    in float64, and every sum is taken in the same order, so the result does not depend on how the slide was cut.

    Parameters
    ----------
    level : dask array or ndarray of uint8, shape (Y, X, 3)
        One level of a slide; only the region's own pixels are read.
    scale : float
        Level pixels per working pixel (working µm/px over the level's).
    region : tuple of 4 int
        `(y, x, height, width)` in working pixels; may reach beyond the level.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        White where the region lies outside the level.
    """
    y, x, height, width = region
    rows, row_weights = _taps(y, height, scale, level.shape[0])
    columns, column_weights = _taps(x, width, scale, level.shape[1])
    out = np.full((height, width, 3), 255, np.uint8)
    in_y, in_x = row_weights[0] > -1, column_weights[0] > -1
    if not (in_y.any() and in_x.any()):
        return out
    rows, row_weights = rows[:, in_y], row_weights[:, in_y]
    columns, column_weights = columns[:, in_x], column_weights[:, in_x]
    top, left = int(rows.min()), int(columns.min())
    source = np.asarray(level[top : int(rows.max()) + 1, left : int(columns.max()) + 1])
    rows, columns = rows - top, columns - left
    if len(rows) == len(columns) == 1:  # the level is the working grid
        pixels = source[rows[0]][:, columns[0]]
    else:
        part = _weighted(source.reshape(len(source), -1), rows, row_weights)
        part = part.reshape(len(part), -1, 3).transpose(1, 0, 2).reshape(source.shape[1], -1)
        mean = _weighted(part, columns, column_weights).reshape(columns.shape[1], -1, 3).transpose(1, 0, 2)
        pixels = np.clip(np.rint(mean), 0, 255).astype(np.uint8)
    ys, xs = np.flatnonzero(in_y), np.flatnonzero(in_x)
    out[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] = pixels
    return out


def _weighted(lines: NDArray[Any], indices: NDArray[np.intp], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum lines, (n, length), in one order: tap by tap, those of `indices` (taps, m) times `weights` (taps, m)."""
    out = np.zeros((indices.shape[1], lines.shape[1]), np.float32)
    some = max(1, 2**18 // lines.shape[1])  # lines at a time, so that they stay in the processor's cache
    for first in range(0, len(out), some):
        part = slice(first, first + some)
        for index, weight in zip(indices[:, part], weights[:, part], strict=True):
            out[part] += lines[index] * weight[:, None]
    return out


def _taps(start: int, count: int, scale: float, size: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Give the level indices and weights, (taps, count) each, of working pixels; weight -1 marks those outside."""
    i = np.arange(start, start + count, dtype=np.float64)
    if scale == 1:
        first, taps = i.astype(np.intp), 1
        weights = np.ones((1, count))
    elif scale > 1:
        low, high = i * scale, (i + 1) * scale
        first, taps = np.floor(low).astype(np.intp), int(np.ceil(scale)) + 1
        edges = first + np.arange(taps)[:, None]
        weights = np.clip(np.minimum(edges + 1, high) - np.maximum(edges, low), 0, None)
    else:
        position = (i + 0.5) * scale - 0.5
        first, taps = np.floor(position).astype(np.intp), 2
        weights = np.stack([1 - (position - first), position - first])
        weights[:, (position < -0.5) | (position > size - 0.5)] = 0
        # Half a pixel of the level lies outside its outermost centers: there the outermost pixel counts alone.
        first = np.where(position < 0, 0, np.where(position > size - 1, size - 2, first))
        weights[:, (position >= -0.5) & (position < 0)] = np.array([[1.0], [0.0]])
        weights[:, (position > size - 1) & (position <= size - 0.5)] = np.array([[0.0], [1.0]])
    index = first + np.arange(taps)[:, None]
    weights[(index < 0) | (index >= size)] = 0
    total = weights.sum(axis=0)
    outside = total < 1e-9
    weights = weights / np.where(outside, 1, total)
    weights[:, outside] = -1
    return np.clip(index, 0, size - 1), weights.astype(np.float32)
