"""The Outlines dock: a part of the slide is opened, drawn in with napari's own tools, and committed to the case."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from leukoscope.cases import Drawn, Event
from leukoscope.errors import CaseError, SettingsError
from leukoscope.pipeline import reclassify

from .._napari import camera
from .._state import Session, session_of
from .._ties import Ties
from ..background import in_background
from ..docks import Docked
from ..notify import reporting_errors, say
from ..settings import user_settings
from .layer import EditLayers
from .strokes import Stroke
from .window import Window

if TYPE_CHECKING:
    from leukoscope.cases import Case

__all__ = ["OutlinesWidget"]

_CLOSED = "Open a window where outlines are wrong: what is in the middle of the view."
_OPEN = (
    "Brush 2, fill 4, pick 5, erase 1 (napari's own keys): pick a cell, then paint or erase to redraw it. "
    "Gray cells are cut by the window's border and stay as they are. Ctrl+Z undoes a stroke."
)
_CUT = "Draw a line across a cell, from outside to outside. Cut again to stop."
_JOIN = "Draw a line from one cell to the other. Join again to stop."


class OutlinesWidget(Docked):
    """Opens an editable window of a case's outlines and commits what was drawn; one step for undo.

    The window is the session's: a dock that was closed by mistake and is opened again finds it as it was.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose case it is.

    Attributes
    ----------
    worker : object or None
        Commits, while one is under way.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.session: Session = session_of(napari_viewer)
        self.worker: Any = None
        self._build()
        self._ties = Ties(self, (self.session.drawing_changed, self._on_drawing))
        self._on_drawing()

    @property
    def layers(self) -> EditLayers | None:
        """The open window's."""
        return self.session.drawing

    def _build(self) -> None:
        self.open = self._button("Open window here", "The part of the slide around the middle of the view", self.begin)
        self.new = self._button("New cell", "Paint a cell that was not found", self._new)
        self.cut = self._button("Cut", "Split cells along a line", self._toggle_cut, checkable=True)
        self.join = self._button(
            "Join", "Make one cell of those that a line touches", self._toggle_join, checkable=True
        )
        self.delete = self._button("Delete", "Delete the picked cell (5, then click it)", self._delete)
        self.commit = self._button("Commit", "Measure and classify what changed, and keep it", self.keep)
        self.discard = self._button("Discard", "Close the window; nothing changes", self.close_window)
        self.status = QLabel()
        self.status.setWordWrap(True)
        grid = QGridLayout()
        grid.addWidget(self.open, 0, 0, 1, 2)
        for i, button in enumerate((self.new, self.delete, self.cut, self.join, self.commit, self.discard)):
            grid.addWidget(button, 1 + i // 2, i % 2)
        layout = QVBoxLayout(self)
        layout.addLayout(grid)
        layout.addWidget(self.status)
        layout.addStretch()

    def _button(self, text: str, tip: str, slot: Callable[[], object], checkable: bool = False) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setCheckable(checkable)
        button.clicked.connect(lambda *_: slot())
        return button

    # -- the window -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open a window around the middle of the view."""
        with reporting_errors():
            case = self._editable_case()
            self.session.shown_slide()  # what cannot be committed is not begun
            layer, view = self.session.slide, camera(self.session.viewer)
            y, x = np.asarray(layer.world_to_data(np.asarray(view.center, float)[-2:])) + 0.5
            self.session.ensure_free()
            window = Window.around(case, (float(y), float(x)))
            self.close_window()
            self.session.draw(EditLayers(self.session, case, window))

    def close_window(self) -> None:
        """Close the window; what was not committed is gone."""
        self.session.stop_drawing()

    def keep(self) -> None:
        """Commit what changed, in another thread; the window closes when it is on disk, and stays open on an error."""
        if self.layers is None or self.worker is not None:
            return
        with reporting_errors():
            case, slide, device = self.layers.case, self.session.shown_slide(), user_settings().device
            reviewer = user_settings().reviewer
            changes = self.layers.changes()
            if not changes.any:
                say("No outline was changed.")
                return

            def work() -> Event:
                rows = reclassify(case, slide, changes.outlines, device)
                drawn = [Drawn(row, of) for row, of in zip(rows, changes.sources, strict=True)]
                return case.edit_outlines(changes.removed, drawn, reviewer)

            self.layers.edit.editable = False
            self.worker = in_background(work, lambda e: self._on_kept(case, e), "Committing outlines", self._on_end)
            self._show_state(f"Committing: cells removed {len(changes.removed)}, drawn {len(changes.outlines)}…")

    def _on_kept(self, case: Case, event: Event) -> None:
        if self.session.case is case:
            self.close_window()
            self.session.outlined(event)
            self.session.caught_up()
        say(f"Cells removed: {len(event.removed)}, drawn: {len(event.drawn)}. Undo brings back what was.")

    def _on_end(self) -> None:
        self.worker = None
        if self.layers is not None:
            self.layers.edit.editable = True
        self._show_state()

    # -- tools ----------------------------------------------------------------------------------------------------

    def _new(self) -> None:
        if self.layers is not None:
            self.layers.edit.selected_label = self.layers.free_label()
            self.layers.edit.mode = "paint"

    def _delete(self) -> None:
        if self.layers is not None and not self.layers.delete(self.layers.edit.selected_label):
            say("Pick a cell first: 5, then click it.")

    def _toggle_cut(self) -> None:
        self._toggle(self.cut, self.join, _CUT, lambda stroke: self.layers is not None and self.layers.cut(stroke))

    def _toggle_join(self) -> None:
        self._toggle(self.join, self.cut, _JOIN, lambda stroke: self.layers is not None and self.layers.join(stroke))

    def _toggle(self, mine: QPushButton, other: QPushButton, hint: str, act: Callable[[Stroke], bool]) -> None:
        if self.layers is None:
            return
        other.setChecked(False)
        self.session.viewer.layers.selection.active = self.layers.edit

        def stroke(line: Stroke) -> None:
            if not act(line):
                say(hint)

        self.layers.draw_lines(stroke if mine.isChecked() else None)
        self.status.setText(hint if mine.isChecked() else _OPEN)

    def _on_drawing(self) -> None:
        if self.layers is not None:
            self.layers.edit.events.mode.connect(self._on_mode)
        self._stop_lines()
        self._show_state()

    def _on_mode(self, event: Any) -> None:
        """Cut and join no longer once a tool of napari's is chosen: one drag must not do both."""
        drawing = self.cut.isChecked() or self.join.isChecked()
        if drawing and str(event.mode) != "pan_zoom":
            self._stop_lines()
            self.status.setText(_OPEN)

    def _stop_lines(self) -> None:
        for button in (self.cut, self.join):
            button.setChecked(False)
        if self.layers is not None:
            self.layers.stop_lines()

    # -- state ----------------------------------------------------------------------------------------------------

    def _editable_case(self) -> Case:
        case = self.session.case
        if case is None:
            raise SettingsError("no case is open", "Analyze a slide, or open a *.leuko folder.")
        if self.session.reading is not None:
            remedy = "End it first: Review dock, Readers."
            raise SettingsError("a blinded reading is under way, and outlines are of the whole case", remedy)
        if case.readonly:
            raise CaseError("the case is open for reading only", "Close it in the other program first.", case.path)
        if case.signed:
            remedy = "Open an amendment, giving the reason, to change it."
            raise CaseError("the case is signed", remedy, case.path)
        return case

    def _show_state(self, text: str = "") -> None:
        opened, idle = self.layers is not None, self.worker is None
        self.open.setEnabled(idle)
        for button in (self.new, self.delete, self.cut, self.join, self.commit, self.discard):
            button.setEnabled(opened and idle)
        self.status.setText(text or (_OPEN if opened else _CLOSED))
