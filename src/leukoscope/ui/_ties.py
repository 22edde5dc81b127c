"""What a widget listens to, until Qt deletes it."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

__all__ = ["Ties"]


class Ties:
    """Connect signals that outlive a widget, and disconnect them when Qt has deleted it; the widget keeps this.

    A nested function of the widget's cannot do that: the garbage collector may have emptied it by then, and to call it
    ends the program.

    Parameters
    ----------
    widget : QWidget
    *pairs : (signal, slot)
        Of the session or of napari, with methods of the widget.
    """

    def __init__(self, widget: QWidget, *pairs: tuple[Any, Any]) -> None:
        self._pairs = pairs
        for signal, slot in pairs:
            signal.connect(slot)
        widget.destroyed.connect(self.end)

    def end(self, *_: Any) -> None:
        """Disconnect them."""
        for signal, slot in self._pairs:
            signal.disconnect(slot)
