"""One slide's case: begun by an analysis, corrected by reviewers, read by everything else."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..errors import CaseError
from ..hematology import Profile
from . import _export, _importing, _log
from ._analyzed import AnalyzedCase
from ._importing import Imported
from ._store import Store
from .records import RunSettings, SlideInfo, SlideLike, with_profile

__all__ = ["Case", "open_case"]


class Case(AnalyzedCase):
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
        SettingsError
            If there is no such profile as the settings name.
        """
        info = slide if isinstance(slide, SlideInfo) else SlideInfo.from_slide(slide)
        values = {"id": str(uuid.uuid4()), "created": _log.now(), "settings": with_profile(settings).to_json()}
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

    def is_of(self, slide: SlideInfo | SlideLike) -> bool:
        """Return whether this is the slide the case was made of, whatever its file is called now and wherever it is."""
        # Cases of version 0.1.0 have the fingerprint that took the file's name in.
        return self.slide.fingerprint in (slide.fingerprint, getattr(slide, "former_fingerprint", None))

    def check_slide(self, slide: SlideInfo | SlideLike) -> None:
        """Make sure that this is the slide the case was made of.

        Raises
        ------
        CaseError
            If it is another, or its file has changed.
        """
        if not self.is_of(slide):
            cause = f"this case is of another slide, {self.slide.name} ({self.slide.address})"
            remedy = f"Analyze {slide.name} into another folder, or bring back the file the case was made of."
            raise CaseError(cause, remedy, self.path)

    def export(
        self,
        csv: bool = True,
        geojson: bool = False,
        labels: bool = False,
        report: bool = False,
        pdf: bool = False,
        folder: str | os.PathLike[str] | None = None,
        profile: str | Profile | None = None,
        overview: NDArray[np.uint8] | None = None,
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
        pdf : bool
            ``report.pdf``, the same to print and to file.
        folder : path, optional
            Where to; the case's own folder by default.
        profile : str or Profile, optional
            How to count; the run's by default.
        overview : uint8 (Y, X, 3), optional
            The whole slide, small, for the report; read from the slide where it is not given and the slide is at hand.

        Returns
        -------
        dict of str to Path
            The files by name, in the order written.

        Raises
        ------
        CaseError
            If the folder cannot be written or the disk is full; files that were there before are untouched then.
        """
        target = Path(folder).absolute() if folder else self.path
        what = {"csv": csv, "geojson": geojson, "labels": labels, "report": report, "pdf": pdf}
        return _export.export(self, target, profile, overview, **what)

    def import_geojson(self, path: str | os.PathLike[str], reviewer: str | None = None) -> Imported:
        """Take back ``cells.geojson`` after QuPath: cells whose class was changed there are relabeled.

        All of it is on disk when this returns, one event for each label, or nothing is. Cells are known by their UUID,
        classes by their id or name. A cell that was relabeled here, too, since it was exported keeps that label.
        Outlines changed or drawn there are counted and handed back, not taken over.

        Parameters
        ----------
        path : path
            The GeoJSON file, as QuPath writes it.
        reviewer : str, optional
            Who made the corrections; the name of the computer's user where it is not given.

        Returns
        -------
        Imported
            What was changed, and what of the file was left out, with reasons.

        Raises
        ------
        CaseError
            If the file cannot be read, is not what QuPath writes, or holds another case's cells; if this case is signed
            or cannot be written. Nothing has changed then.
        """
        return _importing.import_geojson(self, Path(path), reviewer)


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
