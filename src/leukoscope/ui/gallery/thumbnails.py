"""Pictures of cells, read beside the viewer: what is in sight first, what has scrolled away not at all."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QImage

from leukoscope.errors import LeukoscopeError

if TYPE_CHECKING:
    from leukoscope.slides import Slide

__all__ = ["FIELD_UM", "Thumbnails", "read_field"]

FIELD_UM = 24.0  # what a thumbnail shows, the same for all cells: how large a cell is belongs to what it is
FIELD_PX = 80.0  # where µm per pixel is not known
BEYOND = 235  # gray, outside the slide
THREADS = 2
BUDGET = 160 * 2**20  # bytes of pictures that are kept

ReadField = Callable[[int], npt.NDArray[np.uint8]]


class Thumbnails(QObject):
    """Keeps the pictures that were looked at last, and reads those that are wanted now.

    Every picture arrives in the thread that made this object.
    """

    loaded = Signal(int)
    """A cell's picture is there, or cannot be read."""
    _arrived = Signal(int, int, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._kept: OrderedDict[int, QImage | None] = OrderedDict()
        self._bytes = 0
        self._reader = _Reader(self._arrived.emit)
        self._arrived.connect(self._keep)
        self.destroyed.connect(self._reader.end)

    @property
    def has_source(self) -> bool:
        """Whether there is a slide to read."""
        return self._reader.read is not None

    def set_source(self, read: ReadField | None, size: int = 128, keep: bool = False) -> None:
        """Read pictures from somewhere else from now on.

        Parameters
        ----------
        read : callable or None
            From a cell's id to uint8 (side, side, 3); called in other threads. None: nowhere.
        size : int
            Pictures are scaled down to this many pixels a side.
        keep : bool
            What was read already still holds.
        """
        self._reader.turn_to(read, size)
        if not keep:
            self._kept.clear()
            self._bytes = 0

    def get(self, cell: int) -> tuple[bool, QImage | None]:
        """Tell whether a cell has been read, and give its picture; None if it could not be."""
        if cell not in self._kept:
            return False, None
        self._kept.move_to_end(cell)
        return True, self._kept[cell]

    def want(self, cells: Iterable[int]) -> None:
        """Read these cells, first ones first; of those wanted before, what has not been begun is dropped."""
        self._reader.want([cell for cell in cells if cell not in self._kept])

    @property
    def waiting(self) -> int:
        """How many pictures are yet to be read."""
        return self._reader.waiting

    def end(self) -> None:
        """Read no more."""
        self._reader.end()

    def _keep(self, turn: int, cell: int, image: QImage | None) -> None:
        if turn != self._reader.turn:  # of the slide before
            return
        self._kept[cell] = image
        self._bytes += 0 if image is None else image.sizeInBytes()
        while self._bytes > BUDGET and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= 0 if oldest is None else oldest.sizeInBytes()
        self.loaded.emit(cell)


class _Reader:
    """Two threads that take what is wanted most; they begin with the first wish and end with `end`."""

    def __init__(self, deliver: Callable[[int, int, QImage | None], None]) -> None:
        self._deliver = deliver
        self._changed = threading.Condition()
        self._wanted: deque[int] = deque()
        self._reading: set[int] = set()
        self._threads: list[threading.Thread] = []
        self._ended = False
        self._size = 128
        self.read: ReadField | None = None
        self.turn = 0

    @property
    def waiting(self) -> int:
        with self._changed:
            return len(self._wanted) + len(self._reading)

    def turn_to(self, read: ReadField | None, size: int) -> None:
        with self._changed:
            self.read, self._size = read, size
            self.turn += 1
            self._wanted.clear()

    def want(self, cells: list[int]) -> None:
        with self._changed:
            self._wanted = deque(cell for cell in cells if cell not in self._reading) if self.read else deque()
            if self._wanted and not self._threads and not self._ended:
                for _ in range(THREADS):
                    self._threads.append(threading.Thread(target=self._work, name="leukoscope-thumbnails", daemon=True))
                    self._threads[-1].start()
            self._changed.notify_all()

    def end(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._wanted.clear()
            self.read = None
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._wanted)
                if self._ended or self.read is None:
                    if self._ended:
                        return
                    continue
                cell = self._wanted.popleft()
                read, size, turn = self.read, self._size, self.turn
                self._reading.add(cell)
            try:
                image = _to_image(read(cell), size)
            except LeukoscopeError:
                image = None
            with self._changed:
                self._reading.discard(cell)
                if self._ended:
                    return
            try:
                self._deliver(turn, cell, image)
            except RuntimeError:  # Qt has deleted the receiver
                return


def read_field(
    slide: Slide,
    x: Sequence[float] | npt.NDArray[Any],
    y: Sequence[float] | npt.NDArray[Any],
    mpp: float | None,
    px: int,
) -> ReadField:
    """Make a function that reads the field around a cell.

    Parameters
    ----------
    slide : Slide
        Read at the coarsest level that still fills the thumbnail.
    x, y : float arrays (n,)
        Centroids of the cells of id 1 to n, level-0 px.
    mpp : float or None
        µm per level-0 pixel.
    px : int
        Side of the thumbnail.

    Returns
    -------
    callable
        From an id to uint8 (side, side, 3); gray outside the slide.
    """
    field = FIELD_UM / mpp if mpp else FIELD_PX
    level = max((i for i, d in enumerate(slide.downsamples) if field / d >= 0.9 * px), default=0)
    downsample = slide.downsamples[level]
    side = max(1, round(field / downsample))

    def read(cell: int) -> npt.NDArray[np.uint8]:
        top, left = (round((float(at[cell - 1]) - field / 2) / downsample) for at in (y, x))
        part = slide.read((top, left, side, side), level)
        if part.shape[:2] == (side, side):
            return np.ascontiguousarray(part)
        whole = np.full((side, side, 3), BEYOND, np.uint8)
        down, right = max(0, -top), max(0, -left)
        whole[down : down + part.shape[0], right : right + part.shape[1]] = part
        return whole

    return read


def _to_image(pixels: npt.NDArray[np.uint8], size: int) -> QImage:
    height, width = pixels.shape[:2]
    borrowed = QImage(pixels.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    if max(height, width) > size:
        smooth = Qt.TransformationMode.SmoothTransformation
        borrowed = borrowed.scaled(size, size, Qt.AspectRatioMode.KeepAspectRatio, smooth)
    return borrowed.convertToFormat(QImage.Format.Format_RGB32)  # owns its pixels
