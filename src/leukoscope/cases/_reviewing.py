"""The reviewers' half of a case: labels given, taken back, and carried from one analysis to the next."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..classification.taxonomy import CellClass
from ..errors import CaseError
from . import _log
from ._event import by_label
from ._reader import CaseReader
from ._review import Hand
from .records import Event

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ReviewedCase", "who"]


class ReviewedCase(CaseReader):
    """What reviewers do to a case, for `leukoscope.cases.Case`."""

    def relabel(
        self, ids: Iterable[int] | int, label: str, reviewer: str | None = None, adjudicates: Iterable[str] = ()
    ) -> Event:
        """Give cells a label; it is on disk when this returns.

        The label that a cell has already may be given too: that says that a reviewer has seen it (see `confirm`).

        Parameters
        ----------
        ids : int or iterable of int
            Shown cells.
        label : str
            A class of the taxonomy, or of the model.
        reviewer : str, optional
            Who says so; the name of the computer's user where it is not given.
        adjudicates : iterable of str
            The two readers between whom this decides. Such a label does not count as the reviewer's own reading.

        Returns
        -------
        Event

        Raises
        ------
        CaseError
            If a cell or the label is unknown, the case is signed, or it cannot be written.
        """
        with self._store.mutex:
            between = {one_line(name) for name in ([adjudicates] if isinstance(adjudicates, str) else adjudicates)}
            if between and (len(between) != 2 or "" in between):
                cause = f"a label decides between two readers, not {', '.join(sorted(between)) or 'nobody'}"
                raise CaseError(cause, "Name both.", self.path)
            detail = {"adjudicates": sorted(between)} if between else {}
            told = self._record([self._relabeling(ids, label, reviewer, detail)])
        return self._tell_all(told)[0]

    def confirm(self, ids: Iterable[int] | int, reviewer: str | None = None) -> tuple[Event, ...]:
        """Say that cells have been seen and are labeled rightly; one relabel for each label, all of them or none.

        Raises
        ------
        CaseError
            As `relabel`.
        """
        with self._store.mutex:
            labels = self.labels(ids)
            drafts = [self._relabeling(cells, label, reviewer, {}) for label, cells in by_label(labels).items()]
            if not drafts:
                raise CaseError("no cell is chosen", "Choose at least one cell to confirm.", self.path)
            told = self._record(drafts)
        return self._tell_all(told)

    def reviewed(self, ids: Iterable[int] | int) -> dict[int, Event | None]:
        """Return the event that the label of each of these shown cells comes from, by id; None where it is the model's.

        It takes as long as there are ids, where `cells` makes the whole table.
        """
        with self._store.mutex:
            return {cell: self._review.label(cell) for cell in self._known(ids)}

    def undo(self, reviewer: str | None = None) -> Event | None:
        """Take back the latest relabel or edit of outlines that stands; None where there is nothing to take back.

        Raises
        ------
        CaseError
            If the case is signed or cannot be written.
        """
        return self._step("undo", reviewer)

    def redo(self, reviewer: str | None = None) -> Event | None:
        """Bring back what was undone last; None where there is nothing, or another change came after it.

        Raises
        ------
        CaseError
            If the case is signed or cannot be written.
        """
        return self._step("redo", reviewer)

    def _step(self, kind: str, reviewer: str | None, hand: Hand | None = None, unread: str = "") -> Event | None:
        """Undo or redo, for the shared hand or a reader's; `unread` stands for what the model said."""
        with self._store.mutex:
            target = (hand or self._review.shared).next(kind)
            if target is None or self._shown is None:
                return None
            if hand is None:
                self._check_open()
            edited = None if hand else self._review.edited_after(kind)
            detail = self._turned(*edited) if edited else self._relabeled(kind, hand, unread)
            told = self._record([self._draft(kind, target=target.id, reviewer=who(reviewer), detail=detail)])
        return self._tell_all(told)[0]

    def _relabeled(self, kind: str, hand: Hand | None, unread: str) -> dict[str, Any]:
        """Say what undoing or redoing a label does."""
        after = self._review.after(kind, hand)
        return {"was": by_label(self._labels_by(after, hand, unread)), "is": by_label(self._named(after, unread))}

    def _turned(self, gone: Iterable[int], come: Mapping[int, int]) -> dict[str, Any]:
        """Say what undoing or redoing an edit of outlines does: the cells that leave the view, and those that enter."""
        labels = self._named({cell: self._review.label(like) for cell, like in sorted(come.items())})
        return {
            "removed": sorted(gone),
            "added": [[cell, [like] if like != cell else [], None] for cell, like in sorted(come.items())],
            "was": by_label(self._labels_by(sorted(gone))),
            "is": by_label(labels),
        }

    def _relabeling(
        self, ids: Iterable[int] | int, label: str, reviewer: str | None, detail: Mapping[str, Any]
    ) -> Event:
        """Return the draft of a relabel, everything about it checked."""
        self._check_open()
        return self._labeling("relabel", ids, label, who(reviewer), detail)

    def _labeling(
        self,
        kind: str,
        ids: Iterable[int] | int,
        label: str,
        reviewer: str,
        detail: Mapping[str, Any],
        hand: Hand | None = None,
        unread: str = "",
    ) -> Event:
        wanted = sorted(set(self._known(ids)))
        if not wanted:
            raise CaseError("no cell is chosen", "Choose at least one cell to relabel.", self.path)
        if label not in self.taxonomy and label not in self.settings.classes:
            remedy = f"Choose one of {', '.join(self.taxonomy)}, or add it with add_class."
            raise CaseError(f"there is no class {label!r}", remedy, self.path)
        was = by_label(self._labels_by(wanted, hand, unread))
        return self._draft(kind, cells=wanted, label=label, reviewer=reviewer, detail={"was": was, **detail})

    def _draft(self, kind: str, **fields: Any) -> Event:
        if self._shown is None:
            raise CaseError("the case has no cells yet", "Analyze the slide first.", self.path)
        return _log.draft(kind, self._shown, **fields)

    def _check_writable(self) -> None:
        if self.readonly:
            raise CaseError(
                "the case is open for reading only",
                "Close it in the other program, or make its folder writable, then open it again.",
                self.path,
            )

    def _check_open(self) -> None:
        """Make sure that labels may change: those of a signed case stay as they were signed."""
        if self._review.locked:
            seal = self._review.seals[-1]
            cause = f"the case was signed by {seal.reviewer} (report {seal.detail['number']}, {seal.at})"
            raise CaseError(cause, "Open an amendment with amend, giving the reason, to change it.", self.path)

    def _record(self, drafts: Iterable[Event]) -> list[tuple[Event, dict[int, str]]]:
        """Write events, all of them or none, and take them in; return each with the shown labels it changed."""
        with self._store.transaction() as db:
            events = [_log.append(db, draft) for draft in drafts]
        return [(event, self._take_in(event)) for event in events]

    def _take_in(self, event: Event) -> dict[int, str]:
        self._events.append(event)
        changed = self._review.apply(event)
        return self.labels(changed - self._review.edits.hidden)

    def _tell_all(self, told: Iterable[tuple[Event, dict[int, str]]]) -> tuple[Event, ...]:
        """Tell the views, after the lock was let go of."""
        events = []
        for event, changed in told:
            self._tell(event, changed)
            events.append(event)
        return tuple(events)

    def _tell(self, event: Event, changed: Mapping[int, str]) -> None:
        self.events_changed.emit(event)
        if event.removed or event.drawn:
            self.outlines_changed.emit(event)
        if changed:
            self.labels_changed.emit(dict(changed))

    def add_class(self, cell_class: CellClass) -> None:
        """Add a class of the laboratory's own to this case; it is on disk when this returns.

        Raises
        ------
        SettingsError
            If its id or key is taken.
        CaseError
            If the case cannot be written, or is signed and has cells of that class: the signed count leaves them out.
        """
        with self._store.mutex:
            if cell_class.id in self.counts():
                self._check_open()
            taxonomy = self.taxonomy.with_classes([cell_class])
            with self._store.transaction() as db:
                values = (cell_class.id, json.dumps(asdict(cell_class), ensure_ascii=False))
                db.execute("INSERT INTO classes VALUES (?, ?)", values)
            self.taxonomy = taxonomy

    @property
    def carried(self) -> pd.DataFrame:
        """The reviewers' labels that came from an earlier run, and where they went.

        Columns: run, cell (where the label was first given), cell_id (the shown cell that has it now, <NA> for an
        orphan), overlap (intersection over union of the outlines), label, reviewed_by, reviewed_at, x, y (level-0 px of
        the first cell), drawn (whether it is a cell that a reviewer added; its label is the model's where nobody gave
        it another). What a reviewer removed since is not among them.
        """
        import pandas as pd

        with self._store.mutex:
            review = self._review
            # Of other runs only the reviewed cells are left: these are few.
            statement = (
                "SELECT run, id, x, y, label FROM cells WHERE run IN (SELECT id FROM runs WHERE dropped) "
                "ORDER BY run, id"
            )
            drawn = {
                (edit.event.run, cell): edit.event
                for edit in review.edits.by_event.values()
                for cell in edit.event.drawn
            }
            rows = []
            for run, cell, x, y, called in self._store.rows(statement):
                track = run, cell
                if track in review.edits.deleted | review.edits.replaced:
                    continue
                stack, by_hand = review.labels.get(track), track in review.edits.drawn
                if stack or by_hand:
                    event = stack[-1] if stack else drawn[track]
                    home, overlap = review.home[track], review.overlap.get(track, 0.0)
                    label = event.label if stack else called
                    rows.append((*track, home, overlap, label, event.reviewer, event.at, x, y, by_hand))
        columns = ["run", "cell", "cell_id", "overlap", "label", "reviewed_by", "reviewed_at", "x", "y", "drawn"]
        return pd.DataFrame(rows, columns=columns).astype({"cell_id": "Int64", "drawn": bool})

    @property
    def orphans(self) -> pd.DataFrame:
        """The rows of `carried` whose cell the shown run did not find; they count nowhere until a run finds it."""
        table = self.carried
        return table[table["cell_id"].isna()].reset_index(drop=True)


def one_line(text: str | None, most: int = 200) -> str:
    """Return what a person has written, a name say, in one line of so many characters; empty where there is nothing."""
    # It ends up on screens, in tables and in the file: nothing in it may break a line, or be no text at all.
    return " ".join("".join(c if c.isprintable() else " " for c in text or "").split())[:most]


def who(reviewer: str | None) -> str:
    """Return who did it, in one line; the computer's user where no name is given."""
    if name := one_line(reviewer):
        return name
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, in a container say
        return "unknown"
