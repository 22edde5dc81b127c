"""The view of the gallery: draws the cards in sight, selects, and knows its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QMimeData,
    QModelIndex,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QDrag, QKeyEvent, QPainter, QPen, QRegion
from qtpy.QtWidgets import QAbstractItemView

from ..claimed_keys import ClaimedKeys, pressed
from ..overlay import MARK
from .cards import GAP, Cards
from .model import GalleryModel
from .places import CardPlaces

__all__ = ["MIME", "ThumbnailGrid"]

MIME = "application/x-leukoscope-cells"
"""What a drag carries: ids of cells, in decimal, by commas."""

CHOSEN = QColor(MARK)
HOVER = QColor(255, 255, 255, 150)
BACK = QColor("#2b2f37")


class ThumbnailGrid(ClaimedKeys, CardPlaces):
    """Shows the cards of a model, row by row.

    Parameters
    ----------
    model : GalleryModel
    cards : Cards
        What draws them.

    Attributes
    ----------
    keys : dict of str to str
        The label that each key, one letter, gives; they work while the grid has the focus.
    message : str
        What stands there when there is no item.
    """

    class_key = Signal(str)
    """A key asks for this label."""
    command_key = Signal(str)
    """A key asks for "undo", "redo", "confirm", "next" or "alike"."""
    menu_asked = Signal(object)
    """A menu is asked for at this place of the screen."""
    zoom_asked = Signal(int)
    """Larger, 1, or smaller, -1."""
    chosen_changed = Signal()
    """Other items are selected."""

    def __init__(self, model: GalleryModel, cards: Cards, parent: Any = None) -> None:
        super().__init__(model, cards, parent)
        self.keys: dict[str, str] = {}
        self.next_key = self.alike_key = ""
        self.message = ""
        self.hovered = -1
        self._anchor = -1  # where a selection by Shift begins
        self._mask: npt.NDArray[np.bool_] = np.zeros(0, bool)
        self.setModel(model)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setDragEnabled(True)
        self.setMouseTracking(True)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(200, 140)

    # -- drawing --------------------------------------------------------------------------------------------------

    def paintEvent(self, event: Any) -> None:  # noqa: N802
        """Draw the cards that lie in what is to be drawn anew."""
        painter = QPainter(self.viewport())
        dirty = event.rect()
        painter.fillRect(dirty, BACK)
        if not self._items.rowCount():
            painter.setPen(HOVER)
            margin = self.viewport().rect().adjusted(20, 20, -20, -20)
            painter.drawText(margin, int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap), self.message)
        pitch, columns, offset = self.cards.pitch, self.columns, self.verticalOffset()
        width, height = pitch.width(), pitch.height()
        first, last = (dirty.top() + offset) // height, (dirty.bottom() + offset) // height
        card, mask, total = self.cards.card, self._mask, self._items.rowCount()
        for item in range(first * columns, min((last + 1) * columns, total)):
            x, y = item % columns * width, item // columns * height - offset
            if x > dirty.right() or x + width < dirty.left():
                continue
            if item < len(mask) and mask[item]:
                painter.fillRect(x, y, width, height, CHOSEN)
            elif item == self.hovered:
                painter.setPen(QPen(HOVER, 1))
                painter.drawRect(x + 1, y + 1, width - 3, height - 3)
            painter.drawPixmap(x + GAP, y + GAP, card(item))
        painter.end()

    def scrollContentsBy(self, dx: int, dy: int) -> None:  # noqa: N802
        """Shift what is drawn; only what comes in sight is drawn."""
        self.viewport().scroll(dx, dy)
        self._hover(-1)  # what the resting mouse points at now was not pointed at
        self.moved.emit()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Lay out anew, the item at the top stays there."""
        old = event.oldSize().width()
        columns = max(1, old // self.cards.pitch.width()) if old > 0 else self.columns
        top = self.verticalOffset() // self.cards.pitch.height() * columns
        super().resizeEvent(event)
        self.regrid(top if columns != self.columns else None)

    def dataChanged(self, top_left: Any, bottom_right: Any, roles: Iterable[int] = ()) -> None:  # noqa: N802
        """Draw anew those of the changed items that are in sight."""
        seen = self.items_in_sight()
        for item in range(max(top_left.row(), seen.start), min(bottom_right.row() + 1, seen.stop)):
            self.viewport().update(self._rect(item))

    def redraw(self, items: Iterable[int]) -> None:
        """Draw these items anew."""
        for item in items:
            self.viewport().update(self._rect(int(item)))

    def reset(self) -> None:
        """Begin anew with what the model has now."""
        self._mask = np.zeros(self._items.rowCount(), bool)
        self.hovered = self._aim = self._anchor = -1
        super().reset()
        self.updateGeometries()
        self.viewport().update()
        self.moved.emit()

    # -- selecting ------------------------------------------------------------------------------------------------

    def chosen(self) -> npt.NDArray[np.intp]:
        """Give the selected items, ascending."""
        return np.flatnonzero(self._mask)

    def choose(self, items: npt.NDArray[Any], scroll: bool = False) -> None:
        """Select these items and no others."""
        selection = QItemSelection()
        if len(items):
            starts = np.flatnonzero(np.diff(items, prepend=-2) > 1)
            for first, last in zip(items[starts], items[np.append(starts[1:], len(items)) - 1], strict=True):
                selection.select(self._items.index(int(first)), self._items.index(int(last)))
            self._anchor = int(items[0])
            current = self._items.index(self._anchor)
            self.selectionModel().setCurrentIndex(current, QItemSelectionModel.SelectionFlag.NoUpdate)
            if scroll:
                self.scrollTo(current)
        self.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)

    def selectionChanged(self, chosen: Any, dropped: Any) -> None:  # noqa: N802
        """Draw anew what was or is selected."""
        for selection, on in ((dropped, False), (chosen, True)):
            for span in selection:
                self._mask[span.top() : span.bottom() + 1] = on
        self.viewport().update()
        self.chosen_changed.emit()

    def setSelection(self, rect: Any, command: Any) -> None:  # noqa: N802
        """Select from where a selection began to where the mouse or the keyboard is, in reading order."""
        if self._aim < 0:
            if command & QItemSelectionModel.SelectionFlag.Clear:
                self.clearSelection()
            return
        if not command & QItemSelectionModel.SelectionFlag.Current or self._anchor < 0:
            self._anchor = self._aim
        first, last = sorted((self._anchor, self._aim))
        span = QItemSelection(self._items.index(first), self._items.index(last))
        self.selectionModel().select(span, command)

    def visualRegionForSelection(self, selection: Any) -> QRegion:  # noqa: N802
        """Give the whole viewport: to look at each of 100,000 items takes longer than to draw what is in sight."""
        return QRegion(self.viewport().rect())

    def selectedIndexes(self) -> list[QModelIndex]:  # noqa: N802
        """Tell the view's base class, which asks at each drag, no more than whether there is a selection."""
        return [self._items.index(int(item)) for item in self.chosen()[:1]]

    # -- mouse and keyboard ---------------------------------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802
        """Note which item is meant."""
        self._aim = self.indexAt(event.pos()).row()
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802
        """Note which item the mouse is on."""
        item = self.indexAt(event.pos()).row()
        self._hover(item)
        if event.buttons() != Qt.MouseButton.NoButton and item >= 0:
            self._aim = item
        super().mouseMoveEvent(event)

    def leaveEvent(self, event: Any) -> None:  # noqa: N802
        """Note that the mouse is on no item."""
        self._hover(-1)
        super().leaveEvent(event)

    def _hover(self, item: int) -> None:
        if item != self.hovered:
            before, self.hovered = self.hovered, item
            self.redraw(i for i in (before, item) if i >= 0)

    def wheelEvent(self, event: Any) -> None:  # noqa: N802
        """Zoom with Ctrl, scroll without."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            if event.angleDelta().y():
                self.zoom_asked.emit(1 if event.angleDelta().y() > 0 else -1)
            event.accept()
        else:
            super().wheelEvent(event)

    def moveCursor(self, action: Any, modifiers: Any) -> QModelIndex:  # noqa: N802
        """Go where a key leads; the resting mouse means nothing then."""
        self._hover(-1)
        return super().moveCursor(action, modifiers)

    def startDrag(self, actions: Any) -> None:  # noqa: N802
        """Drag the selected cells, to a class."""
        items = self.chosen()
        if not len(items):
            return
        data = QMimeData()
        data.setData(MIME, ",".join(map(str, self._items.cells(items))).encode())
        drag = QDrag(self)
        drag.setMimeData(data)
        drag.setPixmap(self.cards.card(int(items[0])))
        drag.exec(Qt.DropAction.CopyAction)

    def contextMenuEvent(self, event: Any) -> None:  # noqa: N802
        """Offer what can be done with the selected cells, or with the one under the mouse."""
        self.menu_asked.emit(event.globalPos())
        event.accept()

    def keyboardSearch(self, text: str) -> None:  # noqa: N802
        """Letters are classes here, not the beginnings of names."""

    def _meaning(self, event: QKeyEvent) -> Callable[[], object] | None:
        key = pressed(event)
        if key in self.keys:
            return partial(self.class_key.emit, self.keys[key])
        commands = {name: name for name in ("undo", "redo", "confirm")}
        commands |= {self.next_key.lower(): "next", self.alike_key: "alike"}
        return partial(self.command_key.emit, commands[key]) if key and key in commands else None
