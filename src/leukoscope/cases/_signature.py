"""A signed count: its files, which nothing writes again, and what the log says of them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ._store import explained, sync_folder
from .records import Event

__all__ = ["SIGNED", "Signature", "folders", "kept", "sha256"]

SIGNED = "signed"
"""The folder of a case that holds the signed reports, each in a folder of its number."""


@dataclass(frozen=True)
class Signature:
    """A signed count.

    Parameters
    ----------
    event : Event
        The signature's.
    number : int
        1, 2, 3… within the case.
    at, reviewer : str
        When (ISO 8601, UTC), and who.
    profile : str
        The profile under which it was counted.
    review : {"none", "sample", "blasts", "all"}
        Which cells had to be reviewed.
    amendment : int
        The number of the amendment that it closes, 0 for none.
    counts : mapping of str to int
        Cells of each label, as signed.
    denominator : int
        How many of them were counted.
    verdict : str
        What was said of the blasts.
    files : mapping of str to str
        The SHA-256 of each file, by name.
    folder : Path
        Where they are.
    """

    event: Event
    number: int
    at: str
    reviewer: str
    profile: str
    review: str
    amendment: int
    counts: Mapping[str, int]
    denominator: int
    verdict: str
    files: Mapping[str, str]
    folder: Path

    def verify(self) -> tuple[str, ...]:
        """Return what is wrong with the signed files, a line for each; nothing where they are as they were signed."""
        wrong = []
        for name, digest in self.files.items():
            try:
                if sha256(self.folder / name) != digest:
                    wrong.append(f"{SIGNED}/{self.number}/{name} is not as it was signed")
            except OSError as error:
                wrong.append(f"{SIGNED}/{self.number}/{name} cannot be read ({error.strerror})")
        return tuple(wrong)


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def folders(path: Path) -> list[int]:
    """Return the numbers of the signed folders that there are, in the log or not: none is ever used twice."""
    folder = path / SIGNED
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return [int(name) for name in names if name.isascii() and name.isdigit()]


@contextmanager
def kept(target: Path) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Give a temporary folder and what puts it in its place, for good and read-only; it is gone if all fails."""
    part = target.with_name(f".{target.name}.part")
    ours = [part]

    def keep() -> None:
        for file in part.iterdir():
            file.chmod(0o444)
        part.rename(target)  # fails if it exists and is not empty: nothing is overwritten
        ours.append(target)
        target.chmod(0o555)
        sync_folder(target.parent)

    with explained(target):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        sync_folder(target.parent.parent)
        try:
            yield part, keep
        except BaseException:
            for folder in ours:
                if folder.is_dir():
                    folder.chmod(0o755)
                    shutil.rmtree(folder, ignore_errors=True)
            raise
