"""From probability maps to cells: nuclei are split where they touch, lobes joined, cytoplasm shared out.

Everything here is local: what becomes of a cell depends on the maps within `HALO_UM` of it and on nothing else, so
that tiles give what the whole slide would. Distances are in µm, so the rules hold at any working resolution.

The splitting of touching nuclei by their distance transform follows Vincent & Soille (1991) for the watershed; the
rule by which basins are joined again is this project's own: a neck much narrower than the nuclei it connects divides
cells, a neck as wide as a lobe divides lobes of one nucleus.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops
from skimage.segmentation import watershed

from ._centers import split_by_centers
from ._lobes import join_basins, join_lobes

__all__ = ["HALO_UM", "label_cells"]

Labels = NDArray[np.int32]
Map = NDArray[np.float32]

HALO_UM = 40.0
LARGEST_UM = 32.0  # no white cell of blood reaches so far; what does is a clot of stain or a fold
SMALLEST_NUCLEUS_UM2 = 5.0
SMALLEST_CELL_UM2 = 22.0  # below are platelets and debris; of large platelets `kinds` tells
CYTOPLASM_UM = 6.0  # how far cytoplasm may reach beyond the nucleus
SMOOTH_UM = 0.7
DEEPEST_UM = 12.0  # how far from its edge a pixel of a nucleus may lie; bounds what a blot of stain can do elsewhere
LEAST_SCORE = 0.5


def label_cells(
    nucleus: Map, cell: Map, mpp: float, centers: Map | None = None
) -> tuple[Labels, Labels, NDArray[np.float32]]:
    """Turn probability maps into labeled cells.

    Parameters
    ----------
    nucleus, cell : ndarray of float32, shape (Y, X)
        Probability, 0..1, that a pixel is of a white cell's nucleus; of a white cell at all.
    mpp : float
        µm per pixel of the maps.
    centers : ndarray of float32, shape (Y, X), optional
        Probability that a pixel is of the inner part of a cell. Without it, touching nuclei are told apart by shape.

    Returns
    -------
    cells, nuclei : ndarray of int32, shape (Y, X)
        The same ids in both, 1..n in the order in which a scan from the top left meets the cells.
    scores : ndarray of float32, shape (n,)
    """
    solid = _fill(nucleus > 0.5, 4.0 / mpp**2)
    # Islands: nuclei with all that can be theirs around them. Between them there is nothing to do.
    reach = ceil((CYTOPLASM_UM + 1.5) / mpp)
    islands, n = ndimage.label(ndimage.maximum_filter(solid, 2 * reach + 1, mode="constant"))
    found: list[_Found] = []
    for i, box in enumerate(ndimage.find_objects(islands, n), start=1):
        own = islands[box] == i
        core = solid[box] & own
        body = _fill(((cell[box] > 0.5) & own) | core, 4.0 / mpp**2)
        if centers is not None:
            parts = split_by_centers(core, body, centers[box], mpp)
        else:
            parts = _split_by_shape(core, body, mpp)
        found += _cells(parts, nucleus[box], body, mpp, (box[0].start, box[1].start))
    found.sort(key=lambda f: f.first)
    cells, nuclei = np.zeros(nucleus.shape, np.int32), np.zeros(nucleus.shape, np.int32)
    for i, one in enumerate(found, start=1):
        cells[one.box][one.cell] = i
        nuclei[one.box][one.nucleus] = i
    return cells, nuclei, np.array([one.score for one in found], np.float32)


@dataclass(frozen=True)
class _Found:
    first: tuple[int, int]  # the first pixel a scan meets
    box: tuple[slice, slice]
    cell: NDArray[np.bool_]
    nucleus: NDArray[np.bool_]
    score: float


def _split_by_shape(solid: NDArray[np.bool_], body: NDArray[np.bool_], mpp: float) -> Labels:
    """Give every pixel of nucleus the number of its cell, by where nuclei are narrow."""
    depth = ndimage.distance_transform_edt(_framed(solid))[1:-1, 1:-1].astype(np.float32) * mpp
    depth = np.minimum(depth, DEEPEST_UM)
    depth = ndimage.gaussian_filter(depth, SMOOTH_UM / mpp, truncate=3.0)
    depth[~solid] = 0
    basins = watershed(-depth, _peaks(depth, 0.8 / mpp), mask=solid).astype(np.int32)
    return join_lobes(join_basins(basins, depth, mpp), depth, body, mpp)


def _framed(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    # A cell cut by the image's border goes on beyond it: the border is no edge of the nucleus.
    return np.pad(mask, 1, mode="edge")


def _fill(mask: NDArray[np.bool_], area: float) -> NDArray[np.bool_]:
    """Fill the holes smaller than `area` px."""
    holes, n = ndimage.label(~mask)
    if n < 2:
        return mask
    small = np.bincount(holes.ravel()) < area
    small[0] = False
    filled: NDArray[np.bool_] = mask | small[holes]
    return filled


def _peaks(depth: Map, radius: float) -> Labels:
    """Label the local maxima of `depth`; maxima within `radius` px of each other become one."""
    r = max(1, round(radius))
    y, x = np.ogrid[-r : r + 1, -r : r + 1]
    disk = x * x + y * y <= radius * radius + 0.5
    top = (depth == ndimage.maximum_filter(depth, footprint=disk)) & (depth > 0)
    markers: Labels = ndimage.label(top, np.ones((3, 3)))[0].astype(np.int32)
    return markers


def _cells(parts: Labels, nucleus: Map, body: NDArray[np.bool_], mpp: float, corner: tuple[int, int]) -> list[_Found]:
    """Give every nucleus the cytoplasm around it, and keep what is a white cell."""
    if not parts.any():
        return []
    reach = ndimage.distance_transform_edt(parts == 0, return_indices=True)
    distance, (rows, columns) = reach[0] * mpp, reach[1]
    owner = np.where(body & (distance <= CYTOPLASM_UM), parts[rows, columns], 0).astype(np.int32)
    found = []
    disk = _disk(0.75 / mpp)
    for region in regionprops(owner):
        top, left, bottom, right = region.bbox
        core = parts[top:bottom, left:right] == region.label
        if max(bottom - top, right - left) * mpp > LARGEST_UM or core.sum() * mpp**2 < SMALLEST_NUCLEUS_UM2:
            continue
        whole = _tidy(region.image, core, disk)
        score = _score(nucleus[top:bottom, left:right], core)
        if whole.sum() * mpp**2 < SMALLEST_CELL_UM2 or score < LEAST_SCORE:
            continue
        y, x = corner[0] + top, corner[1] + left
        row, column = np.argwhere(whole)[0]
        box = slice(y, y + bottom - top), slice(x, x + right - left)
        found.append(_Found((y + int(row), x + int(column)), box, whole, core & whole, score))
    return found


def _disk(radius: float) -> NDArray[np.bool_]:
    r = max(1, int(np.ceil(radius)))
    y, x = np.ogrid[-r : r + 1, -r : r + 1]
    disk: NDArray[np.bool_] = x * x + y * y <= radius * radius + 0.5
    return disk


def _tidy(whole: NDArray[np.bool_], core: NDArray[np.bool_], disk: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Take whiskers off a cell, fill its holes, and keep the one piece that holds most of the nucleus."""
    margin = disk.shape[0]
    # Padded by its own edge values, so that a cell cut by the image's border keeps its straight side.
    padded = np.pad(ndimage.binary_fill_holes(whole), margin, mode="edge")
    opened = ndimage.binary_opening(padded, disk)[margin:-margin, margin:-margin] | core
    pieces, n = ndimage.label(opened)
    if n > 1:
        share = np.bincount(pieces[core], minlength=n + 1)
        opened = pieces == int(share[1:].argmax()) + 1
    tidy: NDArray[np.bool_] = opened
    return tidy


def _score(nucleus: Map, core: NDArray[np.bool_]) -> float:
    """Rate a cell by how sure its nucleus is and how full its outline: smudges are pale and ragged."""
    sure = float(nucleus[core].mean())
    smooth = ndimage.binary_dilation(core, iterations=2)
    smooth = ndimage.binary_erosion(smooth, iterations=2, border_value=1)
    full = core.sum() / max(1, smooth.sum())
    return min(1.0, sure * float(full))
