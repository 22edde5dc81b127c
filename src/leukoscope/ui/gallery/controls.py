"""What the gallery is sorted and filtered by, and how large its thumbnails are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSlider,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..settings import remember, user_settings
from .cells import LIKENESS, SORTS, Filters, parse_ids

__all__ = ["LARGEST", "SMALLEST", "Controls"]

SMALLEST, LARGEST = 40, 256
REVIEWED = (("reviewed or not", None), ("not reviewed", False), ("reviewed", True))
TYPING_MS = 250  # after the last letter or step of a figure
REMEMBER_MS = 600  # a slider that is dragged is written down once


class Controls(QWidget):
    """The two lines above the thumbnails; begins as the user left it."""

    changed = Signal()
    """Another order, or other filters."""
    resized = Signal(int)
    """Thumbnails of another size, px."""
    settled = Signal()
    """Something was chosen or typed to its end: the keys may mean cells again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        chosen = user_settings()
        self.sort = QComboBox()
        for name, (text, _) in SORTS.items():
            self.sort.addItem(text, name)
        self.sort.setCurrentIndex(max(0, self.sort.findData(chosen.sort)))
        self.sort.setToolTip("The order of the cells")
        self._before = self.sort.currentData()  # the order that comes back after cells like some
        self.backward = QToolButton()
        self.backward.setCheckable(True)
        self.backward.setText("⇅")
        self.backward.setToolTip("Turn the order around")
        self.by_class = QCheckBox("by class")
        self.by_class.setChecked(chosen.by_class)
        self.by_class.setToolTip("Classes one after the other, each in this order")
        self.zoom = QSlider(Qt.Orientation.Horizontal)
        self.zoom.setRange(SMALLEST, LARGEST)
        self.zoom.setValue(chosen.thumbnail)
        self.zoom.setMinimumWidth(60)
        self.zoom.setToolTip("Size of the thumbnails (Ctrl+wheel)")
        self.reviewed = QComboBox()
        for text, value in REVIEWED:
            self.reviewed.addItem(text, value)
        self.reviewed.setToolTip("Whether a reviewer has given the label")
        self.low, self.high = _percent(0), _percent(100)
        self.low.setToolTip("Probability of the shown class, at least")
        self.high.setToolTip("Probability of the shown class, at most")
        self.ids = QLineEdit()
        self.ids.setPlaceholderText("ids: 17, 40-60")
        self.ids.setClearButtonEnabled(True)
        self.ids.setMinimumWidth(70)
        self._mark(True)
        self._lay_out()
        self._typed = _once(self, TYPING_MS, self.changed.emit)
        self._settled = _once(self, REMEMBER_MS, self._remember)
        for signal in (self.sort.currentIndexChanged, self.backward.toggled, self.by_class.toggled):
            signal.connect(self._on_order)
        self.reviewed.currentIndexChanged.connect(lambda *_: self.changed.emit())
        for signal in (self.low.valueChanged, self.high.valueChanged):
            signal.connect(lambda *_: self._typed.start())
        self.ids.textChanged.connect(self._on_ids)
        self.zoom.valueChanged.connect(self._on_zoom)
        for combo in (self.sort, self.reviewed):
            combo.activated.connect(lambda *_: self.settled.emit())
        for typed in (self.ids, self.low.lineEdit(), self.high.lineEdit()):
            typed.returnPressed.connect(self.settled)
        for clicked in (self.backward, self.by_class, self.zoom):
            clicked.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys with the thumbnails

    def _lay_out(self) -> None:
        order, filters = QHBoxLayout(), QHBoxLayout()
        order.addWidget(self.sort, stretch=2)
        order.addWidget(self.backward)
        order.addWidget(self.by_class)
        order.addWidget(self.zoom, stretch=1)
        filters.addWidget(self.reviewed)
        for widget in (self.low, QLabel("to"), self.high):
            filters.addWidget(widget)
        filters.addWidget(self.ids, stretch=1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for line in (order, filters):
            line.setSpacing(4)
            layout.addLayout(line)

    @property
    def order(self) -> dict[str, Any]:
        """The order, as arguments of `GalleryModel.arrange`."""
        return {
            "by": self.sort.currentData(),
            "backward": self.backward.isChecked(),
            "by_class": self.by_class.isChecked() and self.by_class.isEnabled(),
        }

    @property
    def filters(self) -> Filters:
        """The filters, but for the classes; ids that cannot be read filter nothing."""
        low, high = self.low.value() / 100, self.high.value() / 100
        filters = Filters(reviewed=self.reviewed.currentData(), low=low, high=high)
        return replace(filters, ids=self.ids.text()) if _readable(self.ids.text()) else filters

    def offer_likeness(self, on: bool) -> None:
        """Sort by likeness from now on; or no longer, and as before again."""
        at = self.sort.findData(LIKENESS)
        with QSignalBlocker(self.sort):
            if on and at < 0:
                self._before = self.sort.currentData()
                self.sort.insertItem(0, "Likeness", LIKENESS)
            if on:
                self.sort.setCurrentIndex(self.sort.findData(LIKENESS))
            elif at >= 0:
                before = self._before if self.sort.currentIndex() == at else self.sort.currentData()
                self.sort.removeItem(at)
                self.sort.setCurrentIndex(self.sort.findData(before))
        self._on_sort()

    def clear_filters(self) -> None:
        """Show every cell."""
        blocked = [QSignalBlocker(w) for w in (self.reviewed, self.low, self.high, self.ids)]
        self.reviewed.setCurrentIndex(0)
        self.low.setValue(0)
        self.high.setValue(100)
        self.ids.clear()
        for blocker in blocked:
            blocker.unblock()
        self._mark(True)
        self.changed.emit()

    def zoom_by(self, steps: int) -> None:
        """Make the thumbnails an eighth larger or smaller, a step."""
        self.zoom.setValue(round(self.zoom.value() * 1.125**steps + (0.5 if steps > 0 else -0.5)))

    def _on_sort(self) -> None:
        self.by_class.setEnabled(self.sort.currentData() != LIKENESS)  # likeness goes across classes

    def _on_order(self, *_: Any) -> None:
        self._on_sort()
        self._settled.start()
        self.changed.emit()

    def _on_ids(self, text: str) -> None:
        self._mark(_readable(text))
        self._typed.start()

    def _on_zoom(self, side: int) -> None:
        self._settled.start()
        self.resized.emit(side)

    def _mark(self, valid: bool) -> None:
        self.ids.setStyleSheet("" if valid else "border: 1px solid #e8001c;")
        self.ids.setToolTip("Ids and spans of ids" if valid else "Not ids: write 17, or 17, 40-60")

    def _remember(self) -> None:
        sort = self.sort.currentData()
        sort = self._before if sort == LIKENESS else sort
        remember(thumbnail=self.zoom.value(), sort=sort, by_class=self.by_class.isChecked())


def _readable(text: str) -> bool:
    try:
        parse_ids(text)
    except ValueError:
        return False
    return True


def _percent(value: int) -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, 100)
    box.setSuffix(" %")
    box.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)  # napari's are wider than the figure
    box.setMaximumWidth(58)
    box.setValue(value)
    return box


def _once(parent: QWidget, wait_ms: int, action: Any) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(wait_ms)
    timer.timeout.connect(action)
    return timer
