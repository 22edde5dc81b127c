"""Outlines that reviewers drew, redrew or removed: which cells are in sight after it. Pure Python, as `_review`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .records import Event

__all__ = ["Edit", "Edits", "Track"]

Track = tuple[int, int]
"""A reviewed cell, by the run and the id under which it was first touched: that name outlives later analyses."""


class Edit(NamedTuple):
    """What one event did to cells, by their lasting names.

    Parameters
    ----------
    event : Event
        The event.
    deleted : tuple of Track
        Cells that are none: nothing was drawn in their place.
    replaced : tuple of Track
        Cells that were split or merged, and whose labels none of the new ones keeps.
    drawn : tuple of Track
        New cells that keep no label.
    moved : tuple of (Track, int, int)
        Cells whose labels went to a new outline: the ids before and after.
    """

    event: Event
    deleted: tuple[Track, ...]
    replaced: tuple[Track, ...]
    drawn: tuple[Track, ...]
    moved: tuple[tuple[Track, int, int], ...]


class Edits:
    """The edits of outlines that stand.

    Removed cells stay in the case's tables, hidden, so ids are never given twice and undo has something to bring back.

    Attributes
    ----------
    hidden : set of int
        The ids of the shown run that are not in sight.
    deleted, replaced, drawn : set of Track
        As in `Edit`, of all edits that stand, those made on earlier runs too.
    by_event, standing : dict of int to Edit
        Every edit ever made, and those that stand, by the event's id.
    """

    def __init__(self) -> None:
        self.hidden: set[int] = set()
        self.deleted: set[Track] = set()
        self.replaced: set[Track] = set()
        self.drawn: set[Track] = set()
        self.by_event: dict[int, Edit] = {}
        self.standing: dict[int, Edit] = {}

    def change(
        self, edit: Edit, kind: str, run: int | None, home: Mapping[Track, int | None]
    ) -> tuple[set[int], dict[int, int]]:
        """Return what undo or redo of an edit does to the shown cells.

        An edit made on an earlier run changes only whether the cells stay hidden that took the deleted ones' places:
        what was drawn there was carried like a label, or is an orphan.

        Returns
        -------
        gone : set of int
            The ids that go out of sight.
        come : dict of int to int
            The ids that come into sight, each with the one under which its labels are to be found before that.
        """
        same = edit.event.run == run
        old = {home[track] for track in (*edit.deleted, *(edit.replaced if same else ()))}
        new = {home[track] for track in (edit.drawn if same else ())}
        before = {cell: cell for cell in old if cell is not None}
        after = {cell: cell for cell in new if cell is not None}
        if same:
            before |= {a: b for _, a, b in edit.moved}
            after |= {b: a for _, a, b in edit.moved}
        return (set(before), after) if kind == "redo" else (set(after), before)

    def turn(self, edit: Edit, kind: str, gone: Iterable[int], come: Iterable[int]) -> None:
        """Take in that an edit stands ("redo") or does not ("undo"), and what that does to the shown cells."""
        if kind == "redo":
            self.standing[edit.event.id] = edit
        else:
            del self.standing[edit.event.id]
        for some, tracks in ((self.deleted, edit.deleted), (self.replaced, edit.replaced), (self.drawn, edit.drawn)):
            (some.update if kind == "redo" else some.difference_update)(tracks)
        self.hidden.update(gone)
        self.hidden.difference_update(come)

    def drawn_ids(self, run: int | None) -> set[int]:
        """Return the ids of a run's cells that somebody outlined by hand, in sight or not."""
        return {cell for edit in self.by_event.values() if edit.event.run == run for cell in edit.event.drawn}

    def cells(self) -> set[Track]:
        """Return every cell that an edit ever removed or added, by run and id: the log speaks of them."""
        return {
            (edit.event.run, cell)
            for edit in self.by_event.values()
            for cell in (*edit.event.removed, *edit.event.drawn)
        }

    def heirs(self, cells: Iterable[int], run: int | None) -> dict[int, int | None]:
        """Return what each cell of a run is now: itself, or the one drawn in its place; None where there is none.

        Of several new cells it is the one that keeps the labels, else the first; of several that became one, the first
        has it, and the others none. A new cell whose drawing was undone is again what it was drawn from.
        """
        found: dict[int, int | None] = {cell: cell for cell in cells}
        for edit in self.standing.values():
            if edit.event.run != run:
                continue
            kept = {old: new for _, old, new in edit.moved}
            place: dict[int, int] = {
                source: part for part, sources in reversed(edit.event.drawn.items()) for source in sources
            }
            place |= kept
            taken: set[int] = set()
            touched = [(cell, now) for cell, now in found.items() if now is not None and now in edit.event.removed]
            for cell, now in sorted(touched, key=lambda pair: pair[1] not in kept):
                new = place.get(now)
                found[cell] = None if new in taken else new
                if new is not None:
                    taken.add(new)
        drawn = {
            cell: some for e in self.by_event.values() if e.event.run == run for cell, some in e.event.drawn.items()
        }
        for cell, heir in found.items():
            if heir is not None and heir in self.hidden:
                free = (source for source in drawn.get(heir, ()) if source not in self.hidden)
                found[cell] = next((source for source in free if source not in found.values()), None)
        return found
