"""A part of a case's outlines as an image of labels, and what was changed in it; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage

from leukoscope.cases._labels import draw
from leukoscope.errors import SettingsError
from leukoscope.segmentation import Masks
from leukoscope.segmentation.outlines import found_cells

if TYPE_CHECKING:
    from shapely.geometry import Polygon

    from leukoscope.cases import Case

__all__ = ["SIDE", "Changes", "Window"]

SIDE = 2048  # px of level 0: what napari opens in 0.2 s and undoes in 26 ms
REACH_UM = 60.0  # how far outside the window a cell's center may lie that reaches into it
SMALLEST_UM2 = 5.0  # of a platelet; what is smaller slipped off the brush
_REACH_PX, _SMALLEST_PX = 240.0, 80.0  # where µm per pixel is not known
_HALF = 0.5

Labels = npt.NDArray[np.uint16]
Ids = npt.NDArray[np.int64]


class Changes(NamedTuple):
    """What was changed in a window.

    Parameters
    ----------
    removed : tuple of int
        The cells of the case that are not as they were.
    outlines : tuple of Polygon
        What is there now in their place, and what is new, level-0 pixels.
    sources : tuple of tuple of int
        The removed cells that each of these was drawn from.
    crumbs : int
        Pieces too small for a cell, beside a cell of the same label: left out.
    """

    removed: tuple[int, ...]
    outlines: tuple[Polygon, ...]
    sources: tuple[tuple[int, ...], ...]
    crumbs: int

    @property
    def any(self) -> bool:
        """Whether anything was changed."""
        return bool(self.removed or self.outlines)


@dataclass(frozen=True, eq=False)
class Window:
    """A part of a slide whose outlines may be drawn anew.

    Attributes
    ----------
    origin : (int, int)
        (y, x) of its first pixel, level 0.
    labels : uint16 array (h, w)
        The cells that lie in it whole, numbered from 1; 0 elsewhere. Read-only. Small numbers, not ids: napari draws
        32 bits only after numba has compiled what folds them, seconds the first time.
    ids : int64 array
        The cell of each number; 0 of 0.
    locked : bool array (h, w)
        Where cells are that its border cuts: they stay as they are.
    smallest : float
        px that a cell must have.
    """

    origin: tuple[int, int]
    labels: Labels
    ids: Ids
    locked: npt.NDArray[np.bool_]
    smallest: float

    @classmethod
    def around(cls, case: Case, center: tuple[float, float], side: int = SIDE) -> Window:
        """Draw the outlines around a point of a slide.

        Parameters
        ----------
        case : Case
        center : (float, float)
            (y, x), level-0 pixels. Near the slide's border the window moves inward.
        side : int
            Of the window, px; less where the slide is smaller.

        Raises
        ------
        SettingsError
            If the point lies beside the slide.
        """
        shape = case.slide.shapes[0]
        if not all(0 <= c <= n for c, n in zip(center, shape, strict=True)):
            raise SettingsError("the middle of the view is beside the slide", "Move the cells to the middle.")
        height, width = (min(side, n) for n in shape)
        y, x = (
            int(np.clip(round(c - n / 2), 0, whole - n))
            for c, n, whole in zip(center, (height, width), shape, strict=True)
        )
        table, reach = case.cells, REACH_UM / case.mpp if case.mpp else _REACH_PX
        near = table["x"].between(x - reach, x + width + reach) & table["y"].between(y - reach, y + height + reach)
        found = case.outlines(table["cell_id"][near])
        cells = np.empty(len(found), dtype=object)
        cells[:] = [cell for cell, _ in found.values()]
        drawn = np.zeros((height, width), np.int32)
        draw(drawn, cells, np.arange(1, len(found) + 1), origin=(y, x))
        left, top, right, bottom = shapely.bounds(cells).reshape(-1, 4).T
        cut = (left < x) | (top < y) | (right > x + width) | (bottom > y + height)
        whole = np.where(cut, 0, np.arange(1, len(found) + 1))
        labels: Labels = np.concatenate([[0], whole]).astype(np.uint16)[drawn]
        labels.setflags(write=False)
        ids = np.array([0, *found], np.int64)
        locked: npt.NDArray[np.bool_] = np.concatenate([[False], cut])[drawn]
        return cls((y, x), labels, ids, locked, SMALLEST_UM2 / case.mpp**2 if case.mpp else _SMALLEST_PX)

    def changes(self, now: npt.NDArray[Any]) -> Changes:
        """Compare the labels with those that the case has.

        A label of a cell that looks otherwise is a cell drawn anew; what lies for the most part on one was cut from
        it, and one that has gone for the most part into another was merged with it.

        Parameters
        ----------
        now : integer array (h, w)
            The labels as they are now. What lies on locked cells does not count.

        Raises
        ------
        SettingsError
            If a label is too small for a cell.
        """
        now = np.where(self.locked, 0, now).astype(np.uint16)
        differs = now != self.labels
        touched = np.union1d(now[differs], self.labels[differs])
        touched = touched[touched > 0]
        before = np.unique(self.labels[self.labels > 0])
        removed = np.intersect1d(touched, before)
        gone = np.setdiff1d(removed, now[now > 0])
        boxes = ndimage.find_objects(now)
        outlines: list[Polygon] = []
        sources: list[tuple[int, ...]] = []
        crumbs = 0
        for label in np.setdiff1d(touched, gone).tolist():
            pieces, small = self._pieces(now, label, boxes[label - 1])
            crumbs += small
            for piece in pieces:
                own = {label}.intersection(removed.tolist())
                outlines.append(_outline(piece, self.origin))
                sources.append(self._cells(sorted(own | self._came(piece, removed, gone))))
        return Changes(self._cells(removed), tuple(outlines), tuple(sources), crumbs)

    def _cells(self, labels: Labels | list[int]) -> tuple[int, ...]:
        return tuple(self.ids[labels].tolist())

    def _pieces(self, now: Labels, label: int, box: tuple[slice, slice]) -> tuple[list[npt.NDArray[np.bool_]], int]:
        """Return the pieces of a label, the largest first, as masks of the window, and how many were too small."""
        parts, count = ndimage.label(now[box] == label)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        large = [int(i) for i in np.argsort(-sizes, kind="stable") if sizes[i] >= self.smallest]
        if not large:
            y, x = (s.start + o for s, o in zip(box, self.origin, strict=True))
            cause = f"label {label} (y {y}, x {x}) is too small for a cell ({int(sizes.sum())} px)"
            raise SettingsError(cause, f"Draw at least {self.smallest:.0f} px, or erase it: Delete, or fill with 0.")
        pieces = []
        for i in large:
            piece = np.zeros(now.shape, bool)
            piece[box] = ndimage.binary_fill_holes(parts == i + 1)
            pieces.append(piece)
        return pieces, count - len(large)

    def _came(self, piece: npt.NDArray[np.bool_], removed: Labels, gone: Labels) -> set[int]:
        """Return the cells that a piece was part of, and those that are for the most part in it and nowhere else."""
        under, pixels = np.unique(self.labels[piece], return_counts=True)
        found = set()
        for cell, count in zip(under.tolist(), pixels.tolist(), strict=True):
            went = cell in gone and count > _HALF * np.count_nonzero(self.labels == cell)
            if cell in removed and (went or count > _HALF * np.count_nonzero(piece)):
                found.add(cell)
        return found


def _outline(piece: npt.NDArray[np.bool_], origin: tuple[int, int]) -> Polygon:
    nothing = np.zeros(piece.shape, np.int32)
    masks = Masks(piece.astype(np.int32), nothing, np.ones(1, np.float32), 1.0, "given")
    return found_cells(masks, origin=origin)[0].cell
