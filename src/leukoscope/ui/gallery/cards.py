"""What a cell looks like in the gallery: drawn once, kept as a picture, put on screen as often as it is scrolled by."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from qtpy.QtCore import QPointF, QRect, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QImage, QPainter, QPen, QPixmap, QPolygonF

from .model import GalleryModel
from .thumbnails import Thumbnails

__all__ = ["Cards"]

STRIPE = 5
CAPTION = 15
GAP = 3  # around each card, where the selection shows
BUDGET = 64 * 2**20  # bytes of cards that are kept
WAITING = QColor("#6b6f78")
CAPTION_BACK = QColor("#1b1e24")
CAPTION_INK = QColor("#e8e8e8")
NO_SLIDE, WAITS, UNREADABLE, READ = range(4)
_TEXTS = {NO_SLIDE: "slide\nmissing", UNREADABLE: "cannot\nbe read"}


class Cards:
    """Draws the cells of a model: thumbnail, stripe in the color of the class, name, probability, a tick if reviewed.

    Parameters
    ----------
    model : GalleryModel
        Whose items are drawn.
    thumbnails : Thumbnails
        Their pictures.

    Attributes
    ----------
    side : int
        Of a thumbnail, px.
    """

    def __init__(self, model: GalleryModel, thumbnails: Thumbnails) -> None:
        self.model = model
        self.thumbnails = thumbnails
        self.side = 96
        self.ratio = 1.0
        self._kept: OrderedDict[int, tuple[tuple[int, bool, int], QPixmap]] = OrderedDict()
        self._font = QFont()
        self._font.setPixelSize(11)
        self._metrics = QFontMetrics(self._font)

    @property
    def pitch(self) -> QSize:
        """From one card to the next."""
        return QSize(self.side + STRIPE + 2 * GAP, self.side + CAPTION + 2 * GAP)

    def resize(self, side: int, ratio: float) -> None:
        """Draw cards of another size, px, for a screen of so many device pixels per px."""
        if (side, ratio) != (self.side, self.ratio):
            self.side, self.ratio = side, ratio
            self.clear()

    def clear(self) -> None:
        """Forget what was drawn."""
        self._kept.clear()

    def card(self, item: int) -> QPixmap:
        """Give the picture of an item."""
        model = self.model
        table = model.table
        if table is None:
            raise RuntimeError("there are no cells")
        row = int(model.order[item])
        known, image = self.thumbnails.get(row + 1)
        state = (READ if image is not None else UNREADABLE) if known else WAITS
        if state == WAITS and not self.thumbnails.has_source:
            state = NO_SLIDE
        look = (int(table.codes[row]), bool(table.reviewed[row]), state)
        kept = self._kept.get(row)
        if kept is not None and kept[0] == look:
            self._kept.move_to_end(row)
            return kept[1]
        drawn = self._draw(row, image, state)
        self._kept[row] = look, drawn
        if len(self._kept) * 4 * drawn.width() * drawn.height() > BUDGET:
            self._kept.popitem(last=False)
        return drawn

    def _draw(self, row: int, image: QImage | None, state: int) -> QPixmap:
        table, taxonomy = self.model.table, self.model.taxonomy
        if table is None:
            raise RuntimeError("there are no cells")
        side, label = self.side, table.label(row)
        width, height = side + STRIPE, side + CAPTION
        drawn = QPixmap(round(width * self.ratio), round(height * self.ratio))
        drawn.setDevicePixelRatio(self.ratio)
        painter = QPainter(drawn)
        painter.setFont(self._font)
        square = QRect(STRIPE, 0, side, side)
        if image is None:
            painter.fillRect(square, WAITING)
            if state in _TEXTS:
                painter.setPen(CAPTION_INK)
                painter.drawText(square, int(Qt.AlignmentFlag.AlignCenter), _TEXTS[state])
        else:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(square, image)
        painter.fillRect(0, side, width, CAPTION, CAPTION_BACK)
        self._caption(painter, taxonomy.name(label), float(table.probability[row]))
        painter.fillRect(0, 0, STRIPE, height, QColor(taxonomy.color(label)))
        painter.setPen(QColor(255, 255, 255, 70))  # else black and white classes melt into their surroundings
        painter.drawLine(STRIPE - 1, 0, STRIPE - 1, height)
        if table.reviewed[row]:
            self._tick(painter)
        painter.end()
        return drawn

    def _caption(self, painter: QPainter, name: str, probability: float) -> None:
        figure = "–" if np.isnan(probability) else f"{100 * probability:.0f}"
        wide = self._metrics.horizontalAdvance(figure)
        room = self.side - wide - 8
        painter.setPen(CAPTION_INK)
        box = QRect(STRIPE + 3, self.side, self.side - 6, CAPTION)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), figure)
        if room > 24:
            text = self._metrics.elidedText(name, Qt.TextElideMode.ElideRight, room)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), text)

    def _tick(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        circle = QRectF(self.side + STRIPE - 17, 3, 14, 14)
        painter.setPen(QPen(QColor("white"), 1.2))
        painter.setBrush(QColor("#1f7a3a"))
        painter.drawEllipse(circle)
        painter.setPen(QPen(QColor("white"), 1.8))
        x, y = circle.left(), circle.top()
        corners = [QPointF(x + 3.6, y + 7.2), QPointF(x + 6.2, y + 9.8), QPointF(x + 10.6, y + 4.6)]
        painter.drawPolyline(QPolygonF(corners))
