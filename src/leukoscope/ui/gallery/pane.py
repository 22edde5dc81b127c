"""How the gallery is laid out, and which thumbnails it reads at which size."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QMainWindow, QPushButton, QVBoxLayout, QWidget

from ..docks import Docked
from .cards import Cards
from .chips import ClassChips
from .controls import Controls
from .grid import ThumbnailGrid
from .model import GalleryModel
from .thumbnails import Thumbnails, read_field

__all__ = ["GalleryPane"]

TALL_PX = 520  # a dock that is less tall shows classes without their names
SIZES = (64, 128, 256)  # pictures are read in these sizes and shown in all between


class GalleryPane(Docked):
    """Classes, order and filters above the thumbnails, a line of status below; knows nothing of a case.

    Attributes
    ----------
    model, thumbnails, cards, grid
        The cells that are shown, their pictures, what they look like, and where.
    chips, controls
        What they are filtered and sorted by.
    slide : Slide or None
        What the thumbnails are read from.
    """

    def __init__(self, viewer: Any = None, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.model = GalleryModel(self)
        self.thumbnails = Thumbnails(self)
        self.cards = Cards(self.model, self.thumbnails)
        self.controls = Controls(self)
        self.chips = ClassChips(self)
        self.grid = ThumbnailGrid(self.model, self.cards, self)
        self.slide: Any = None
        self._mpp: float | None = None
        self._size = SIZES[0]
        self._has_room = False
        self._build()
        self.controls.settled.connect(self.grid.setFocus)  # else the next class key would choose an order
        self.grid.zoom_asked.connect(self.controls.zoom_by)
        self.grid.moved.connect(self._want)
        self.controls.resized.connect(self._resize)
        self.thumbnails.loaded.connect(lambda cell: self.grid.redraw(self.model.places([cell])))

    def _build(self) -> None:
        self.notice = QLabel()
        self.notice.setWordWrap(True)
        self.notice.setStyleSheet("font-weight: 600;")
        self.status = QLabel()
        self.refresh = QPushButton("Sort again")
        self.refresh.setToolTip("Relabeled cells keep their place until then (F5)")
        self.refresh.setShortcut("F5")
        self.refresh.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.more = QPushButton("More like this")
        self.more.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.all = QPushButton("Show all")
        self.all.setToolTip("Clear every filter")
        self.all.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        foot = QHBoxLayout()
        foot.addWidget(self.status, stretch=1)
        foot.addWidget(self.more)
        foot.addWidget(self.all)
        foot.addWidget(self.refresh)
        layout = self.page = QVBoxLayout(self)
        layout.setSpacing(5)
        for widget in (self.chips, self.controls, self.notice):
            layout.addWidget(widget)
        layout.addWidget(self.grid, stretch=1)
        layout.addLayout(foot)

    def read_from(self, slide: Any, mpp: float | None, keep: bool = False) -> None:
        """Read the thumbnails of the model's cells from a slide; from none, if that is None.

        Parameters
        ----------
        slide : Slide or None
        mpp : float or None
            µm per level-0 pixel.
        keep : bool
            What was read already still holds.
        """
        self.slide, self._mpp, self._size = slide, mpp, self._wanted_size()
        table, read = self.model.table, None
        if table is not None and slide is not None:
            read = read_field(slide, table.x, table.y, mpp, self._size)
        self.thumbnails.set_source(read, self._size, keep)

    def _wanted_size(self) -> int:
        side = self.controls.zoom.value() * self.devicePixelRatioF()
        return next((size for size in SIZES if size >= side), SIZES[-1])

    def _resize(self, side: int) -> None:
        top = next(iter(self.grid.items_in_sight()), None)
        self.cards.resize(side, self.devicePixelRatioF())
        if self._wanted_size() != self._size:
            self.read_from(self.slide, self._mpp)
        self.grid.regrid(top)

    def _want(self) -> None:
        """Ask for the thumbnails in sight, then for a page below, then for one above."""
        if not self.isVisible():
            return
        seen = self.grid.items_in_sight()
        page, total = len(seen), self.model.rowCount()
        below = range(seen.stop, min(seen.stop + page, total))
        above = range(max(seen.start - page, 0), seen.start)[::-1]
        self.thumbnails.want(self.model.cell(item) for part in (seen, below, above) for item in part)

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Leave the room to the thumbnails where there is little."""
        self.chips.shorten(self.height() < TALL_PX)
        super().resizeEvent(event)

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Begin to read."""
        super().showEvent(event)
        self._resize(self.controls.zoom.value())
        QTimer.singleShot(0, self._take_room)

    def _take_room(self) -> None:
        """Grow at the cost of the dock above, once: Qt gives a new dock no more than it must have."""
        dock, window = self.parent(), self.window()
        if not self._has_room and isinstance(dock, QDockWidget) and isinstance(window, QMainWindow):
            self._has_room = True
            if not dock.isFloating():
                window.resizeDocks([dock], [window.height()], Qt.Orientation.Vertical)

    def hideEvent(self, event: Any) -> None:  # noqa: N802
        """Read nothing that nobody sees."""
        self.thumbnails.want(())
        super().hideEvent(event)

    def changeEvent(self, event: Any) -> None:  # noqa: N802
        """Draw for another screen."""
        if event.type() == getattr(QEvent.Type, "DevicePixelRatioChange", None):  # since Qt 6.6
            self._resize(self.controls.zoom.value())
        super().changeEvent(event)
