"""What every tab of the Review dock has: the session, and when to look at it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from .._state import Session

__all__ = ["Tab", "button", "label", "line"]

GATHER_MS = 300  # changes are gathered for so long before what takes time is computed again


class Tab(QWidget):
    """A tab. The dock calls `refresh` when something has changed and the tab is the one shown, or becomes it.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    title = ""
    during_reading = False
    """Whether it may be used while a blinded reading is under way."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.page = QVBoxLayout(self)
        self.page.setSpacing(6)
        self.page.setContentsMargins(6, 6, 6, 6)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(GATHER_MS)
        self._later.timeout.connect(self.compute)

    def refresh(self) -> None:
        """Show the case as it is now: at once what is quick, the rest a little later."""
        self._later.start()

    def compute(self) -> None:
        """Work out what takes time, and show it."""

    def on_case(self) -> None:
        """Forget what was chosen for the case before."""

    def on_relabeled(self, ids: list[int]) -> None:
        """Follow labels that were given, by id, whether or not the tab is shown."""


def label(text: str = "", bold: bool = False) -> QLabel:
    """Make a label that breaks its lines."""
    made = QLabel(text)
    made.setWordWrap(True)
    if bold:
        made.setStyleSheet("font-weight: 600;")
    return made


def line(*widgets: QWidget) -> QWidget:
    """Put widgets side by side."""
    made = QWidget()
    layout = QHBoxLayout(made)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return made


def button(text: str, action: Callable[[], Any], tip: str = "") -> QPushButton:
    """Make a button that leaves the keys where they are."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.clicked.connect(lambda *_: action())
    return made
