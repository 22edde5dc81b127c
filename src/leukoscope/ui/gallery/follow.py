"""One selection in two places: the thumbnails and the points on the slide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from .._state import Session
from ..review import look_at

__all__ = ["SlideLink"]

MOST = 5000  # napari takes a second or more to ring 100,000 points, and nobody looks at them one by one
LOOK_MS = 40  # an arrow key that is held down does not move the camera for every cell that it passes


class SlideLink(QObject):
    """Keeps the points that are selected on the slide and the cells that are in step.

    Parameters
    ----------
    session : Session
        Whose layer of cells it follows, whichever that is.
    """

    picked = Signal(object)
    """Cells, by id, were selected on the slide."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._layer: Any = None
        self._ours = False
        self._look_at = 0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)

    def attach(self) -> None:
        """Follow the session's layer of cells, where it is another than before."""
        layer = self._session.cells
        if layer is not self._layer:
            self.detach()
            self._layer = layer
            if layer is not None:
                layer.selected_data.events.items_changed.connect(self._on_slide)

    def detach(self, *_: Any) -> None:
        """Follow nothing."""
        if self._layer is not None:
            self._layer.selected_data.events.items_changed.disconnect(self._on_slide)
            self._layer = None

    def select(self, cells: Sequence[int]) -> None:
        """Select cells, by id, on the slide, none if there are very many; the camera goes to one that is alone."""
        layer = self._session.cells
        rows = {cell - 1 for cell in cells} if len(cells) <= MOST else set()
        if layer is None or (rows and max(rows) >= len(layer.data)):
            return
        self._ours = True
        try:
            layer.selected_data = rows
        finally:
            self._ours = False
        if len(rows) == 1:
            self._look_at = next(iter(rows))
            self._timer.start()

    def _look(self) -> None:
        layer = self._session.cells
        if layer is not None and self._look_at < len(layer.data):
            look_at(self._session, self._look_at)

    def _on_slide(self, *_: object) -> None:
        if not self._ours and self._layer is not None:
            self.picked.emit(sorted(int(row) + 1 for row in self._layer.selected_data))
