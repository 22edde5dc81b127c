"""µm per pixel of an image that does not say."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import regionprops

from ..slides.scale import estimate_mpp
from ._cutout import cutout, diameter

__all__ = ["CELL_UM", "NUCLEUS_UM", "guess_mpp"]

CELL_UM = 12.0
NUCLEUS_UM = 8.0
ASSUMED = 0.25
SMALLEST_FIELD = 200  # px; a smaller image does not hold enough red cells to measure


def guess_mpp(rgb: NDArray[np.uint8]) -> tuple[float, str]:
    """Estimate µm per pixel from what is seen.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)

    Returns
    -------
    mpp : float
    source : str
        "red cells" (7.2 µm across), "white cell" (12 µm across where it is cut out on black, else its nucleus 8 µm)
        or "assumed" (0.25) where there is nothing to measure.
    """
    field = min(rgb.shape[:2]) >= SMALLEST_FIELD
    mpp = estimate_mpp(rgb) if field else None
    if mpp is not None:
        return mpp, "red cells"
    mpp = _white_cell(rgb)
    if mpp is not None:
        return mpp, "white cell"
    mpp = estimate_mpp(rgb, few=True) if field else None  # stacked cells: better three of them than none
    return (ASSUMED, "assumed") if mpp is None else (mpp, "red cells")


def _white_cell(rgb: NDArray[np.uint8]) -> float | None:
    """Give µm per pixel from the white cell of a crop, None where none stands out."""
    cell = cutout(rgb)
    if cell is not None:
        return CELL_UM / diameter(cell)
    density = -np.log(np.maximum(rgb[..., 0], 1) / 255.0)  # nuclei absorb red, red cells do not
    density = ndimage.gaussian_filter(density, 1)
    if np.ptp(density) < 0.3:
        return None
    dark = density > threshold_otsu(density)
    if density[dark].mean() - density[~dark].mean() < 0.25:
        return None
    areas = np.array([r.area for r in regionprops(ndimage.label(ndimage.binary_opening(dark, iterations=2))[0])])
    if not len(areas):
        return None
    areas = areas[areas >= 0.15 * areas.max()]
    # A few parts are the lobes of one nucleus, many are many cells.
    area = float(areas.sum() if len(areas) <= 5 else np.median(areas))
    if area < 30 or area > 0.9 * dark.size:
        return None
    return NUCLEUS_UM / sqrt(4 * area / pi)
