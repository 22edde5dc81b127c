"""Where the cells of a smear lie, and where its blasts."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SettingsError

__all__ = ["DensityMap", "density_map"]

_MOST_PIXELS = 16_000_000
_REACH = 4  # standard deviations: where the kernel ends


@dataclass(frozen=True)
class DensityMap:
    """Cells and blasts, smoothed, on a coarse grid.

    Parameters
    ----------
    per_mm2 : ndarray of float32, (Y, X)
        Counted cells per mm². Toward the edge of what was analyzed it falls off, because nothing beyond was counted.
    blast_percent : ndarray of float32, (Y, X)
        Percent of blasts among the cells around; NaN where too few lie to tell.
    origin : tuple of float
        (y, x) of the middle of the first pixel, in µm.
    spacing : float
        Of the grid, in µm.
    """

    per_mm2: NDArray[np.float32]
    blast_percent: NDArray[np.float32]
    origin: tuple[float, float]
    spacing: float


def density_map(
    x_um: ArrayLike,
    y_um: ArrayLike,
    is_blast: ArrayLike,
    *,
    spacing: float = 50.0,
    sigma: float = 150.0,
    min_cells: float = 10.0,
) -> DensityMap:
    """Smooth the counted cells, and the blasts among them, with a Gaussian.

    Parameters
    ----------
    x_um, y_um : array_like of float, (n,)
        Centroids, in µm.
    is_blast : array_like of bool, (n,)
        Whether the cell is a blast.
    spacing : float
        Of the grid, in µm.
    sigma : float
        Of the Gaussian, in µm.
    min_cells : float
        Cells under the Gaussian, by their weight (4 π sigma² times the density), below which no share is given.

    Returns
    -------
    DensityMap
        It reaches four sigma beyond the outermost cells. One pixel without cells when there are none.

    Raises
    ------
    SettingsError
        If the arrays differ in length, a position is not finite, a length not above 0, or the map would be too large.
    """
    x, y, blast = np.asarray(x_um, float), np.asarray(y_um, float), np.asarray(is_blast, bool)
    if not x.shape == y.shape == blast.shape or x.ndim != 1:
        raise SettingsError("places and cells do not fit together", "Give one place for each counted cell.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise SettingsError("a cell has no place", "Leave out cells whose position is not a number.")
    if not (spacing > 0 and sigma > 0):
        raise SettingsError(f"a map of {spacing} µm smoothed over {sigma} µm is not possible", "Give lengths above 0.")
    if not len(x):
        return DensityMap(np.zeros((1, 1), np.float32), np.full((1, 1), np.nan, np.float32), (0.0, 0.0), spacing)

    from scipy import ndimage  # only here: a count does without

    margin = ceil(_REACH * sigma / spacing)
    left, top = np.floor(x.min() / spacing), np.floor(y.min() / spacing)
    column, row = (x / spacing - left).astype(np.int64) + margin, (y / spacing - top).astype(np.int64) + margin
    height, width = int(row.max()) + margin + 1, int(column.max()) + margin + 1
    if height * width > _MOST_PIXELS:
        raise SettingsError(f"the map would have {height} by {width} pixels", "Choose a coarser spacing.")

    def smooth(weights: NDArray[np.bool_] | None) -> NDArray[np.float64]:
        counts = np.bincount(row * width + column, weights, height * width).astype(float).reshape(height, width)
        result: NDArray[np.float64] = ndimage.gaussian_filter(counts, sigma / spacing, mode="constant", truncate=_REACH)
        return result

    cells, blasts = smooth(None), smooth(blast)
    per_um2 = cells / spacing**2
    enough = 4 * pi * sigma**2 * per_um2 >= min_cells
    percent = np.full(cells.shape, np.nan, np.float32)
    np.divide(100 * blasts, cells, out=percent, where=enough & (cells > 0), casting="same_kind")
    origin = (float((top - margin + 0.5) * spacing), float((left - margin + 0.5) * spacing))
    return DensityMap((1e6 * per_um2).astype(np.float32), np.clip(percent, 0, 100), origin, spacing)
