"""How a command line of this project fails: in one line, with cause and remedy."""

from __future__ import annotations

import codecs
import io
import logging
import os
import sys
from typing import Any, Final

import typer
from rich.console import Console

from leukoscope.errors import LeukoscopeError

__all__ = ["guarded", "say_error"]

INTERRUPTED: Final = 130  # as shells count it: 128 and the number of SIGINT
_UsageError: Final[type[Any]] = typer.BadParameter.__mro__[1]  # click's, or typer's own copy of it


def guarded(application: typer.Typer) -> None:
    """Run a command line so that an error is one line with cause and remedy, never a traceback.

    Exit codes: 0 done, 2 bad input or settings, 130 interrupted, 1 a fault of ours (LEUKOSCOPE_DEBUG=1 shows where).
    """
    debug = bool(os.environ.get("LEUKOSCOPE_DEBUG"))
    codecs.register_error("leukoscope", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="leukoscope")
    if not debug:
        # What tifffile logs of a damaged file is said again, in one line, by the error that follows.
        logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        code = application(standalone_mode=False) or 0
    except LeukoscopeError as error:
        say_error(error)
        sys.exit(2)
    except _UsageError as error:
        _say_usage(error)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        _print(f"leukoscope: unexpected {type(error).__name__}: {message}. Set LEUKOSCOPE_DEBUG=1 to see where.")
        sys.exit(1)
    if code == INTERRUPTED:  # typer makes that of Ctrl+C, and says nothing
        _print("Interrupted. What was finished is kept: the same command goes on from there.")
    sys.exit(code)


_PLAIN = {"–": "-", "…": "...", "µ": "u", "²": "2", "×": "x", "→": "->", "≥": ">=", "≤": "<=", "±": "+/-"}


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write what a terminal's encoding does not have in other letters; nothing printed is worth a failed analysis."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":  # a byte of a path that is no text: as it was
        return bytes([ord(character) - 0xDC00]), error.start + 1
    return _PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode(), error.start + 1


def say_error(error: LeukoscopeError) -> None:
    """Print an error's one line to stderr."""
    _print(f"leukoscope: {error}")


def _say_usage(error: Any) -> None:
    cause = error.format_message()
    if not cause or "\n" in cause:
        error.show()  # no command was given: that is answered with the help
        return
    _print(f"leukoscope: {cause.rstrip('.')}. See {error.ctx.command_path if error.ctx else 'leukoscope'} --help.")


def _print(line: str) -> None:
    Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True)
