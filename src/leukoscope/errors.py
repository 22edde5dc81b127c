"""What goes wrong, said so that a user can act on it."""

from __future__ import annotations

import os

__all__ = ["BundleError", "CaseError", "LeukoscopeError", "SettingsError", "SlideError"]


class LeukoscopeError(Exception):
    """An error with a cause and a remedy, for people.

    Parameters
    ----------
    cause : str
        What is wrong, without a full stop.
    remedy : str
        What the user can do about it, a sentence.
    file : path-like, optional
        The file or folder at fault.
    """

    def __init__(self, cause: str, remedy: str = "", file: str | os.PathLike[str] | None = None) -> None:
        super().__init__(cause, remedy, file)
        self.cause = cause
        self.remedy = remedy
        self.file = None if file is None else os.fspath(file)

    def __str__(self) -> str:
        line = f"{self.file}: {self.cause}" if self.file else self.cause
        line = f"{line}. {self.remedy}" if self.remedy else line
        return " ".join(line.split())  # one line, whatever a library put into its message


class SlideError(LeukoscopeError):
    """A slide, field or folder of fields that cannot be read."""


class BundleError(LeukoscopeError):
    """A model bundle that is missing, damaged or of the wrong shape."""


class CaseError(LeukoscopeError):
    """A case that cannot be opened, written or does not belong to the slide."""


class SettingsError(LeukoscopeError):
    """A setting outside what the analysis can do."""
