"""One analysis in a thread of its own: the pipeline's events as Qt signals, with a cancel that keeps what is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from leukoscope.pipeline import BlockDone, Finished, Progress, Started, run

__all__ = ["AnalysisJob"]


class AnalysisJob(QObject):
    """Runs `leukoscope.pipeline.run` beside the viewer; every signal arrives in the thread that made the job.

    Parameters
    ----------
    arguments : mapping
        Of `run`: slide, out, segmenter, model, device, profile, mpp, resume.
    stream : callable
        What makes the event stream; `run`, unless a test brings its own.
    """

    started = Signal(object)
    """Started"""
    advanced = Signal(object)
    """BlockDone"""
    finished = Signal(object)
    """Finished"""
    canceled = Signal()
    """The stream is closed; finished blocks are kept."""
    failed = Signal(object)
    """An exception ended it."""
    ended = Signal()
    """Last of all, whatever happened."""

    def __init__(
        self,
        arguments: Mapping[str, Any],
        stream: Callable[..., Generator[Progress, None, None]] = run,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._cancel = threading.Event()
        self._complete = False
        self._worker: Any = create_worker(
            _events,
            stream,
            dict(arguments),
            self._cancel,
            _start_thread=False,
            _ignore_errors=True,  # shown by the widget: one line for bad input
        )
        self._worker.yielded.connect(self._on_event)
        self._worker.errored.connect(self.failed)
        self._worker.finished.connect(self._on_end)
        self._error = False
        self._worker.errored.connect(self._on_error)

    def start(self) -> None:
        """Begin."""
        self._worker.start()

    def cancel(self) -> None:
        """Stop after the block at hand; what is done stays."""
        self._cancel.set()

    @property
    def canceling(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancel.is_set()

    def _on_event(self, event: Progress) -> None:
        if isinstance(event, Started):
            self.started.emit(event)
        elif isinstance(event, BlockDone):
            self.advanced.emit(event)
        elif isinstance(event, Finished):
            self._complete = True
            self.finished.emit(event)

    def _on_error(self, _: object) -> None:
        self._error = True

    def _on_end(self) -> None:
        if not self._complete and not self._error:
            self.canceled.emit()
        self.ended.emit()


def _events(
    stream: Callable[..., Generator[Progress, None, None]], arguments: dict[str, Any], cancel: threading.Event
) -> Generator[Progress, None, None]:
    events = stream(**arguments)
    try:
        for event in events:
            yield event
            if cancel.is_set():
                return
    finally:
        events.close()  # here, in this thread: the stream ends its own executor and marks the run
