"""The reviewers' half of a case: labels given, taken back, and carried from one analysis to the next."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..classification.taxonomy import CellClass
from ..errors import CaseError
from . import _log
from ._reader import CaseReader
from .records import Event

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ReviewedCase"]


class ReviewedCase(CaseReader):
    """What reviewers do to a case, for `leukoscope.cases.Case`."""

    def relabel(self, ids: Iterable[int] | int, label: str, reviewer: str | None = None) -> Event:
        """Give cells a label; it is on disk when this returns.

        Parameters
        ----------
        ids : int or iterable of int
            Shown cells.
        label : str
            A class of the taxonomy, or of the model.
        reviewer : str, optional
            Who says so; the name of the computer's user where it is not given.

        Returns
        -------
        Event

        Raises
        ------
        CaseError
            If a cell or the label is unknown, or the case cannot be written.
        """
        with self._store.mutex:
            wanted = sorted(set(self._known(ids if isinstance(ids, Iterable) else [ids])))
            if not wanted or self._shown is None:
                raise CaseError("no cell is chosen", "Choose at least one cell to relabel.", self.path)
            if label not in self.taxonomy and label not in self.settings.classes:
                remedy = f"Choose one of {', '.join(self.taxonomy)}, or add it with add_class."
                raise CaseError(f"there is no class {label!r}", remedy, self.path)
            who = _user() if reviewer is None else reviewer
            with self._store.transaction() as db:
                event = _log.append(db, "relabel", self._shown, wanted, label, who)
            changed = self._take_in(event)
        self._tell(event, changed)
        return event

    def undo(self, reviewer: str | None = None) -> Event | None:
        """Take back the latest relabel that stands; return the event, None where there is nothing to take back."""
        return self._step("undo", reviewer)

    def redo(self, reviewer: str | None = None) -> Event | None:
        """Bring back what was undone last; None where there is nothing, or a relabel came after it."""
        return self._step("redo", reviewer)

    def _step(self, kind: str, reviewer: str | None) -> Event | None:
        with self._store.mutex:
            target = self._review.next_undo if kind == "undo" else self._review.next_redo
            if target is None or self._shown is None:
                return None
            who = _user() if reviewer is None else reviewer
            with self._store.transaction() as db:
                event = _log.append(db, kind, self._shown, reviewer=who, target=target.id)
            changed = self._take_in(event)
        self._tell(event, changed)
        return event

    def _take_in(self, event: Event) -> dict[int, str]:
        self._events.append(event)
        return self.labels(self._review.apply(event))

    def _tell(self, event: Event, changed: Mapping[int, str]) -> None:
        self.events_changed.emit(event)
        self.labels_changed.emit(dict(changed))

    def add_class(self, cell_class: CellClass) -> None:
        """Add a class of the laboratory's own to this case; it is on disk when this returns.

        Raises
        ------
        SettingsError
            If its id or key is taken.
        """
        with self._store.mutex:
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
        the first cell).
        """
        import pandas as pd

        with self._store.mutex:
            review = self._review
            # Of other runs only the reviewed cells are left: these are few.
            statement = (
                "SELECT run, id, x, y FROM cells WHERE run IN (SELECT id FROM runs WHERE dropped) ORDER BY run, id"
            )
            rows = []
            for run, cell, x, y in self._store.rows(statement):
                if stack := review.labels.get((run, cell)):
                    event, home, overlap = stack[-1], review.home[run, cell], review.overlap.get((run, cell), 0.0)
                    rows.append((run, cell, home, overlap, event.label, event.reviewer, event.at, x, y))
        columns = ["run", "cell", "cell_id", "overlap", "label", "reviewed_by", "reviewed_at", "x", "y"]
        return pd.DataFrame(rows, columns=columns).astype({"cell_id": "Int64"})

    @property
    def orphans(self) -> pd.DataFrame:
        """The rows of `carried` whose cell the shown run did not find; they count nowhere until a run finds it."""
        table = self.carried
        return table[table["cell_id"].isna()].reset_index(drop=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, in a container say
        return "unknown"
