"""A button a class: its color, its key, its number of cells. It filters, and takes cells that are dropped on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QEvent, QRect, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFontMetrics, QPainter, QPen
from qtpy.QtWidgets import QAbstractButton, QSizePolicy, QWidget
from superqt import QFlowLayout

from leukoscope.classification.taxonomy import Taxonomy

from .grid import MIME

__all__ = ["ClassChip", "ClassChips"]

HEIGHT = 22
SWATCH = 6
KEY = 16


class ClassChip(QAbstractButton):
    """One class; checked while the filter names it.

    Parameters
    ----------
    label, name, color : str
        Of the class.
    """

    dropped = Signal(str, object)
    """Cells, by id, were dropped on this label."""

    def __init__(self, label: str, name: str, color: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.label, self.name = label, name
        self.key = ""
        self.count = 0
        self.short = False
        self._color = QColor(color)
        self._aimed_at = False
        self.setCheckable(True)
        self.setAcceptDrops(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay with the thumbnails
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        font = self.font()
        font.setPixelSize(12)
        self.setFont(font)

    def say(self, key: str, count: int) -> None:
        """Show the key and the number of cells."""
        if (key, count) != (self.key, self.count) or not self.toolTip():
            wider = len(f"{count:,}") != len(f"{self.count:,}")
            self.key, self.count = key, count
            self.setAccessibleName(f"{self.name}, {count}")
            press = f" {key.upper()} makes the selected cells: {self.name}. Or drop them here." if key else ""
            self.setToolTip(f"Show only {self.name.lower()}; Ctrl-click for several.{press}")
            if wider:
                self.updateGeometry()
            self.update()

    def shorten(self, short: bool) -> None:
        """Leave the name to the tool tip, where there is a key to tell the class by."""
        short = short and bool(self.key)
        if short != self.short:
            self.short = short
            self.updateGeometry()

    def sizeHint(self) -> QSize:  # noqa: N802
        """As wide as the name and the number."""
        metrics = QFontMetrics(self.font())
        text = metrics.horizontalAdvance(f"{self.count:,}")
        text += 0 if self.short else metrics.horizontalAdvance(self.name) + 8
        return QSize(SWATCH + KEY + text + 14, HEIGHT)

    def paintEvent(self, _: Any) -> None:  # noqa: N802
        """Draw swatch, key, name and number."""
        painter = QPainter(self)
        ink = self.palette().color(self.foregroundRole())
        back = QColor(ink)
        back.setAlphaF(0.32 if self.isChecked() else 0.2 if self.underMouse() else 0.1)
        painter.fillRect(self.rect(), back)
        painter.fillRect(0, 0, SWATCH, self.height(), self._color)
        faint = QColor(ink)
        faint.setAlphaF(0.35)
        painter.setPen(faint)
        painter.drawLine(SWATCH, 0, SWATCH, self.height())
        if self._aimed_at or self.isChecked():
            painter.setPen(QPen(ink, 2 if self._aimed_at else 1))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        center = int(Qt.AlignmentFlag.AlignCenter)
        if not self.count:
            ink.setAlphaF(0.55)
        if self.key:
            box = QRect(SWATCH + 4, 3, KEY, self.height() - 6)
            painter.setPen(faint)
            painter.drawRect(box.adjusted(0, 0, -1, -1))
            painter.setPen(ink)
            painter.drawText(box, center, self.key.upper())
        painter.setPen(ink)
        rest = QRect(SWATCH + KEY + 9, 0, self.width() - SWATCH - KEY - 14, self.height())
        if not self.short:
            painter.drawText(rest, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), self.name)
        painter.drawText(rest, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), f"{self.count:,}")
        painter.end()

    def changeEvent(self, event: Any) -> None:  # noqa: N802
        """Take another font's widths."""
        if event.type() == QEvent.Type.FontChange:
            self.updateGeometry()
        super().changeEvent(event)

    def dragEnterEvent(self, event: Any) -> None:  # noqa: N802
        """Take cells, nothing else."""
        if event.mimeData().hasFormat(MIME):
            self._aim(True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: Any) -> None:  # noqa: N802
        """Let the drag go on."""
        self._aim(False)
        super().dragLeaveEvent(event)

    def dropEvent(self, event: Any) -> None:  # noqa: N802
        """Give the cells this class."""
        self._aim(False)
        ids = [int(cell) for cell in bytes(event.mimeData().data(MIME)).decode().split(",") if cell]
        event.acceptProposedAction()
        self.dropped.emit(self.label, ids)

    def _aim(self, on: bool) -> None:
        self._aimed_at = on
        self.update()


class ClassChips(QWidget):
    """The chips of all classes that a key can give, or that a cell has."""

    filtered = Signal()
    """Other chips are checked."""
    dropped = Signal(str, object)
    """As of `ClassChip`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.chips: dict[str, ClassChip] = {}
        self._short = False
        self._flow = QFlowLayout(self)
        self._flow.setContentsMargins(0, 0, 0, 0)
        self._flow.setHorizontalSpacing(4)
        self._flow.setVerticalSpacing(4)

    @property
    def checked(self) -> frozenset[str]:
        """The labels that are filtered by; empty for all."""
        return frozenset(label for label, chip in self.chips.items() if chip.isChecked())

    def show_classes(self, taxonomy: Taxonomy, keys: Mapping[str, str], counts: Mapping[str, int]) -> None:
        """Show the classes with their keys (label by key) and numbers of cells (by label)."""
        by_label = {label: key for key, label in keys.items()}
        wanted = taxonomy.order([*by_label, *(label for label, count in counts.items() if count), *self.checked])
        if wanted != list(self.chips):
            checked = self.checked
            for chip in self.chips.values():
                self._flow.removeWidget(chip)
                chip.deleteLater()
            self.chips = {}
            for label in wanted:
                chip = ClassChip(label, taxonomy.name(label), taxonomy.color(label), self)
                chip.setChecked(label in checked)
                chip.clicked.connect(self._on_click)
                chip.dropped.connect(self.dropped)
                self._flow.addWidget(chip)
                chip.show()
                self.chips[label] = chip
        for label, chip in self.chips.items():
            chip.say(by_label.get(label, ""), counts.get(label, 0))
            chip.shorten(self._short)

    def shorten(self, short: bool) -> None:
        """Show keys and numbers without names, in a dock that is not tall."""
        self._short = short
        for chip in self.chips.values():
            chip.shorten(short)

    def _on_click(self, checked: bool) -> None:
        # a click shows that class alone, and all again where it was alone; Ctrl adds to those that are shown
        from qtpy.QtWidgets import QApplication

        clicked = self.sender()
        several = bool(QApplication.keyboardModifiers() & Qt.KeyboardModifier.ControlModifier)
        if not several:
            others = [chip for chip in self.chips.values() if chip is not clicked]
            was_alone = not checked and not any(chip.isChecked() for chip in others)
            for chip in others:
                chip.setChecked(False)
            clicked.setChecked(not was_alone)
        self.filtered.emit()
