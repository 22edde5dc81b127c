"""The analyses' half of a case: runs begun, blocks committed, one view replaced by the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ..errors import CaseError
from . import _log, _runs
from ._carry import match
from ._review import Track
from ._signing import SignedCase
from .records import Carried, CellRow, Run, RunSettings, RunStatus, with_profile

__all__ = ["AnalyzedCase"]


class AnalyzedCase(SignedCase):
    """What an analysis does to a case, for `leukoscope.cases.Case`."""

    def begin_run(self, settings: RunSettings, blocks: int, resume: bool = True) -> Run:
        """Begin an analysis, or go on with one.

        Parameters
        ----------
        settings : RunSettings
            What to do.
        blocks : int
            Into how many blocks the slide is cut.
        resume : bool
            Go on with a run that finds the same cells: an unfinished one continues at block ``run.done``; one that is
            ``run.complete`` has nothing left to do. False: begin anew whatever there is.

        Returns
        -------
        Run

        Raises
        ------
        CaseError
            If the case is signed, and there is something left to do; or it cannot be written.
        SettingsError
            If there is no such profile as the settings name.
        """
        with self._store.mutex:
            same = [
                run
                for run in self._runs.values()
                if run.id not in self._dropped and run.blocks == blocks and run.settings.finds_the_same(settings)
            ]
            if not (resume and same and same[-1].complete):
                self._check_open()
            settings = with_profile(settings)
            with self._store.transaction() as db:
                for other in self._runs.values():
                    if other.status is RunStatus.RUNNING:
                        _runs.set_status(db, other.id, RunStatus.INTERRUPTED)
                if resume and same:
                    number = same[-1].id
                    settings = replace(settings, classes=settings.classes or same[-1].settings.classes)
                    _runs.update_settings(db, number, settings)
                    if not same[-1].complete:
                        _runs.set_status(db, number, RunStatus.RUNNING)
                else:
                    number = _runs.insert_run(db, settings, blocks)
            self._runs, self._dropped = _runs.read_runs(self._store)
            run = self._runs[number]
        self.run_changed.emit(run)
        return run

    def add_block(self, run: Run, index: int, cells: Sequence[CellRow]) -> range:
        """Commit a block's cells: all of them, or none.

        Parameters
        ----------
        run : Run
            As `begin_run` gave it.
        index : int
            The block's number, from 0; blocks come in this order.
        cells : sequence of CellRow
            Its cells, in a fixed order; none is fine.

        Returns
        -------
        range
            The ids they got.

        Raises
        ------
        CaseError
            If the block is out of order, the run is not running, the case is signed, or it cannot be written.
        """
        with self._store.mutex:
            self._check_open()  # it may have been signed since the run began
            current = self._running(run)
            if index != current.done or index >= current.blocks:
                remedy = f"Commit block {current.done} of {current.blocks} next."
                raise CaseError(f"block {index} is out of order", remedy, self.path)
            classes = current.settings.classes or (tuple(cells[0].probabilities) if cells else ())
            settings = replace(current.settings, classes=classes)
            shown = self.run
            takes_over = shown is None or (shown.id != run.id and not shown.complete and self._review.empty)
            with self._store.transaction() as db:
                first = db.execute("SELECT IFNULL(MAX(id), 0) + 1 FROM cells WHERE run = ?", (run.id,)).fetchone()[0]
                _runs.insert_block(db, run.id, index, first, classes, cells)
                if settings != current.settings:
                    _runs.update_settings(db, run.id, settings)
                if takes_over:
                    db.execute("INSERT OR REPLACE INTO meta VALUES ('shown', ?)", (str(run.id),))
            added = range(first, first + len(cells))
            current = self._runs[run.id] = replace(current, done=index + 1, settings=settings)
            visible = takes_over or self._shown == run.id
            if takes_over:
                self._shown = run.id
                self._read_view()
            elif visible:
                self._counts.update(cell.label for cell in cells)
        if takes_over:
            self.view_replaced.emit()
        if visible:
            self.cells_added.emit(added)
        self.run_changed.emit(current)
        return added

    def cell_count(self, run: Run) -> int:
        """Return how many cells a run has found so far, whether or not it is the one shown."""
        return int(self._store.value("SELECT COUNT(*) FROM cells WHERE run = ?", (run.id,)))

    def finish_run(self, run: Run, reason: RunStatus | str, detail: str = "") -> Run:
        """End a run: "completed", "canceled" or "errored".

        A completed run becomes what the case shows: each reviewer's label, and each cell drawn by hand, goes to the new
        cell that overlaps best with the old one (`carried`; what finds none is in `orphans`); cells that overlap with
        one that a reviewer deleted are hidden, unless something was carried to them; and the cells of other runs are
        deleted, all in one transaction. The reviewed ones among them are kept, for the log speaks of them.

        Parameters
        ----------
        run : Run
            As `begin_run` gave it.
        reason : RunStatus or str
            How it ended.
        detail : str
            What went wrong.

        Returns
        -------
        Run
            As it stands now.

        Raises
        ------
        CaseError
            If it is not running, or to be completed while blocks are missing or the case is signed.
        """
        status = RunStatus(reason)
        if status in (RunStatus.RUNNING, RunStatus.INTERRUPTED):
            raise ValueError(f"a run does not finish as {status}")
        carry, changed = None, {}
        with self._store.mutex:
            current = self._runs[run.id]
            if current.complete and status is RunStatus.COMPLETED:
                return current
            self._running(run)
            if status is RunStatus.COMPLETED:
                self._check_open()
            if status is RunStatus.COMPLETED and current.done < current.blocks:
                cause = f"only {current.done} of {current.blocks} blocks are in"
                raise CaseError(cause, "Add the others, or finish the run as canceled.", self.path)
            replaces = status is RunStatus.COMPLETED and self._shown != run.id
            with self._store.transaction() as db:
                if replaces and not self._review.empty:
                    carried = self._carried_to(run.id)
                    carry = _log.append(db, _log.draft("carry", run.id, carried=carried))
                if status is RunStatus.COMPLETED:
                    db.execute("INSERT OR REPLACE INTO meta VALUES ('shown', ?)", (str(run.id),))
                    _runs.drop_others(db, run.id, self._review.tracks())
                _runs.set_status(db, run.id, status, detail)
            self._runs, self._dropped = _runs.read_runs(self._store)
            if replaces:
                self._shown = run.id
                if carry:
                    self._events.append(carry)
                    self._review.apply(carry)
                self._read_view()
                changed = self.labels(self._review.reviewed())
            current = self._runs[run.id]
        if replaces:
            self.view_replaced.emit()
        if carry:
            self._tell(carry, changed)
        self.run_changed.emit(current)
        return current

    def _running(self, run: Run) -> Run:
        current = self._runs[run.id]
        if current.status is not RunStatus.RUNNING:
            raise CaseError(
                f"run {run.id} is not running ({current.status})", "Begin it again with begin_run.", self.path
            )
        return current

    def _carried_to(self, run: int) -> tuple[Carried, ...]:
        """Find what becomes of reviewed, drawn and deleted cells; the deleted come last, and take what is left."""
        ids, outlines = self._new_outlines(run)
        living = match(self._last_seen(self._review.living()), ids, outlines)
        free = ~np.isin(ids, [entry.to for entry in living if entry.to is not None])
        return living + match(self._last_seen(self._review.deleted()), ids[free], outlines[free])

    def _last_seen(self, some: Iterable[Track]) -> dict[Track, BaseGeometry]:
        """Return where each of these cells was last seen."""
        seen: dict[int, dict[int, Track]] = {}
        for track in some:
            home = self._review.home[track]
            run, cell = self._review.place.get(track, track) if home is None else (self._shown or 0, home)
            seen.setdefault(run, {})[cell] = track
        return {
            tracks[cell]: shapely.from_wkb(outline)
            for run, tracks in seen.items()
            for cell, (outline, _) in _runs.outlines_of(self._store, run, tracks).items()
        }

    def _new_outlines(self, run: int) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
        found = _runs.outlines_of(self._store, run)
        geometries = np.empty(len(found), dtype=object)
        geometries[:] = shapely.from_wkb([pair[0] for pair in found.values()])
        return np.array(list(found), dtype=np.int64), geometries
