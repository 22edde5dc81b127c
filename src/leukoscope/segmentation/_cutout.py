"""A cell that somebody cut out on black already, as in C-NMC: its outline is given, its nucleus is not."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

__all__ = ["BLACK", "LARGEST_CUTOUT_UM", "cutout", "diameter", "on_white", "one_cell"]

BLACK = 8  # of 255: JPEG leaves a little noise on what was exactly black
LARGEST_CUTOUT_UM = 32.0  # a round field of view on black is much larger than a cell
# How much brighter the empty background is than a cell in its brightest channel: nothing of it is left to measure, and
# C-NMC was photographed in dim light. Any factor from 1.4 to 1.8 gives the same nuclei on its cells not held out.
BACKGROUND = 1.5

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


def cutout(rgb: NDArray[np.uint8]) -> Mask | None:
    """Give the outline of a cell on black, bool (Y, X), None for any other image.

    Such an image is black along its border, or nearly, and between 5 and 95 % of it is not black.
    """
    border = np.concatenate([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])
    if (border.max(axis=1) > BLACK).mean() > 0.1:  # almost every image: no need to look at the rest
        return None
    lit = rgb.max(axis=2) > BLACK
    if not 0.05 < lit.mean() < 0.95:
        return None
    pieces, n = ndimage.label(lit)
    largest = pieces == int(np.bincount(pieces.ravel(), minlength=n + 1)[1:].argmax()) + 1
    filled: Mask = ndimage.binary_fill_holes(largest)
    return filled


def diameter(mask: Mask) -> float:
    """Give the diameter, px, of the disk of a mask's area."""
    return sqrt(4 * np.count_nonzero(mask) / pi)


def on_white(rgb: NDArray[np.uint8], cell: Mask) -> NDArray[np.uint8]:
    """Put a cell on an empty background somewhat brighter than itself, as segmenters are used to see it."""
    background = np.uint8(np.clip(BACKGROUND * np.median(rgb[cell].max(axis=1)), 60, 240))
    shown: NDArray[np.uint8] = np.where(cell[..., None], rgb, background).astype(np.uint8)
    return shown


def one_cell(
    rgb: NDArray[np.uint8], cell: Mask, nuclei: Labels, scores: NDArray[np.float32]
) -> tuple[Labels, Labels, NDArray[np.float32]]:
    """Make the one cell of a cut-out: the outline as it is given, and whatever nucleus was found in it.

    Where none was found, the nucleus is what absorbs green most (Otsu 1979), with a score of 0.5.
    """
    nucleus = (nuclei > 0) & cell
    score = float(scores.max()) if nucleus.any() else 0.5
    if not nucleus.any():
        green = rgb[..., 1]
        nucleus = cell & (green <= (threshold_otsu(green[cell]) if np.ptp(green[cell]) else 255))
    return cell.astype(np.int32), nucleus.astype(np.int32), np.array([score], np.float32)
