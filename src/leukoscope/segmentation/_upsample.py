"""Labels from the working grid to any other resolution, without a staircase."""

from __future__ import annotations

from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["smooth_field", "upsample_labels"]

Labels = NDArray[np.int32]
MARGIN = 3
SIGMA = 0.8  # working px; what a binary mask must be blurred by for its half level to be a smooth curve


def smooth_field(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Blur a mask, (Y, X), so that its level 0.5 runs smoothly along the mask's edge."""
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(mask.astype(np.float32), SIGMA, mode="nearest", truncate=3.0)
    return blurred


def upsample_labels(
    cells: Labels, nuclei: Labels, count: int, step: float, shape: tuple[int, int]
) -> tuple[Labels, Labels]:
    """Bring labels from the working grid to an image of another resolution.

    Parameters
    ----------
    cells, nuclei : ndarray of int32, shape (y, x)
        Labels on the working grid, ids 1..count.
    count : int
        How many cells.
    step : float
        Pixels of the image per working pixel.
    shape : tuple of 2 int
        Height and width of the image.

    Returns
    -------
    cells, nuclei : ndarray of int32, shape `shape`
    """
    out_cells, out_nuclei = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for i, box in enumerate(ndimage.find_objects(cells, count), start=1):
        if box is None:
            continue
        (top, bottom), (left, right) = ((s.start - MARGIN, s.stop + MARGIN) for s in box)
        window = (
            slice(max(0, top), min(bottom, cells.shape[0])),
            slice(max(0, left), min(right, cells.shape[1])),
        )
        ys, rows = _interpolation(window[0], step, shape[0])
        xs, columns = _interpolation(window[1], step, shape[1])
        inside = rows @ smooth_field(cells[window] == i) @ columns.T > 0.5
        out_cells[ys, xs][inside] = i
        core = (rows @ smooth_field(nuclei[window] == i) @ columns.T > 0.5) & inside
        out_nuclei[ys, xs][core] = i
    return out_cells, out_nuclei


def _interpolation(window: slice, step: float, size: int) -> tuple[slice, NDArray[np.float32]]:
    """Give the image's pixels under a window of the working grid, and the matrix that interpolates them from it."""
    n = window.stop - window.start
    pixels = slice(max(0, floor(window.start * step)), min(size, ceil(window.stop * step)))
    at = (np.arange(pixels.start, pixels.stop) + 0.5) / step - 0.5 - window.start
    at = np.clip(at, 0, n - 1)
    first = np.minimum(at.astype(np.intp), max(0, n - 2))
    matrix = np.zeros((len(at), n), np.float32)
    row = np.arange(len(at))
    matrix[row, first] = 1 - (at - first)
    if n > 1:
        matrix[row, first + 1] = at - first
    return pixels, matrix
