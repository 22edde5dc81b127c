"""Where a case keeps the embedding of its cells: embeddings.npy, and embeddings.json, which says of what it is.

Rows are appended to a partial file whose name is a hash of the same; work that was interrupted goes on after its last
whole row. A case only ever gains cells, whatever is edited, so values of fewer cells are gone on with, too. Nothing
that is found is believed: what does not fit is made anew, and a pickle is never read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import CaseError

__all__ = ["ABOUT", "VALUES", "EmbeddingFile"]

VALUES: Final = "embeddings.npy"
ABOUT: Final = "embeddings.json"
LARGEST_ABOUT: Final = 2**16  # bytes
CHECKED: Final = 4096  # rows at a time

Halves = NDArray[np.float16]


class EmbeddingFile:
    """The embedding of one state of a case, on disk.

    Parameters
    ----------
    folder : Path
        The case's.
    about : mapping
        All that decides about the values, but for the cells, as plain JSON values.
    places : float64 array (cells, k)
        Of every cell, in the order of the ids: what tells that these are the cells whose values are kept.
    width : int
        Columns of the values.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], places: NDArray[np.float64], width: int) -> None:
        self._known, self._places = {**about, "width": width}, np.ascontiguousarray(places)
        self._about = self._of(len(places))
        self._shape = (len(places), width)
        self._values, self._said = folder / VALUES, folder / ABOUT
        key = hashlib.sha256(json.dumps(self._about, sort_keys=True).encode()).hexdigest()[:16]
        self._partial = folder / f".embeddings-{key}.partial"
        head = io.BytesIO()
        header = {"descr": "<f2", "fortran_order": False, "shape": self._shape}
        np.lib.format.write_array_header_1_0(head, header)
        self._head = head.getvalue()

    def _of(self, cells: int) -> dict[str, Any]:
        """Give all that decides about the values of the first cells."""
        return {**self._known, "cells": cells, "places": hashlib.sha256(self._places[:cells].tobytes()).hexdigest()}

    def read(self) -> Halves | None:
        """Give the values of the first cells, float16 (up to cells, width), mapped from the file; None without any."""
        try:
            if self._said.is_symlink() or self._values.is_symlink() or self._said.stat().st_size > LARGEST_ABOUT:
                return None
            said = json.loads(self._said.read_text(encoding="utf-8"))
            cells = said.get("cells") if isinstance(said, dict) else None
            if type(cells) is not int or not 0 <= cells <= self._shape[0] or said != self._of(cells):
                return None
            values = np.load(self._values, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, RecursionError):  # not there, cut short, no JSON, a pickle
            return None
        if not isinstance(values, np.ndarray) or values.dtype != np.float16 or values.shape != (cells, self._shape[1]):
            return None
        return values if all(np.isfinite(part).all() for part in _parts(values)) else None

    @contextmanager
    def writing(self, before: Halves | None = None) -> Iterator[tuple[int, BinaryIO]]:
        """Give how many rows are there already, and the file that takes further ones; in its place when all are in.

        Parameters
        ----------
        before : float16 array, optional
            The values of the first cells, where these are known.

        Raises
        ------
        CaseError
            It cannot be written. Whole rows are kept.
        """
        with _explained(self._partial):
            for other in self._partial.parent.glob(".embeddings-*.partial"):
                if other != self._partial or other.is_symlink():
                    other.unlink(missing_ok=True)
            rows = self._whole_rows()
            with self._partial.open("r+b" if rows else "wb") as file:
                if rows:
                    file.truncate(len(self._head) + rows * self._row)
                    file.seek(0, os.SEEK_END)
                else:
                    file.write(self._head)
                    for some in _parts(before) if before is not None else ():
                        file.write(np.ascontiguousarray(some).tobytes())
                        rows += len(some)
                    file.flush()
                yield rows, file
                file.flush()
                os.fsync(file.fileno())
            self._said.unlink(missing_ok=True)  # it must never speak of values that are not its own
            self._partial.replace(self._values)
            part = self._said.with_name(f".{ABOUT}.part")
            part.unlink(missing_ok=True)
            part.write_text(json.dumps(self._about, indent=1) + "\n", encoding="utf-8")
            part.replace(self._said)

    @property
    def _row(self) -> int:
        return 2 * self._shape[1]

    def _whole_rows(self) -> int:
        """Count the rows of a partial file of this very state; 0 where it is none."""
        if not self._partial.is_file():
            return 0
        with self._partial.open("rb") as file:
            if file.read(len(self._head)) != self._head:
                return 0
            rows = min((self._partial.stat().st_size - len(self._head)) // self._row, self._shape[0])
            for start in range(0, rows, CHECKED):
                part = np.frombuffer(file.read(min(CHECKED, rows - start) * self._row), "<f2")
                if not np.isfinite(part).all():
                    return 0
        return rows


def _parts(values: Halves) -> Iterator[Halves]:
    for start in range(0, len(values), CHECKED):
        yield values[start : start + CHECKED]


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = f"the cells' embedding cannot be written ({error.strerror or error})"
        remedy = "Make room on the disk, or make the case's folder writable; then ask again."
        raise CaseError(cause, remedy, file) from error
