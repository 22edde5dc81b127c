"""The course of a fit, drawn while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["CurvePlot"]

LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 20.0, 18.0


class CurvePlot(QWidget):
    """Draws lines of points that come one after the other.

    Parameters
    ----------
    title : str
        What is drawn.
    along : str
        What it is drawn over.
    color : str
        ``#rrggbb``.
    """

    def __init__(self, title: str, along: str, color: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.along = title, along
        self._color = QColor(color)
        self.lines: list[list[tuple[float, float]]] = []
        self.marks: list[tuple[float, float]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def clear(self) -> None:
        """Begin anew."""
        self.lines, self.marks = [], []
        self.update()

    def add(self, x: float, y: float, new_line: bool = False) -> None:
        """Add a point to the last line, or begin another with it."""
        if new_line or not self.lines:
            self.lines.append([])
        self.lines[-1].append((x, y))
        self.update()

    def mark(self, x: float, y: float) -> None:
        """Add a point that stands alone."""
        self.marks.append((x, y))
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Half as wide as the dock."""
        return QSize(230, 130)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As small as can still be read."""
        return QSize(125, 90)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw title, scale, lines and marks."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(self.foregroundRole())
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() * 0.85, 6.0) if font.pointSizeF() > 0 else 8.0)
        painter.setFont(font)
        painter.setPen(ink)
        width, height = float(self.width()), float(self.height())
        across = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(LEFT, 0, width - LEFT - RIGHT, TOP - 4), across, self.title)
        middle = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(LEFT, height - BOTTOM, width - LEFT - RIGHT, BOTTOM), middle, self.along)
        every = [*self.marks, *(point for line in self.lines for point in line)]
        if every:
            self._draw(painter, ink, every)
        painter.end()

    def _draw(self, painter: QPainter, ink: QColor, every: Sequence[tuple[float, float]]) -> None:
        (left, right), (low, high) = ((min(v), max(v)) for v in zip(*every, strict=True))
        right, high = right if right > left else left + 1, high if high > low else low + 1e-9
        width, height = self.width() - LEFT - RIGHT, self.height() - TOP - BOTTOM

        def place(point: tuple[float, float]) -> QPointF:
            x, y = (point[0] - left) / (right - left), (point[1] - low) / (high - low)
            return QPointF(LEFT + x * width, TOP + (1 - y) * height)

        faint = QColor(ink)
        faint.setAlphaF(0.2)
        aside = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value in (low, (low + high) / 2, high):
            y = place((left, value)).y()
            painter.setPen(faint)
            painter.drawLine(QPointF(LEFT, y), QPointF(LEFT + width, y))
            painter.setPen(ink)
            painter.drawText(QRectF(0, y - 8, LEFT - 4, 16), aside, f"{value:.3g}")
        earlier = QColor(self._color)
        earlier.setAlphaF(0.45)
        for line in self.lines:
            painter.setPen(QPen(self._color, 1.8) if line is self.lines[-1] else QPen(earlier, 1.0))
            for a, b in pairwise(map(place, line)):
                painter.drawLine(a, b)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(ink if self.marks else self._color)
        for point in self.marks or [self.lines[-1][-1]]:
            painter.drawEllipse(place(point), 3.0, 3.0)
