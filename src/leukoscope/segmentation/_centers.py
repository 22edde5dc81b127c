"""Telling touching cells apart by the inner part of each, as a network learned to see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

__all__ = ["split_by_centers"]

SMOOTH_UM = 0.5
LEAST_UM2 = 2.0
ORPHAN_UM, ORPHAN_UM2 = 5.0, 10.0  # nucleus so far from any inner part, and so much of it, is a cell by itself


def split_by_centers(
    solid: NDArray[np.bool_], body: NDArray[np.bool_], centers: NDArray[np.float32], mpp: float
) -> NDArray[np.int32]:
    """Give every pixel of nucleus the number of its cell.

    Each connected inner part is a cell, and grows within the cells' body along falling probability (a watershed).
    Nucleus that has no inner part anywhere near is a cell, too.

    Parameters
    ----------
    solid, body : ndarray of bool, shape (Y, X)
        Where nuclei are, and where cells are.
    centers : ndarray of float32, shape (Y, X)
        Probability of a cell's inner part.
    mpp : float
        µm per pixel.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        Nuclei, numbered; one may have several pieces.
    """
    smooth = ndimage.gaussian_filter(centers, SMOOTH_UM / mpp, truncate=3.0)
    inner, _ = ndimage.label((smooth > 0.5) & body)
    size = np.bincount(inner.ravel()) * mpp**2
    inner[size[inner] < LEAST_UM2] = 0
    far = solid if not inner.any() else solid & (ndimage.distance_transform_edt(inner == 0) * mpp > ORPHAN_UM)
    orphans, _ = ndimage.label(far)
    orphans[np.bincount(orphans.ravel())[orphans] * mpp**2 < ORPHAN_UM2] = 0
    markers = np.where(inner > 0, inner, np.where(orphans > 0, orphans + inner.max(), 0)).astype(np.int32)
    parts = watershed(-smooth, markers, mask=body)
    own: NDArray[np.int32] = np.where(solid, parts, 0).astype(np.int32)
    return own
