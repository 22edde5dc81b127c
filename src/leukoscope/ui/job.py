"""Work of minutes in a thread of its own: what it says while it runs, napari's bar, and a cancel."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from napari.qt.threading import create_worker
from napari.utils import cancelable_progress
from qtpy.QtCore import QObject, QTimer, Signal

__all__ = ["Job", "Report"]

LISTEN_MS = 60  # what the work says is gathered for so long: a fit says something a thousand times a second


class Report(Protocol):
    """Says how far the work is; called in the work's own thread."""

    def __call__(self, done: int, total: int, said: Any = None) -> None:
        """Say that so many of so many parts are done, and whatever else there is to say."""


class Job(QObject):
    """Runs some work beside the viewer; every signal arrives in the thread that made the job.

    Parameters
    ----------
    work : callable
        Runs in another thread and touches no widget. Takes a `Report`, and a function that tells whether to stop:
        it is asked often, and the work then ends with an error, whichever.
    what : str
        Stands beside napari's bar of progress.
    parent : QObject
        The work is canceled when it goes.
    """

    advanced = Signal(object)
    """What the work has said since: a list of (done, total, said)."""
    done = Signal(object)
    """What the work gave."""
    failed = Signal(object)
    """The exception that ended it."""
    canceled = Signal()
    """It stopped because it was told to."""
    ended = Signal()
    """Last of all, whatever happened."""

    def __init__(self, work: Callable[[Report, Callable[[], bool]], Any], what: str, parent: QObject) -> None:
        super().__init__(parent)
        self._what = what
        self._stop = threading.Event()
        self._said: deque[tuple[int, int, Any]] = deque()
        self._bars: list[Any] = []
        self._in_bar = False
        said, bars = self._said, self._bars

        def report(done: int, total: int, more: Any = None) -> None:  # not a method: it outlives the job
            said.append((done, total, more))

        def close(*_: object) -> None:
            while bars:
                bars.pop().close()

        self._worker: Any = create_worker(work, report, self._stop.is_set, _start_thread=False, _ignore_errors=True)
        self._worker.returned.connect(self._on_done)
        self._worker.errored.connect(self._on_error)
        self._worker.finished.connect(close)
        self._worker.finished.connect(self._on_end)
        parent.destroyed.connect(self._stop.set)
        self._listener = QTimer(self)
        self._listener.setInterval(LISTEN_MS)
        self._listener.timeout.connect(self._listen)

    def start(self) -> None:
        """Begin."""
        self._bars.append(cancelable_progress(total=0, desc=self._what))  # how much there is to do is not known yet
        self._listener.start()
        self._worker.start()

    def cancel(self) -> None:
        """Have it stop as soon as it can."""
        self._stop.set()

    @property
    def canceling(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def _tell(self) -> list[tuple[int, int, Any]]:
        said = [self._said.popleft() for _ in range(len(self._said))]
        if said:
            self.advanced.emit(said)
        return said

    def _listen(self) -> None:
        said = self._tell()
        if self._in_bar or not self._bars:
            return
        self._in_bar = True  # napari's bar lets Qt handle events: our timer's, and the end of the work
        try:
            bar = self._bars[0]
            if bar.is_canceled:
                self.cancel()
            if said:
                done, total, _ = said[-1]
                if bar.total != total:
                    bar.total = total
                bar.update(done - bar.n)
        finally:
            self._in_bar = False

    def _on_done(self, result: Any) -> None:
        self._listener.stop()
        self._tell()
        self.done.emit(result)

    def _on_error(self, error: Exception) -> None:
        self._listener.stop()
        if self.canceling:  # whatever the error: a case that was closed meanwhile has none to speak of
            self.canceled.emit()
        else:
            self._tell()
            self.failed.emit(error)

    def _on_end(self) -> None:
        self._listener.stop()
        self.ended.emit()
        self.deleteLater()
