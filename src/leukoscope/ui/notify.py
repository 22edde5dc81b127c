"""Errors as napari notifications: one line with cause and remedy, never a traceback for bad input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from leukoscope.errors import LeukoscopeError

__all__ = ["reporting_errors", "say", "show_error_line", "warn"]


def show_error_line(error: LeukoscopeError) -> None:
    """Show an error's file, cause and remedy."""
    from napari.utils.notifications import show_error

    show_error(str(error))


def say(message: str) -> None:
    """Show a piece of information."""
    from napari.utils.notifications import show_info

    show_info(message)


def warn(message: str) -> None:
    """Show a warning."""
    from napari.utils.notifications import show_warning

    show_warning(message)


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Turn a LeukoscopeError that leaves the block into a notification; faults of ours go on to napari."""
    try:
        yield
    except LeukoscopeError as error:
        show_error_line(error)
