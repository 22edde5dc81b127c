"""A folder that is written whole or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["whole_folder"]

A_DAY = 86400.0  # s


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into, which takes the place of `folder` when all went well.

    What was there is removed last: killed at any instant, the old folder or the new one is left, under its name or
    beside it under a name that begins with a dot.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    before = fresh.with_name(f"{fresh.name}-before")
    try:
        yield fresh
        fresh.chmod(0o755)
        if folder.exists():
            folder.replace(before)
        try:
            fresh.replace(folder)
        except OSError:
            if before.exists():
                before.replace(folder)
            raise
        shutil.rmtree(before, ignore_errors=True)
        _sweep(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what killed writers of this folder left a day ago or more; a younger one may still be at work."""
    left = re.compile(rf"\.{re.escape(folder.name)}-[a-z0-9_]{{8}}(-before)?")
    with suppress(OSError):  # somebody else may sweep, too
        for path in folder.parent.iterdir():
            if left.fullmatch(path.name) and time.time() - path.stat().st_mtime > A_DAY:
                shutil.rmtree(path, ignore_errors=True)
