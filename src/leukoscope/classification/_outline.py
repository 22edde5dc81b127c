"""The outline of the cell in the middle of a crop, where none is given."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_multiotsu
from skimage.morphology import disk

__all__ = ["black_surroundings", "central", "classical", "equivalent_diameter"]

Mask = NDArray[np.bool_]
Image = NDArray[np.uint8]

BLACK: Final = 8  # of 255: JPEG leaves a little noise on what was exactly black
NUCLEUS_UM: Final = 9.0  # a white cell's nucleus is about so wide, all lobes together


def equivalent_diameter(mask: Mask) -> float:
    """Give the diameter, in pixels, of the disk of the mask's area."""
    return float(2.0 * np.sqrt(np.count_nonzero(mask) / np.pi))


def black_surroundings(image: Image) -> Mask | None:
    """Outline a cell that was already cut out on black, as C-NMC does.

    Parameters
    ----------
    image : uint8 array (h, w, 3)

    Returns
    -------
    bool array (h, w) or None
        None when the border is not black.
    """
    lit = image.max(axis=2) > BLACK
    border = np.concatenate([lit[0], lit[-1], lit[1:-1, 0], lit[1:-1, -1]])
    if border.mean() > 0.4 or not lit.any():
        return None
    return central(_filled(lit))


def central(mask: Mask) -> Mask:
    """Keep the component that lies nearest to the middle, large ones first among equals."""
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    areas = ndimage.sum_labels(mask, labels, np.arange(1, count + 1))
    middle = (np.array(mask.shape) - 1) / 2
    spread = max(mask.shape) / 4
    centers = np.array(ndimage.center_of_mass(mask, labels, np.arange(1, count + 1)))
    offset = np.linalg.norm(centers - middle, axis=1) / spread
    best = int(np.argmax(areas * np.exp(-0.5 * offset**2)))
    return np.asarray(labels == best + 1)


def classical(image: Image) -> tuple[Mask, Mask]:
    """Outline the middle cell by three-class Otsu thresholds on green.

    Good enough to learn a crop's scale from, and what is used where a segmenter finds nothing.

    Parameters
    ----------
    image : uint8 array (h, w, 3)

    Returns
    -------
    cell, nucleus : bool arrays (h, w)
        The nucleus lies within the cell; both cover the whole crop when there is nothing to tell apart.
    """
    everything = np.ones(image.shape[:2], bool)
    if min(image.shape[:2]) < 8:
        return everything, everything
    green = ndimage.gaussian_filter(image[..., 1].astype(np.float32), 1.0)
    levels = np.round(green).astype(np.uint8)
    if len(np.unique(levels)) < 4:
        return everything, everything
    dark, light = threshold_multiotsu(levels, 3)
    nuclei = ndimage.binary_opening(green < dark, disk(1))
    if not nuclei.any():
        return everything, everything
    # Lobes of one nucleus lie close together: look for the middle one in a slightly closed picture.
    reach = max(2, round(min(image.shape[:2]) / 20))
    nucleus = nuclei & central(_within(nuclei, reach))
    margin = max(2, round(0.3 * equivalent_diameter(nucleus)))
    cell = _filled(ndimage.binary_opening((green < light) & _within(nucleus, margin), disk(2)) | nucleus)
    cell = _component_with(cell, nucleus)
    return cell, nucleus & cell


def _component_with(mask: Mask, inside: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    hits = np.bincount(labels[inside], minlength=count + 1)
    hits[0] = 0
    return np.asarray(np.isin(labels, np.flatnonzero(hits)))


def _within(mask: Mask, reach: int) -> Mask:
    # A dilation by disk(reach) gives the same, but takes memory and time by the disk's area.
    return np.asarray(ndimage.distance_transform_edt(~mask) <= reach)


def _filled(mask: Mask) -> Mask:
    return np.asarray(ndimage.binary_fill_holes(mask))
