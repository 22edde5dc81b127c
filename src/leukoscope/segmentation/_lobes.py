"""Which pieces of nucleus belong to one cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["join_basins", "join_lobes"]

Labels = NDArray[np.int32]
Map = NDArray[np.float32]

# A neck wider than this part of the narrower basin divides nothing; where that leaves more than a cell can be, the
# next one holds.
NECKS = (0.75, 0.85, 0.93)
LARGEST_UM2 = 260.0
LOBE_UM = 2.7  # a lobe's inscribed radius stays below, a lymphocyte's nucleus above
GAP_UM = 3.0  # lobes of one nucleus lie no farther apart
NUCLEUS_UM2 = 110.0  # nor do they come to more, together


def join_basins(basins: Labels, depth: Map, mpp: float) -> Labels:
    """Join the watershed's basins that no neck divides.

    Parameters
    ----------
    basins : ndarray of int32, shape (Y, X)
        Basins of the distance transform, 1..n.
    depth : ndarray of float32, shape (Y, X)
        The smoothed distance to the nucleus' edge, µm.
    mpp : float
        µm per pixel.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        Parts, numbered from 1.
    """
    n = int(basins.max())
    peak = _peak(depth, basins, n)
    a, b, neck = _necks(basins, depth)
    width = neck / np.maximum(np.minimum(peak[a], peak[b]), 1e-6)
    area = np.bincount(basins.ravel(), minlength=n + 1) * mpp**2
    join = width > NECKS[0]
    for neck_width in NECKS[1:]:
        group = _groups(n, a[join], b[join])
        too_large = np.bincount(group, area)[group] > LARGEST_UM2
        join &= (width > neck_width) | ~too_large[a]
    return _groups(n, a[join], b[join])[basins]


def join_lobes(parts: Labels, depth: Map, body: NDArray[np.bool_], mpp: float) -> Labels:
    """Join the lobes of one nucleus: small parts, close to each other within one body of cytoplasm.

    Parameters
    ----------
    parts : ndarray of int32, shape (Y, X)
        Pieces of nucleus, 1..n.
    depth : ndarray of float32, shape (Y, X)
        The smoothed distance to the nucleus' edge, µm.
    body : ndarray of bool, shape (Y, X)
        Where white cells are.
    mpp : float
        µm per pixel.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        Nuclei, numbered from 1; a nucleus may have several pieces.
    """
    n = int(parts.max())
    area = np.bincount(parts.ravel(), minlength=n + 1) * mpp**2
    radius = _peak(depth, parts, n)
    distance, (rows, columns) = ndimage.distance_transform_edt(parts == 0, return_indices=True)
    near = np.where(body & (distance * mpp <= GAP_UM / 2), parts[rows, columns], 0)
    a, b, _ = _necks(near, depth)
    one = (np.minimum(radius[a], radius[b]) < LOBE_UM) & (area[a] + area[b] < NUCLEUS_UM2)
    one &= np.maximum(radius[a], radius[b]) < 1.5 * LOBE_UM
    return _groups(n, a[one], b[one])[parts]


def _peak(depth: Map, labels: Labels, n: int) -> Map:
    """Give the greatest depth of each of the labels 0..n; 0 for the background."""
    peak = np.zeros(n + 1, np.float32)
    inside = labels > 0
    np.maximum.at(peak, labels[inside], depth[inside])
    return peak


def _necks(labels: NDArray[np.integer], depth: Map) -> tuple[NDArray[np.intp], NDArray[np.intp], Map]:
    """Give the pairs of labels that touch (a < b), and the depth of the pass between them."""
    pairs, passes = [], []
    for axis in (0, 1):
        first = [slice(None), slice(None)]
        second = [slice(None), slice(None)]
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        p, q = labels[tuple(first)], labels[tuple(second)]
        at = np.nonzero((p != q) & (p > 0) & (q > 0))
        pairs.append(np.sort(np.stack([p[at], q[at]]), axis=0))
        passes.append(np.minimum(depth[tuple(first)][at], depth[tuple(second)][at]))
    pair, depths = np.concatenate(pairs, axis=1), np.concatenate(passes)
    if not pair.size:
        none = np.zeros(0, np.intp)
        return none, none, np.zeros(0, np.float32)
    unique, inverse = np.unique(pair, axis=1, return_inverse=True)
    neck = np.zeros(unique.shape[1], np.float32)
    np.maximum.at(neck, inverse.ravel(), depths)
    return unique[0].astype(np.intp), unique[1].astype(np.intp), neck


def _groups(n: int, a: NDArray[np.intp], b: NDArray[np.intp]) -> Labels:
    """Give each of 0..n the number of the group that the links (a, b) put it in; 0 stays alone, as 0."""
    links = coo_array((np.ones(len(a)), (a, b)), shape=(n + 1, n + 1))
    group: Labels = connected_components(links, directed=False)[1].astype(np.int32)
    return group  # 0 has no links and comes first
