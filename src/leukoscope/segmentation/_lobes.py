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

NECK = 0.75  # a neck wider than this part of the narrower basin divides nothing
LOBE_UM = 2.7  # a lobe's inscribed radius stays below, a lymphocyte's nucleus above
GAP_UM = 3.0  # lobes of one nucleus lie no farther apart
NUCLEUS_UM2 = 110.0  # nor do they come to more, together


def join_basins(basins: Labels, depth: Map) -> Labels:
    """Join the watershed's basins that no neck divides.

    Parameters
    ----------
    basins : ndarray of int32, shape (Y, X)
        Basins of the distance transform, 1..n.
    depth : ndarray of float32, shape (Y, X)
        The smoothed distance to the nucleus' edge, µm.

    Returns
    -------
    ndarray of int32, shape (Y, X)
        Parts, numbered from 1.
    """
    n = int(basins.max())
    peak = np.concatenate([[0], ndimage.maximum(depth, basins, np.arange(1, n + 1))])
    a, b, neck = _necks(basins, depth)
    lower = np.minimum(peak[a], peak[b])
    return _merge(basins, n, a, b, neck > NECK * lower)


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
    ids = np.arange(1, n + 1)
    area = np.concatenate([[0], ndimage.sum_labels(parts > 0, parts, ids)]) * mpp**2
    radius = np.concatenate([[0], ndimage.maximum(depth, parts, ids)])
    distance, (rows, columns) = ndimage.distance_transform_edt(parts == 0, return_indices=True)
    near = np.where(body & (distance * mpp <= GAP_UM / 2), parts[rows, columns], 0)
    a, b, _ = _necks(near, depth)
    one = (np.minimum(radius[a], radius[b]) < LOBE_UM) & (area[a] + area[b] < NUCLEUS_UM2)
    one &= np.maximum(radius[a], radius[b]) < 1.5 * LOBE_UM
    return _merge(parts, n, a, b, one)


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


def _merge(labels: Labels, n: int, a: NDArray[np.intp], b: NDArray[np.intp], join: NDArray[np.bool_]) -> Labels:
    """Give joined labels one number."""
    links = coo_array((np.ones(int(join.sum())), (a[join], b[join])), shape=(n + 1, n + 1))
    group = connected_components(links, directed=False)[1]
    group = np.where(np.arange(n + 1) == 0, 0, group + 1)
    _, number = np.unique(group, return_inverse=True)
    merged: Labels = number.astype(np.int32)[labels]
    return merged
