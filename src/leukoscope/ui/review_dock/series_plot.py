"""Blast percentages by date, drawn: a mark and its interval for each count."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from leukoscope.hematology import DatedCount

__all__ = ["SeriesPlot"]

_STEPS = (1.0, 2.0, 5.0, 10.0, 25.0)
LEFT, RIGHT, TOP, BOTTOM = 38.0, 14.0, 10.0, 22.0


class SeriesPlot(QWidget):
    """Draws the counts of a series over time, with the thresholds of the profile.

    Parameters
    ----------
    color : str
        Of marks and intervals, ``#rrggbb``.
    """

    def __init__(self, color: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._color = QColor(color)
        self._counts: tuple[DatedCount, ...] = ()
        self._thresholds: tuple[float, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def set_counts(self, counts: Sequence[DatedCount], thresholds: Sequence[float] = ()) -> None:
        """Show other counts, in order of time."""
        self._counts, self._thresholds = tuple(counts), tuple(thresholds)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as the dock, a third as high."""
        return QSize(420, 170)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As small as can still be read."""
        return QSize(220, 120)

    @property
    def top(self) -> float:
        """The scale's upper end, percent."""
        reach = max((count.high for count in self._counts), default=100.0)
        step = self._step(reach)
        return min(100.0, step * ceil(reach / step - 1e-9))

    def place(self, i: int, percent: float) -> QPointF:
        """Find where a percentage of a count is drawn."""
        days = [count.day.toordinal() for count in self._counts]
        span = days[-1] - days[0]
        inset = 0.06
        share = inset + (1 - 2 * inset) * (days[i] - days[0]) / span if span else (i + 0.5) / len(days)
        width, height = self.width() - LEFT - RIGHT, self.height() - TOP - BOTTOM
        return QPointF(LEFT + share * width, TOP + (1 - percent / self.top) * height)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw scale, thresholds, intervals and marks."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(self.foregroundRole())
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() * 0.85, 6.0) if font.pointSizeF() > 0 else 8.0)
        painter.setFont(font)
        if self._counts:
            self._scale(painter, ink)
            self._marks(painter, ink)
        painter.end()

    @staticmethod
    def _step(reach: float) -> float:
        return next((step for step in _STEPS if reach / step <= 5), _STEPS[-1])

    def _scale(self, painter: QPainter, ink: QColor) -> None:
        faint = QColor(ink)
        faint.setAlphaF(0.2)
        step, right = self._step(self.top), self.width() - RIGHT
        for i in range(round(self.top / step) + 1):
            y = self.place(0, i * step).y()
            painter.setPen(faint)
            painter.drawLine(QPointF(LEFT, y), QPointF(right, y))
            painter.setPen(ink)
            align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(0, y - 8, LEFT - 5, 16), align, f"{i * step:g} %")
        painter.setPen(QPen(ink, 1.0, Qt.PenStyle.DashLine))
        for threshold in self._thresholds:
            if threshold < self.top:
                y = self.place(0, threshold).y()
                painter.drawLine(QPointF(LEFT, y), QPointF(right, y))

    def _marks(self, painter: QPainter, ink: QColor) -> None:
        bar = QColor(self._color)
        bar.setAlphaF(0.55)
        places = [self.place(i, count.percent) for i, count in enumerate(self._counts)]
        painter.setPen(QPen(bar, 1.0))
        for a, b in pairwise(places):
            painter.drawLine(a, b)
        written = -1e9
        for i, (count, at) in enumerate(zip(self._counts, places, strict=True)):
            painter.setPen(QPen(bar, 5.0, cap=Qt.PenCapStyle.FlatCap))
            painter.drawLine(self.place(i, count.low), self.place(i, count.high))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._color)
            painter.drawEllipse(at, 4.0, 4.0)
            if at.x() - written > 76:  # dates that would run into each other are left out
                written = at.x()
                left = min(max(at.x() - 40, 0.0), self.width() - 80)
                painter.setPen(ink)
                box = QRectF(left, self.height() - BOTTOM + 4, 80, 16)
                painter.drawText(box, Qt.AlignmentFlag.AlignHCenter, count.day.isoformat())
