"""Telling touching cells apart by the inner part of each, as a network learned to see it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

__all__ = ["split_by_centers"]

SMOOTH_UM = 0.5
LEAST_UM2 = 2.0


def split_by_centers(
    solid: NDArray[np.bool_], body: NDArray[np.bool_], centers: NDArray[np.float32], mpp: float
) -> NDArray[np.int32]:
    """Give every pixel of nucleus the number of its cell.

    Each connected inner part is a cell, and grows within the cells' body along falling probability (a watershed). A
    body with a nucleus and without an inner part is a cell, too.

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
    bodies, n = ndimage.label(body)
    marked = np.zeros(n + 1, bool)
    marked[bodies[inner > 0]] = True
    orphans = np.where(solid & ~marked[bodies], bodies, 0)
    markers = np.where(inner > 0, inner, np.where(orphans > 0, orphans + inner.max(), 0)).astype(np.int32)
    parts = watershed(-smooth, markers, mask=body)
    own: NDArray[np.int32] = np.where(solid, parts, 0).astype(np.int32)
    return own
