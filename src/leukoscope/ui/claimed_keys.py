"""Keys that a widget of ours takes before a shortcut of napari's window does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QKeyEvent

from .notify import reporting_errors

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget as _Widget
else:
    _Widget = object

__all__ = ["ClaimedKeys", "pressed"]

_HELD = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier
_NAMED = {
    Qt.Key.Key_Return: "confirm",
    Qt.Key.Key_Enter: "confirm",
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
}


class ClaimedKeys(_Widget):
    """Mixed into a widget, before Qt's class: keys that mean something there are its own while it has the focus."""

    def _meaning(self, event: QKeyEvent) -> Callable[[], object] | None:
        """Find what a key does here; None leaves it to others."""
        raise NotImplementedError

    def event(self, event: Any) -> bool:
        """Claim our keys before a shortcut of napari's window gets them; only while this has the focus."""
        if event.type() == QEvent.Type.ShortcutOverride and self._meaning(event) is not None:
            event.accept()
            return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Do what a key means here."""
        action = self._meaning(event)
        if action is None:
            super().keyPressEvent(event)
            return
        with reporting_errors():
            action()
        event.accept()


def pressed(event: QKeyEvent) -> str:
    """Name a key: a letter, "undo", "redo", "confirm", "left" or "right"; "" for all others."""
    key, held = event.key(), event.modifiers()
    if key == Qt.Key.Key_Z and held & Qt.KeyboardModifier.ControlModifier:
        return "redo" if held & Qt.KeyboardModifier.ShiftModifier else "undo"
    if held & _HELD:
        return ""
    return chr(key).lower() if Qt.Key.Key_A <= key <= Qt.Key.Key_Z else _NAMED.get(key, "")
