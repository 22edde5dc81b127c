"""One slide's case: begun by an analysis, corrected by reviewers, read by everything else."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ..errors import CaseError
from ..hematology import Profile
from . import _export, _log, _runs
from ._carry import match
from ._review import Track
from ._reviewing import ReviewedCase
from ._store import Store
from .records import CellRow, Run, RunSettings, RunStatus, SlideInfo, SlideLike

__all__ = ["Case", "open_case"]


class Case(ReviewedCase):
    """All that is known of one slide. Made by `Case.create`, opened by `open_case`.

    What it shows is the cells of one run: the last that was completed; before any was, the latest that has a block. A
    run with other settings replaces the shown cells when it completes, and carries the reviewers' labels over; if it is
    canceled or fails, the view stays as it was. (A first, partial run that nobody reviewed gives way at the first block
    of the next, so that its progress can be watched.)

    Every change is one transaction, on disk before the call returns. One `Case` may be used from all threads of a
    process: a lock is held for each call. Signals are emitted in the thread that made the change, after it; a view that
    lives in another connects with ``thread="main"`` and lets psygnal queue them.

    Undo is unlimited, across restarts and across runs: it takes back the latest relabel that still stands, whichever
    run it was made on, and acts on the cell that took the old one's place (nothing is shown to change when none did).

    Attributes
    ----------
    path : Path
        The case's folder.
    slide : SlideInfo
        What is remembered of the slide.
    taxonomy : Taxonomy
        The classes; this case's own included.
    readonly : bool
        True if another process (or another `Case` in this one) is the writer, or the folder cannot be written.
    """

    @classmethod
    def create(cls, folder: str | os.PathLike[str], slide: SlideInfo | SlideLike, settings: RunSettings) -> Self:
        """Make a new case; it appears in its place only when it is whole.

        Parameters
        ----------
        folder : path
            ``DIR/<slide>.leuko``; made, with its parents. It may exist if it is empty.
        slide : SlideInfo or Slide
            The slide it is of.
        settings : RunSettings
            What the first analysis is asked to do.

        Raises
        ------
        CaseError
            If the folder already holds something, cannot be written, or the disk is full.
        """
        info = slide if isinstance(slide, SlideInfo) else SlideInfo.from_slide(slide)
        values = {"id": str(uuid.uuid4()), "created": _log.now(), "settings": settings.to_json()}
        rows: list[tuple[str, tuple[object, ...]]] = [
            ("INSERT INTO slide VALUES (1, ?, ?, ?)", (info.name, info.fingerprint, info.to_json()))
        ]
        rows += [("INSERT INTO meta VALUES (?, ?)", item) for item in values.items()]
        path = Path(folder).absolute()
        Store.create(path, rows)
        return cls(Store(path))

    @classmethod
    def open_or_create(
        cls, folder: str | os.PathLike[str], slide: SlideInfo | SlideLike, settings: RunSettings
    ) -> Self:
        """Open the case in a folder for writing, or make it there.

        Raises
        ------
        CaseError
            As `create` and `open_case`; also if the case is of another slide, or another process is writing it.
        """
        path = Path(folder).absolute()
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return cls.create(path, slide, settings)
        case = cls(Store(path))
        try:
            case.check_slide(slide)
            case._check_writable()
        except BaseException:
            case.close()
            raise
        return case

    def check_slide(self, slide: SlideInfo | SlideLike) -> None:
        """Make sure that this is the slide the case was made of.

        Raises
        ------
        CaseError
            If it is another, or its file has changed.
        """
        if slide.fingerprint != self.slide.fingerprint:
            cause = f"this case is of another slide, {self.slide.name} ({self.slide.address})"
            remedy = f"Analyze {slide.name} into another folder, or bring back the file the case was made of."
            raise CaseError(cause, remedy, self.path)

    def _check_writable(self) -> None:
        if self.readonly:
            raise CaseError(
                "the case is open for reading only",
                "Close it in the other program, or make its folder writable, then open it again.",
                self.path,
            )

    def export(
        self,
        csv: bool = True,
        geojson: bool = False,
        labels: bool = False,
        report: bool = False,
        folder: str | os.PathLike[str] | None = None,
        profile: str | Profile | None = None,
    ) -> dict[str, Path]:
        """Write what is shown to files; each appears in its place only when it is whole.

        Parameters
        ----------
        csv : bool
            ``cells.csv`` and ``counts.csv``; for a study of several fields ``fields.csv`` too.
        geojson : bool
            ``cells.geojson``, cells for QuPath.
        labels : bool
            ``labels.zarr``, OME-Zarr 0.5, a pyramid of cell ids.
        report : bool
            ``report.html``, one page that needs nothing else.
        folder : path, optional
            Where to; the case's own folder by default.
        profile : str or Profile, optional
            How to count; the run's by default.

        Returns
        -------
        dict of str to Path
            The files by name, in the order written.

        Raises
        ------
        CaseError
            If the folder cannot be written or the disk is full; files that were there before are untouched then.
        """
        return _export.export(
            self, Path(folder) if folder else self.path, profile, csv=csv, geojson=geojson, labels=labels, report=report
        )

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
        """
        with self._store.mutex:
            same = [
                run
                for run in self._runs.values()
                if run.id not in self._dropped and run.blocks == blocks and run.settings.finds_the_same(settings)
            ]
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
            If the block is out of order, the run is not running, or the case cannot be written.
        """
        with self._store.mutex:
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

        A completed run becomes what the case shows: each reviewer's label goes to the new cell that overlaps best with
        the old one (`carried`; what finds none is in `orphans`), and the cells of other runs are deleted, all in one
        transaction. The reviewed ones among them are kept, for the log speaks of them.

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
            If it is not running, or to be completed while blocks are missing.
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
            if status is RunStatus.COMPLETED and current.done < current.blocks:
                cause = f"only {current.done} of {current.blocks} blocks are in"
                raise CaseError(cause, "Add the others, or finish the run as canceled.", self.path)
            replaces = status is RunStatus.COMPLETED and self._shown != run.id
            with self._store.transaction() as db:
                if replaces and not self._review.empty:
                    carried = match(self._reviewed_outlines(), *self._new_outlines(run.id))
                    carry = _log.append(db, "carry", run.id, carried=carried)
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

    def _reviewed_outlines(self) -> dict[Track, BaseGeometry]:
        """Return where each reviewed cell was last seen."""
        found: dict[Track, BaseGeometry] = {}
        for track in self._review.living():
            home = self._review.home[track]
            run, cell = track if home is None else (self._shown or 0, home)
            found[track] = shapely.from_wkb(_runs.outlines_of(self._store, run, [cell])[cell][0])
        return found

    def _new_outlines(self, run: int) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
        found = _runs.outlines_of(self._store, run)
        geometries = np.empty(len(found), dtype=object)
        geometries[:] = shapely.from_wkb([pair[0] for pair in found.values()])
        return np.array(list(found), dtype=np.int64), geometries


def open_case(folder: str | os.PathLike[str], readonly: bool = False) -> Case:
    """Open a case.

    Parameters
    ----------
    folder : path
        ``<slide>.leuko``, or the ``case.sqlite`` in it.
    readonly : bool
        Only look, and leave the right to write to others. Without it, the case is opened for writing, unless another
        process has that right or the folder cannot be written: then ``case.readonly`` is True.

    Raises
    ------
    CaseError
        If it does not exist, is not a case, is damaged, or was written by a newer Leukoscope.
    """
    path = Path(folder).absolute()
    return Case(Store(path.parent if path.name == "case.sqlite" else path, readonly))
