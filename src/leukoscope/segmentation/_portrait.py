"""A picture of one object: somebody cut it around what is in its middle, so that is outlined though it be small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ._stain import nuclear_floor, stain_maps

__all__ = ["LARGEST_PORTRAIT_UM", "with_middle"]

LARGEST_PORTRAIT_UM = 40.0  # a larger picture shows a field
MIDDLE_UM = 1.0
SMALLEST_UM2, LARGEST_UM2 = 5.0, 52.0  # of platelets, giant ones included; what is larger a segmenter has seen

Labels = NDArray[np.int32]
Scores = NDArray[np.float32]


def with_middle(
    rgb: NDArray[np.uint8],
    cells: Labels,
    nuclei: Labels,
    scores: Scores,
    white: tuple[float, float, float],
    mpp: float,
) -> tuple[Labels, Labels, Scores]:
    """Add the platelet in the middle of a picture, where no cell was found there.

    It is told by the color of its stain, as `watershed` tells cells.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
    cells, nuclei : ndarray of int32, shape (Y, X)
        What was found, as in `Masks`.
    scores : ndarray of float32, shape (n,)
    white : tuple of 3 floats
    mpp : float
        µm per pixel.

    Returns
    -------
    cells, nuclei, scores
        With one more at most, under the last id.
    """
    reach = round(MIDDLE_UM / mpp)
    middle = tuple(slice(max(0, n // 2 - reach), n // 2 + reach + 1) for n in cells.shape)
    if cells[middle].any():
        return cells, nuclei, scores
    nuclear, whole = stain_maps(rgb, white, nuclear_floor(rgb, white), mpp)
    piece = _piece((whole > 0.5) & (cells == 0), middle)
    core = _piece(piece & (nuclear > 0.5), middle)
    cut = piece[0].any() or piece[-1].any() or piece[:, 0].any() or piece[:, -1].any()
    if cut or not core.any() or not SMALLEST_UM2 <= np.count_nonzero(piece) * mpp**2 <= LARGEST_UM2:
        return cells, nuclei, scores
    last = len(scores) + 1
    cells, nuclei = np.where(piece, np.int32(last), cells), np.where(core, np.int32(last), nuclei)
    return cells, nuclei, np.append(scores, np.float32(nuclear[core].mean()))


def _piece(mask: NDArray[np.bool_], middle: tuple[slice, ...]) -> NDArray[np.bool_]:
    """Give the piece of a mask that covers most of the middle, its holes filled; nothing where none does."""
    pieces, _ = ndimage.label(mask)
    there = np.bincount(pieces[middle].ravel())
    there[0] = 0
    if not there.any():
        return np.zeros_like(mask)
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(pieces == int(there.argmax()))
    return filled
