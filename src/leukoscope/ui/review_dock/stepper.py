"""One cell after another: the camera goes there, and a key says what the cell is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QFocusEvent, QKeyEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from .._state import Session
from ..claimed_keys import ClaimedKeys, pressed
from ..notify import reporting_errors
from ..review import look_at, redo, undo
from .tab import button, label

__all__ = ["CorrectingStepper", "Stepper"]

_FOCUSED = "QFrame#stepper { border: 2px solid #ffd54a; border-radius: 3px; }"
_RESTING = "QFrame#stepper { border: 2px solid palette(mid); border-radius: 3px; }"


class Stepper(ClaimedKeys, QFrame):
    """Goes through cells, by id, and says what a key means for the one it is at.

    The keys mean the cell that it is at, wherever the mouse is: that is why they are taken here, and not left to the
    layer of cells.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    labeled = Signal(int, str)
    """A cell, by id, is to get a label."""
    confirmed = Signal(int)
    """A cell, by id, is what it is labeled."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.cells: list[int] = []
        self.done: Collection[int] = ()
        self.current: int | None = None
        self.setObjectName("stepper")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setStyleSheet(_RESTING)
        self.what = QLabel()
        self.what.setTextFormat(Qt.TextFormat.RichText)
        self.hint = label()
        self.back = button("◀", self.previous, "The one before (←)")
        self.forth = button("▶", self.next, "The next that is not done (→)")
        self.yes = button("Confirm", self._confirm, "It is what it is labeled (Enter)")
        row = QHBoxLayout()
        row.addWidget(self.back)
        row.addWidget(self.what, stretch=1)
        row.addWidget(self.yes)
        row.addWidget(self.forth)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.hint)
        self._say()

    # -- where it is ----------------------------------------------------------------------------------------------

    def show_cells(self, cells: Sequence[int], done: Collection[int]) -> None:
        """Go through other cells, or the same with others done; the cell it is at stays if it is among them."""
        self.cells, self.done = list(cells), done
        if self.current not in self.cells:
            self.current = None
        self._say()

    @property
    def left(self) -> list[int]:
        """The cells not done, in their order."""
        return [cell for cell in self.cells if cell not in self.done]

    def go(self, cell: int) -> None:
        """Go to a cell: select it, and move the camera there."""
        self.current = cell
        layer = self.session.cells
        if layer is not None and cell <= len(layer.data):
            self.session.viewer.layers.selection.active = layer
            layer.selected_data = {cell - 1}
            look_at(self.session, cell - 1)
        self._say()

    def next(self) -> None:
        """Go to the next cell that is not done, from the end on to the first."""
        at = -1 if self.current is None else self.cells.index(self.current)
        order = [*self.cells[at + 1 :], *self.cells[: at + 1]]
        following = next((cell for cell in order if cell not in self.done), None)
        if following is not None:
            self.go(following)
        self.setFocus()

    def previous(self) -> None:
        """Go to the cell before, done or not."""
        if self.cells:
            at = 0 if self.current is None else self.cells.index(self.current)
            self.go(self.cells[at - 1])
        self.setFocus()

    def advance(self, cells: Collection[int]) -> None:
        """Go on if the cell it is at is among those that were just done."""
        if self.current in cells and self.current in self.done and self.left:
            self.next()

    # -- keys -----------------------------------------------------------------------------------------------------

    def focusInEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802
        """Show that the keys mean this cell now."""
        self.setStyleSheet(_FOCUSED)
        self._say()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802
        """Show that they no longer do."""
        self.setStyleSheet(_RESTING)
        self._say()
        super().focusOutEvent(event)

    def _meaning(self, event: QKeyEvent) -> Callable[[], object] | None:
        key = pressed(event)
        if key in self.session.keys:
            return partial(self._label, self.session.keys[key])
        commands: dict[str, Callable[[], object]] = {
            "undo": partial(undo, self.session),
            "redo": partial(redo, self.session),
            "confirm": self._confirm,
            "right": self.next,
            "left": self.previous,
        }
        return commands.get(key)

    def _label(self, given: str) -> None:
        if self.current is not None:
            self.labeled.emit(self.current, given)

    def _confirm(self) -> None:
        if self.current is not None:
            self.confirmed.emit(self.current)
        self.setFocus()

    # -- what it says ---------------------------------------------------------------------------------------------

    def _say(self) -> None:
        case = self.session.case
        for widget, on in ((self.back, self.cells), (self.forth, self.left), (self.yes, self.current)):
            widget.setEnabled(bool(on))
        if case is None or self.current is None:
            self.what.setText("" if not self.cells else "All done." if not self.left else "▶ begins.")
        else:
            given = case.labels([self.current])[self.current]
            color, name = case.taxonomy.color(given), case.taxonomy.name(given)
            seen = " ✓" if self.current in self.done else ""
            self.what.setText(f'Cell {self.current}: <span style="color:{color}">⬤</span> <b>{name}</b>{seen}')
        keys = (
            "Class keys and Enter mean this cell"
            if self.hasFocus()
            else "Click here, then class keys and Enter mean this cell"
        )
        self.hint.setText(f"{keys}; ← and → go on; Ctrl+Z undoes." if self.cells else "")
        self.hint.setVisible(bool(self.cells))


class CorrectingStepper(Stepper):
    """What is said of a cell goes to the case at once, or to the reading that is under way."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self.labeled.connect(self._relabel)
        self.confirmed.connect(self._mark)

    def _relabel(self, cell: int, given: str) -> None:
        with reporting_errors():
            self.session.relabel([cell], given)

    def _mark(self, cell: int) -> None:
        with reporting_errors():
            self.session.confirm([cell])
