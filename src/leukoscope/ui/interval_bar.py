"""A percentage, drawn: a scale with the profile's thresholds, a bar for the interval, a mark for the value."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QTextOption
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["IntervalBar"]

_SCALES = (5.0, 10.0, 25.0, 50.0, 100.0)


class IntervalBar(QWidget):
    """Draws a percentage, its confidence interval and thresholds on one scale that starts at zero.

    Parameters
    ----------
    color : str
        Of the interval and the mark, ``#rrggbb``.
    """

    def __init__(self, color: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._color = QColor(color)
        self._percent: float | None = None
        self._low, self._high = 0.0, 100.0
        self._thresholds: tuple[float, ...] = ()
        self._reach = 0.0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_values(
        self, percent: float | None, low: float, high: float, thresholds: Sequence[float] = (), reach: float = 0.0
    ) -> None:
        """Show a percentage, 0..100, with its interval; None draws the empty scale.

        `reach` is what the scale must hold besides, so that bars below each other can have the same one.
        """
        self._percent, self._low, self._high, self._reach = percent, low, high, reach
        self._thresholds = tuple(thresholds)
        self.update()

    @property
    def scale_end(self) -> float:
        """The scale's right end, percent: the smallest round number that holds the interval and every threshold."""
        reach = max((self._high if self._percent is not None else 0.0, *self._thresholds, self._reach))
        return next((end for end in _SCALES if end >= reach), 100.0)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Wide, and tall enough for two rows of figures."""
        return QSize(260, 46)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As low as `sizeHint`, but narrower."""
        return QSize(160, 46)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the scale, the interval, the value and the thresholds."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(self.foregroundRole())
        faint = QColor(ink)
        faint.setAlphaF(0.35)
        margin, top, height = 12.0, 16.0, 12.0
        width = self.width() - 2 * margin
        end = self.scale_end

        def at(percent: float) -> float:
            return margin + width * min(percent, end) / end

        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() * 0.85, 6.0) if font.pointSizeF() > 0 else 8.0)
        painter.setFont(font)
        track = QColor(ink)
        track.setAlphaF(0.12)
        painter.fillRect(QRectF(margin, top, width, height), track)
        edge = 0.0  # where the name of the threshold before ends
        for threshold in sorted(self._thresholds):
            painter.setPen(QPen(ink, 1.0, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(at(threshold), top - 3), QPointF(at(threshold), top + height + 3))
            text = f"{threshold:g} %"
            wide = painter.fontMetrics().horizontalAdvance(text)
            self._write(painter, max(at(threshold), edge + wide / 2), 0.0, text)
            edge = max(at(threshold), edge + wide / 2) + wide / 2 + 5
        if self._percent is not None:
            bar = QColor(self._color)
            bar.setAlphaF(0.55)
            left, right = at(self._low), at(self._high)
            painter.fillRect(QRectF(left, top + 2, max(right - left, 1.0), height - 4), bar)
            painter.setPen(QPen(self._color, 3.0))
            painter.drawLine(QPointF(at(self._percent), top - 2), QPointF(at(self._percent), top + height + 2))
        painter.setPen(QPen(faint, 1.0))
        painter.drawLine(QPointF(margin, top + height), QPointF(margin + width, top + height))
        for figure in (0.0, end / 2, end):
            painter.setPen(faint)
            painter.drawLine(QPointF(at(figure), top + height), QPointF(at(figure), top + height + 4))
            painter.setPen(ink)
            self._write(painter, at(figure), top + height + 4, f"{figure:g}")
        painter.end()

    def _write(self, painter: QPainter, center: float, top: float, text: str) -> None:
        width = 60.0
        left = min(max(center - width / 2, 0.0), self.width() - width)
        align = Qt.AlignmentFlag.AlignHCenter
        if left > center - width / 2:
            align, left = Qt.AlignmentFlag.AlignLeft, max(center - 4, 0.0)
        elif left < center - width / 2:
            align, left = Qt.AlignmentFlag.AlignRight, min(center + 6 - width, self.width() - width)
        painter.drawText(QRectF(left, top, width, 14.0), text, QTextOption(align))
