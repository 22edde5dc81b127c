"""Files that appear in their place only when they are whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ._store import explained, sync_folder

__all__ = ["whole_file", "whole_folder"]


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give the path of a temporary file beside the target; rename it there when all went well.

    Raises
    ------
    CaseError
        If the file cannot be written. The target is then as it was before.
    """
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(target)
            sync_folder(target.parent)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give the path of a temporary folder beside the target; put it in the target's place when all went well.

    Raises
    ------
    CaseError
        If the folder cannot be written. The target is then as it was before.
    """
    with explained(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        old = target.with_name(f".{target.name}.{os.getpid()}.old")
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            yield part
            if target.exists():
                target.rename(old)  # a folder, unlike a file, cannot be renamed over another
            part.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
