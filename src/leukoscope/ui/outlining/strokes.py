"""What a line drawn across cells does to their labels: cut them in two, or join them; no Qt."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.draw import line

__all__ = ["Stroke", "cut", "join", "line_mask"]

Stroke = tuple[tuple[int, int], tuple[int, int]]
"""Where a line begins and ends, (y, x) in pixels of the window."""

Pixels = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
Edit = tuple[Pixels, npt.NDArray[np.int32]]

BRIDGE = 3  # px: how wide a join is where cells do not touch
CLOSE = 6  # px: gaps beside it that are filled


def line_mask(shape: tuple[int, int], stroke: Stroke, width: int = 1) -> npt.NDArray[np.bool_]:
    """Draw a line of some width, bool (h, w); it leaves no way through at its corners."""
    mask = np.zeros(shape, bool)
    rows, columns = line(*stroke[0], *stroke[1])
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    mask[rows[inside], columns[inside]] = True
    grown: npt.NDArray[np.bool_] = ndimage.binary_dilation(mask, iterations=width)
    return grown


def cut(labels: npt.NDArray[Any], stroke: Stroke, first: int) -> Edit | None:
    """Cut every cell that a line goes through from side to side.

    Parameters
    ----------
    labels : integer array (h, w)
    stroke : Stroke
    first : int
        The first label that is free.

    Returns
    -------
    (pixels, labels) or None
        The pixels that change, and their new labels: the largest part keeps the old one. None where nothing is cut.
    """
    knife = line_mask(labels.shape, stroke)
    after = np.array(labels, np.int32)
    for label in np.unique(labels[knife]).tolist():
        if not label:
            continue
        whole = labels == label
        parts, count = ndimage.label(whole & ~knife)
        if count < 2:
            continue
        # what lies under the knife goes to the part that is nearest
        nearest = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
        parts = np.where(whole, parts[tuple(nearest)], 0)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        for i in np.argsort(-sizes, kind="stable")[1:]:
            after[parts == int(i) + 1] = first
            first += 1
    return _edit(labels, after)


def join(labels: npt.NDArray[Any], stroke: Stroke) -> Edit | None:
    """Make one cell of all that a line touches; it gets the label of the largest, and gaps between them are filled.

    Returns
    -------
    (pixels, labels) or None
        The pixels that change, and their new labels. None where the line touches fewer than two cells.
    """
    thread = line_mask(labels.shape, stroke)
    found = np.unique(labels[thread])
    found = found[found > 0]
    if len(found) < 2:
        return None
    whole = np.isin(labels, found)
    keeps = max(found.tolist(), key=lambda label: np.count_nonzero(labels == label))
    rows, columns = np.nonzero(whole)
    box = tuple(
        slice(max(0, n.min() - CLOSE), min(size, n.max() + CLOSE + 1))
        for n, size in zip((rows, columns), labels.shape, strict=True)
    )
    bridge = line_mask(labels.shape, stroke, BRIDGE)[box] & _between(whole[box], thread[box])
    filled = ndimage.binary_closing(whole[box] | bridge, iterations=CLOSE)
    after = np.array(labels, np.int32)
    part = after[box]
    part[(filled & (part == 0)) | whole[box]] = keeps
    return _edit(labels, after)


def _between(cells: npt.NDArray[np.bool_], thread: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return where a line runs from cell to cell, not its ends outside; a little wider."""
    pieces, count = ndimage.label(thread & ~cells, np.ones((3, 3)))
    near, _ = ndimage.label(cells)
    keep = np.zeros_like(thread)
    for number in range(1, count + 1):
        piece = pieces == number
        ends = near[ndimage.binary_dilation(piece, np.ones((3, 3)))]
        if len(np.unique(ends[ends > 0])) > 1:
            keep |= piece
    wide: npt.NDArray[np.bool_] = ndimage.binary_dilation(keep, iterations=BRIDGE) & ~cells
    return wide


def _edit(before: npt.NDArray[Any], after: npt.NDArray[np.int32]) -> Edit | None:
    rows, columns = np.nonzero(before != after)
    return ((rows, columns), after[rows, columns]) if len(rows) else None
