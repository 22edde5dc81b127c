"""What ties one viewer to one case: its layers, and the signals that the docks follow."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from leukoscope.cases import Case, Event, open_case
from leukoscope.cases._event import by_label
from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.errors import LeukoscopeError, SlideError
from leukoscope.slides import Slide, open_slide

from ._layered import LayeredView
from ._napari import scale_bar
from .keys import class_keys, follow_keys
from .layers import place, slide_address, slide_layer
from .notify import warn
from .review import bind_keys
from .settings import prefer_case_reader, user_settings

if TYPE_CHECKING:
    import napari

__all__ = ["Session", "session_of"]


class Session(LayeredView):
    """A viewer's case and its three layers.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly: the viewer outlives no reference of ours.

    Attributes
    ----------
    case : Case or None
        Shown; read by every view. During a blinded reading it is what the reader may see of it (`Reading`).
    busy : bool
        An analysis is writing the case: no other may take its place.
    slide, overlay, cells : Layer or None
        The image, the outlines and the points. None once the user has removed them.
    keys : dict of str to str
        The label that each key gives, here and in the gallery.
    decides : callable
        Gets ids of cells that are about to be labeled, and returns the readers between whom that decides, if it does.
    """

    case_changed = Signal()
    """Another case is shown, or none."""
    cells_added = Signal(int)
    """So many cells came in while an analysis runs."""
    relabeled = Signal(object)
    """Cells, by id, have another label."""
    keys_changed = Signal()
    """Other keys give the classes."""
    logged = Signal()
    """Something was added to the case's log."""

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__(viewer)
        self.keys: dict[str, str] = TAXONOMY.by_key()
        self.decides: Callable[[list[int]], tuple[str, ...]] = lambda _: ()
        follow_keys(self._read_keys)

    def open(self, path: str | os.PathLike[str]) -> None:
        """Open a case and show all of it: slide, outlines, cells, counts; one that is open already is shown again.

        Parameters
        ----------
        path : path
            The case's folder.

        Raises
        ------
        CaseError
            If it is no case, or damaged, or work would be lost (`ensure_free`). What was shown stays.
        """
        self.ensure_free()
        if self.whole is not None and not self.whole.readonly and Path(path).resolve() == self.whole.path.resolve():
            self.show(self._case())  # a second one would find the first in its way, and be for reading only
            return
        case = open_case(path)
        self.show(case)
        prefer_case_reader()
        if case.readonly:
            warn(f"{case.path}: open for reading only; another program holds the case. Corrections are off.")

    def show(self, case: Case, slide: Slide | None = None, refit: bool = True) -> None:
        """Show a case in place of the one before.

        Parameters
        ----------
        case : Case
            Open; the session closes it when another takes its place.
        slide : Slide, optional
            The case's slide where it is open already; else it is opened from the address that the case remembers.
        refit : bool
            Zoom to the whole slide.
        """
        if case is not self.case:
            self.close_case()
            case.labels_changed.connect(self._on_labels)
            case.outlines_changed.connect(self._on_outlines)
            case.events_changed.connect(self._on_event)
        self.case = case
        self._read_keys()
        self._show_slide(slide)
        self._sync_labels()
        self._sync_cells()
        scale_bar(self.viewer).visible = True
        if refit:
            self.viewer.reset_view()
        self.case_changed.emit()

    def close_case(self) -> None:
        """Let go of the case: another program, or a new analysis, may write it now."""
        if self.case is not None:
            case, whole, self.case = self.case, self.whole, None
            case.labels_changed.disconnect(self._on_labels)
            if whole is not None:
                whole.events_changed.disconnect(self._on_event)
                whole.outlines_changed.disconnect(self._on_outlines)
            self.stop_drawing()
            self._drop_layers()
            case.close()
            self.case_changed.emit()

    def sync(self) -> None:
        """Show the cells that an analysis has put into the case since."""
        if self.case is None:
            return
        before = 0 if self.cells is None else len(self.cells.data)
        if self.case.last_id == before:
            return
        self._sync_cells()
        if time.monotonic() > self._labels_due:
            self._sync_labels()
        self.cells_added.emit(self.case.last_id - before)

    # -- correcting -----------------------------------------------------------------------------------------------

    def relabel(self, ids: Iterable[int], label: str) -> None:
        """Give cells another label: in the case first, then, by the case's signal, on screen.

        Raises
        ------
        CaseError
            If the case cannot be written; nothing has changed then.
        """
        ids = [int(i) for i in ids]
        if self.case is not None and ids:
            between = {} if self.reading is not None else {"adjudicates": self.decides(ids)}
            self.case.relabel(ids, label, reviewer=user_settings().reviewer, **between)

    def confirm(self, ids: Iterable[int]) -> None:
        """Say that cells are what they are labeled: a reviewer has seen them.

        Raises
        ------
        CaseError
            If the case cannot be written; nothing has changed then.
        """
        ids = [int(i) for i in ids]
        if self.case is None or not ids:
            return
        if self.reading is None and self.decides(ids):
            for label, cells in by_label(self.case.labels(ids)).items():
                self.relabel(cells, label)
        else:
            self.case.confirm(ids, reviewer=user_settings().reviewer)

    def undo(self) -> bool:
        """Take back the last correction; False where there is none."""
        return self.case is not None and self.case.undo(reviewer=user_settings().reviewer) is not None

    def redo(self) -> bool:
        """Make the correction again that was taken back last; False where there is none."""
        return self.case is not None and self.case.redo(reviewer=user_settings().reviewer) is not None

    def caught_up(self, labels: Mapping[int, str] | None = None) -> None:
        """Show what a thread of ours has done to the case: labels that changed, and the log."""
        self._on_labels(labels or {})
        self.logged.emit()

    def outlined(self, event: Event) -> None:
        """Show outlines that were drawn anew, by a thread of ours or by undo; the views read the cells again."""
        if self.case is not None:
            self._sync_labels()
            self._sync_cells()
            self.cells_added.emit(len(event.drawn))

    def _on_outlines(self, event: Event) -> None:
        if threading.current_thread() is threading.main_thread():
            self.outlined(event)

    def _on_event(self, _: object) -> None:
        if threading.current_thread() is threading.main_thread():
            self.logged.emit()

    def _on_labels(self, labels: Mapping[int, str]) -> None:
        # An analysis that completes changes labels from its own thread; its view is shown anew by whoever ran it.
        if threading.current_thread() is not threading.main_thread() or self.case is None or not labels:
            return
        ids = sorted(labels)
        self._recolor(ids, [labels[cell] for cell in ids])
        self.relabeled.emit(ids)

    def _see(self, case: Case) -> None:
        self.stop_drawing()
        self._case().labels_changed.disconnect(self._on_labels)
        case.labels_changed.connect(self._on_labels)
        self.case = case
        self._drop_laid()
        self._sync_labels()
        self._sync_cells()
        self.case_changed.emit()

    # -- layers ---------------------------------------------------------------------------------------------------

    def locate_slide(self, path: str | os.PathLike[str]) -> None:
        """Show the slide of the case from where it is now.

        Raises
        ------
        SlideError
            If it cannot be read, or is not the slide that was analyzed.
        """
        if self.case is None:
            return
        slide = open_slide(path, mpp=self.case.mpp)
        _check_same(slide, self.case)
        self._show_slide(slide)
        self.case_changed.emit()

    def _show_slide(self, slide: Slide | None) -> None:
        case = self._case()
        address = case.slide.address if slide is None else slide.address
        self.slide = next((layer for layer in self.viewer.layers if slide_address(layer) == address), None)
        if self.slide is None:
            try:
                slide = slide or open_slide(address, mpp=case.mpp)
                _check_same(slide, case)
            except LeukoscopeError as error:
                warn(f"{error}. The cells are shown without it; Counts, Find slide… opens it from elsewhere")
                return
            self.slide = self._add(slide_layer(slide))
            self.viewer.layers.move(self.viewer.layers.index(self.slide), 0)
        place(self.slide, case.mpp)

    def _read_keys(self, *_: object) -> None:
        self.keys = class_keys(TAXONOMY if self.case is None else self.case.taxonomy, complain=warn)
        self._bind_keys()
        self.keys_changed.emit()

    def _bind_keys(self) -> None:
        if self.cells is not None:
            bind_keys(self, self.cells)


def _check_same(slide: Slide, case: Case) -> None:
    # outlines drawn over other pixels would mislead
    if not case.is_of(slide):
        remedy = f"It may have changed since; look for the file of {case.slide.name} as it was, or analyze it anew"
        raise SlideError("is not the slide of this case", remedy, slide.address)


_sessions: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


def session_of(viewer: Any) -> Session:
    """Give the session of a viewer, made on first use; it lives as long as the viewer."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # plugins get a proxy, a new one each time
    if viewer not in _sessions:
        _sessions[viewer] = Session(viewer)
    return _sessions[viewer]
