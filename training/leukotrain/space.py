"""Room on the disk, asked for before hours of work instead of after."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryFile

from leukoscope.errors import LeukoscopeError, SettingsError

__all__ = ["check_space", "check_writable"]


def check_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what will not fit.

    Parameters
    ----------
    folder : Path
        Where it will be written; need not exist yet.
    needed : int
        Bytes.
    what : str
        For the message: "the checkpoints".

    Raises
    ------
    LeukoscopeError
        With what is free and what is needed; or it is no folder that can be written.
    """
    there = next(part for part in (folder.absolute(), *folder.absolute().parents) if part.exists())
    if not there.is_dir():
        raise LeukoscopeError("is a file", "Choose a folder.", there)
    if not os.access(there, os.W_OK):
        raise LeukoscopeError("cannot be written", "Choose another folder.", there)
    free = shutil.disk_usage(there).free
    if free < needed:
        raise LeukoscopeError(
            f"{what} take up to {_size(needed)}, and {_size(free)} are free",
            "Make room, or choose a folder on another disk.",
            folder,
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{-(-count // 1_000_000)} MB"


def check_writable(folder: Path) -> None:
    """Make a folder and a file in it, before hours are spent on what is to be written there.

    Raises
    ------
    SettingsError
        It cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingsError(f"cannot be written ({error.strerror})", "Choose another folder.", folder) from error
