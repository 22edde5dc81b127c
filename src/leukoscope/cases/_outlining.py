"""Outlines drawn by reviewers: cells redrawn, split, merged, added and deleted, as events like any other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import shapely

from ..errors import CaseError
from . import _log, _runs
from ._event import by_label
from ._reviewing import ReviewedCase, who
from .records import CellRow, Event

__all__ = ["Drawn", "OutlinedCase"]


class Drawn(NamedTuple):
    """A cell that a reviewer outlined.

    Parameters
    ----------
    row : CellRow
        The cell: outlines, features, and the model's label of it.
    of : tuple of int
        The removed cells in whose place it is: one for a cell redrawn, the same one for each part of a split cell,
        several for a merged one; none for a new cell.
    """

    row: CellRow
    of: tuple[int, ...] = ()


class OutlinedCase(ReviewedCase):
    """What reviewers do to outlines, for `leukoscope.cases.Case`."""

    def edit_outlines(
        self, removed: Iterable[int], added: Iterable[CellRow | Drawn], reviewer: str | None = None
    ) -> Event:
        """Remove cells and add others, in one step that is undone as one; it is on disk when this returns.

        Added cells get the ids after the highest there is; those removed are hidden, and their ids not given again. A
        redrawn cell keeps what reviewers said of it. A merged one does where all that was said of its parts is the
        same; the parts of a split one do not, for what was said was of something else.

        Parameters
        ----------
        removed : iterable of int
            Shown cells.
        added : iterable of CellRow or Drawn
            The new cells, by what they were drawn from. `leukoscope.pipeline.reclassify` makes rows of outlines.
        reviewer : str, optional
            Who says so; the name of the computer's user where it is not given.

        Returns
        -------
        Event
            ``event.removed``, and ``event.drawn``: the new ids, each with the cells it was drawn from.

        Raises
        ------
        CaseError
            If a cell is unknown, was drawn from one that is not removed, has no area, or other probabilities than those
            of the model's classes; if nothing would change, the case is signed, or it cannot be written. Nothing has
            changed then.
        """
        with self._store.mutex:
            self._check_open()
            gone = sorted(set(self._known(removed)))
            cells = [cell if isinstance(cell, Drawn) else Drawn(cell) for cell in added]
            self._check_drawn(gone, cells)
            new = range(self.last_id + 1, self.last_id + 1 + len(cells))
            kept = self._kept(cells)
            was = self._labels_by(gone)
            said = [None if source is None else self._review.label(source) for source in kept]
            becomes = {
                number: last.label if last else cell.row.label
                for number, cell, last in zip(new, cells, said, strict=True)
            }
            detail = {
                "removed": gone,
                "added": [
                    [number, sorted(set(cell.of)), source]
                    for number, cell, source in zip(new, cells, kept, strict=True)
                ],
                "was": by_label(was),
                "is": by_label(becomes),
            }
            draft = self._draft("outline", cells=(*gone, *new), reviewer=who(reviewer), detail=detail)
            rows = [cell.row for cell in cells]
            with self._store.transaction() as db:
                _runs.insert_cells(db, draft.run, _runs.BY_HAND, new.start, self.settings.classes, rows)
                event = _log.append(db, draft)
            self._counts.update(row.label for row in rows)
            changed = self._take_in(event)
        self._tell(event, changed)
        return event

    def _check_drawn(self, gone: Sequence[int], cells: Sequence[Drawn]) -> None:
        if not gone and not cells:
            raise CaseError("no outline is changed", "Remove, draw or redraw at least one cell.", self.path)
        for cell in cells:
            if not set(cell.of) <= set(gone):
                cause = "a cell cannot be drawn in place of one that stays"
                raise CaseError(cause, "Remove what it is drawn from.", self.path)
            outline = cell.row.cell
            if shapely.get_type_id(outline) not in (3, 6) or not outline.is_valid or not outline.area > 0:
                raise CaseError("an outline is no polygon with an area", "Draw it again.", self.path)

    def _kept(self, cells: Sequence[Drawn]) -> list[int | None]:
        """Return for each new cell the removed one whose labels it keeps."""
        parts = [source for cell in cells for source in set(cell.of)]
        kept: list[int | None] = []
        for cell in cells:
            whole = sorted(source for source in set(cell.of) if parts.count(source) == 1)
            said = {source: event.label for source in whole if (event := self._review.label(source))}
            if len(whole) == 1 and len(set(cell.of)) == 1:
                kept.append(whole[0])
            elif whole and len(whole) == len(set(cell.of)) and len(set(said.values())) == 1:
                kept.append(next(iter(said)))
            else:
                kept.append(None)
        return kept
