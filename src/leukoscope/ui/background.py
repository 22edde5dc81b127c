"""What takes long, in a thread of its own with napari's progress; its result or its error in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker

from leukoscope.errors import LeukoscopeError

from .notify import show_error_line

__all__ = ["in_background"]


def in_background(
    work: Callable[[], Any], done: Callable[[Any], object], what: str, ended: Callable[[], object] | None = None
) -> Any:
    """Begin some work.

    Parameters
    ----------
    work : callable
        Runs in another thread; touches no widget.
    done : callable
        Gets what `work` returned, in the thread of the viewer.
    what : str
        Shown beside the bar of progress.
    ended : callable, optional
        Called last of all, whether or not it failed.

    Returns
    -------
    WorkerBase
        Started.
    """
    worker: Any = create_worker(work, _start_thread=False, _ignore_errors=True, _progress={"total": 0, "desc": what})
    worker.returned.connect(done)
    worker.errored.connect(_failed)
    if ended is not None:
        worker.finished.connect(ended)
    worker.start()
    return worker


def _failed(error: Exception) -> None:
    if not isinstance(error, LeukoscopeError):
        raise error  # a fault of ours: napari shows it with its traceback
    show_error_line(error)
