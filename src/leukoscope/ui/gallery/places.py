"""Where the cards of the gallery lie: computed, so that 100,000 cells open as fast as ten.

QListView lays out every item, 0.1 to 0.5 s at 100,000, at each reset, each new size and each step of the zoom; here all
cards are alike, and where one lies is a division.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QModelIndex, QPoint, QRect, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView

from .cards import Cards
from .model import GalleryModel

__all__ = ["CardPlaces"]


class CardPlaces(QAbstractItemView):
    """The half of the view that knows places: scrolling, the item at a point, the item that an arrow key leads to.

    Parameters
    ----------
    model : GalleryModel
    cards : Cards
        How large they are.
    """

    moved = Signal()
    """Other items may be in sight."""

    def __init__(self, model: GalleryModel, cards: Cards, parent: Any = None) -> None:
        super().__init__(parent)
        self.cards = cards
        self._items = model
        self._aim = -1  # the item that the mouse or the keyboard is at now
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # a grid that does not jump in width

    @property
    def columns(self) -> int:
        """How many cards stand side by side."""
        return max(1, self.viewport().width() // self.cards.pitch.width())

    def items_in_sight(self) -> range:
        """Give the items that are, wholly or partly, in sight."""
        pitch, columns = self.cards.pitch.height(), self.columns
        first = self.verticalOffset() // pitch
        last = (self.verticalOffset() + self.viewport().height() - 1) // pitch
        return range(first * columns, min((last + 1) * columns, self._items.rowCount()))

    def visualRect(self, index: Any) -> QRect:  # noqa: N802
        """Give the place of an item, in px of the viewport."""
        return self._rect(index.row()) if index.isValid() else QRect()

    def _rect(self, item: int) -> QRect:
        pitch = self.cards.pitch
        down, across = divmod(item, self.columns)
        place = QPoint(across * pitch.width(), down * pitch.height() - self.verticalOffset())
        return QRect(place, pitch)

    def indexAt(self, point: QPoint) -> QModelIndex:  # noqa: N802
        """Find the item at a place of the viewport."""
        pitch, columns = self.cards.pitch, self.columns
        across = point.x() // pitch.width()
        item = (point.y() + self.verticalOffset()) // pitch.height() * columns + across
        inside = 0 <= across < columns and 0 <= item < self._items.rowCount()
        return self._items.index(item) if inside else QModelIndex()

    def scrollTo(self, index: Any, hint: Any = QAbstractItemView.ScrollHint.EnsureVisible) -> None:  # noqa: N802
        """Bring an item in sight; into the middle where it was not."""
        rect, height = self.visualRect(index), self.viewport().height()
        bar = self.verticalScrollBar()
        if not rect.isValid():
            return
        if rect.bottom() < 0 or rect.top() > height:
            bar.setValue(bar.value() + rect.center().y() - height // 2)
        elif rect.top() < 0:
            bar.setValue(bar.value() + rect.top())
        elif rect.bottom() > height:
            bar.setValue(bar.value() + min(rect.bottom() - height, rect.top()))

    def horizontalOffset(self) -> int:  # noqa: N802
        """Nothing lies beside the viewport."""
        return 0

    def verticalOffset(self) -> int:  # noqa: N802
        """How far the grid is scrolled, px."""
        return int(self.verticalScrollBar().value())

    def isIndexHidden(self, index: Any) -> bool:  # noqa: N802
        """No item is hidden: what the filters leave out is not in the model."""
        return False

    def updateGeometries(self) -> None:  # noqa: N802
        """Set the scroll bar's range."""
        rows = -(-self._items.rowCount() // self.columns)
        pitch, height = self.cards.pitch.height(), self.viewport().height()
        self.verticalScrollBar().setRange(0, max(0, rows * pitch - height))
        self.verticalScrollBar().setPageStep(height)
        self.verticalScrollBar().setSingleStep(max(1, pitch // 3))
        super().updateGeometries()

    def regrid(self, cell_in_sight: int | None = None) -> None:
        """Lay out anew after the cards have changed in size; what was in sight stays so."""
        bar, before = self.verticalScrollBar(), cell_in_sight
        self.updateGeometries()
        if before is not None and before < self._items.rowCount():
            bar.setValue(before // self.columns * self.cards.pitch.height())
        self.viewport().update()
        self.moved.emit()

    def moveCursor(self, action: Any, modifiers: Any) -> QModelIndex:  # noqa: N802
        """Find where a key of the arrows' block leads."""
        total, columns = self._items.rowCount(), self.columns
        if not total:
            return QModelIndex()
        at = self.currentIndex().row()
        page = max(1, self.viewport().height() // self.cards.pitch.height()) * columns
        kind = QAbstractItemView.CursorAction
        steps = {
            kind.MoveLeft: -1,
            kind.MovePrevious: -1,
            kind.MoveRight: 1,
            kind.MoveNext: 1,
            kind.MoveUp: -columns,
            kind.MoveDown: columns,
            kind.MovePageUp: -page,
            kind.MovePageDown: page,
            kind.MoveHome: -total,
            kind.MoveEnd: total,
        }
        to = at + steps[action] if at >= 0 else 0
        if action in (kind.MoveUp, kind.MoveDown) and not 0 <= to < total:
            to = at
        self._aim = min(max(to, 0), total - 1)
        return self._items.index(self._aim)
