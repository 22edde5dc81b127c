"""Which new cell is the old one: how a reviewer's label survives another analysis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ._review import Track
from .records import Carried

__all__ = ["match"]

MIN_IOU = 0.1
"""Below this, and with neither centroid inside the other outline, two cells are not the same."""


def match(old: Mapping[Track, BaseGeometry], ids: NDArray[np.int64], new: NDArray[np.object_]) -> tuple[Carried, ...]:
    """Find for each reviewed cell the new one that takes its place.

    A pair is a candidate if its outlines' intersection over union is at least 0.1, or the centroid of one lies in the
    other. Pairs are formed from the best overlap down, each cell once; ties go to the lower id.

    Parameters
    ----------
    old : mapping of (run, id) to geometry
        The reviewed cells.
    ids : int64 (n,)
        The new cells' ids.
    new : object (n,)
        Their outlines, the same coordinates (level-0 pixels).

    Returns
    -------
    tuple of Carried
        One for each old cell, in order; ``to`` is None and the overlap 0 where none was found.
    """
    tracks = sorted(old)
    outlines = shapely.make_valid(np.array([old[track] for track in tracks], dtype=object))
    mine, theirs = shapely.STRtree(new).query(outlines, predicate="intersects")
    a, b = outlines[mine], shapely.make_valid(new[theirs])
    shared = shapely.area(shapely.intersection(a, b))
    union = shapely.area(a) + shapely.area(b) - shared
    iou = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    same = (iou >= MIN_IOU) | shapely.contains(a, shapely.centroid(b)) | shapely.contains(b, shapely.centroid(a))
    best: dict[int, tuple[int, float]] = {}
    taken: set[int] = set()
    for pair in np.lexsort((ids[theirs], mine, -iou)):
        i, j = int(mine[pair]), int(theirs[pair])
        if same[pair] and i not in best and j not in taken:
            best[i] = int(ids[j]), float(iou[pair])
            taken.add(j)
    return tuple(Carried(*track, *best.get(i, (None, 0.0))) for i, track in enumerate(tracks))
