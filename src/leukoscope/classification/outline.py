"""The outline of the cell in the middle of a crop, by the default segmenter."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..segmentation import Segmenter, get_segmenter
from ._outline import black_surroundings, classical, equivalent_diameter

__all__ = ["outline"]

SMALLEST: Final = 16  # pixels; below that there is nothing to outline


@cache
def _segmenter() -> Segmenter:
    return get_segmenter("spike", device="cpu")  # crops are small: a device's latency would cost more


def outline(image: NDArray[np.uint8], mpp: float | None = None) -> NDArray[np.bool_]:
    """Outline the cell in the middle of a crop.

    Parameters
    ----------
    image : uint8 array (h, w, 3)
    mpp : float, optional
        µm per pixel.

    Returns
    -------
    bool array (h, w)
        What is not black where the surroundings are; else the default segmenter's cell that lies in the middle; else
        what thresholds make of it; the whole crop where there is nothing to tell apart. Never empty.
    """
    mask = black_surroundings(image)
    if mask is not None:
        return mask
    if min(image.shape[:2]) < SMALLEST:
        return np.ones(image.shape[:2], bool)
    cells = _segmenter().segment(image, mpp=mpp).cells
    middle = _middle(cells)
    if middle is None:
        middle, _ = classical(image)
    return middle if middle.any() else np.ones(image.shape[:2], bool)


def _middle(cells: NDArray[np.int32]) -> NDArray[np.bool_] | None:
    """Give the cell that fills most of the crop's middle, None when there is none near it."""
    height, width = cells.shape
    y, x = np.ogrid[:height, :width]
    weight = np.exp(-8 * (((y - (height - 1) / 2) / height) ** 2 + ((x - (width - 1) / 2) / width) ** 2))
    sums = np.bincount(cells.ravel(), weights=weight.ravel())
    sums[0] = 0
    if not sums.any():
        return None
    mask: NDArray[np.bool_] = cells == int(sums.argmax())
    return mask if equivalent_diameter(mask) >= 0.2 * min(height, width) else None
