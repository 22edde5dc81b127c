"""A folder of fields as one slide: the fields side by side on white, in the order a person would list them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import SlideError
from leukoscope.slides._image import FIELD_SUFFIXES
from leukoscope.slides._pixels import Pixels, Source

__all__ = ["Mosaic", "field_files", "natural_key", "open_folder"]

_GAP = 64  # px of white between fields, so that no cell of one seems to touch a cell of the next


def natural_key(name: str) -> list[Any]:
    """Sort key that puts ``field 2`` before ``field 10``."""
    parts = re.split(r"(\d+)", name.casefold())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts if p]


def field_files(folder: str) -> list[str]:
    """Picture files directly in a folder, in natural order; hidden files and sub-folders are left out."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.is_file() and not e.name.startswith(".")]
    fields = [n for n in names if n.lower().endswith(FIELD_SUFFIXES)]
    return [os.path.join(folder, n) for n in sorted(fields, key=natural_key)]


def open_folder(path: str, open_field: Callable[[str], Source]) -> Source:
    """Lay the fields of a folder out on a near-square grid.

    Parameters
    ----------
    path : str
        A folder.
    open_field : callable
        Opens one picture file.

    Raises
    ------
    SlideError
        If there are no pictures, or one of them cannot be read: a study must not lose a field unnoticed.
    """
    files = field_files(path)
    if not files:
        raise SlideError(
            "the folder holds no JPG, PNG, BMP or TIFF fields", "Give a slide's file, or a folder of fields.", path
        )
    sources = [open_field(f) for f in files]
    mosaic = Mosaic([s.levels[0] for s in sources], path)
    names = [os.path.splitext(os.path.basename(f))[0] for f in files]
    fields = [
        (n, y, x, p.shape[0], p.shape[1]) for n, (y, x), p in zip(names, mosaic.corners, mosaic.parts, strict=True)
    ]
    scales = [s.mpp for s in sources]
    known = {round(s, 4) for s in scales if s is not None}
    mpp = scales[0] if len(known) == 1 and None not in scales else None

    def close() -> None:
        for source in sources:
            source.close()

    return Source([mosaic], mpp, fields, close)


class Mosaic(Pixels):
    """Fields on a grid, white between them.

    Parameters
    ----------
    parts : sequence of Pixels
        The fields, row by row.
    file : str
        The folder.
    """

    def __init__(self, parts: Sequence[Pixels], file: str) -> None:
        tall, wide = (max(p.shape[i] for p in parts) + _GAP for i in (0, 1))
        columns = min(max(1, round(math.sqrt(len(parts) * tall / wide))), len(parts))
        rows = math.ceil(len(parts) / columns)
        # A chunk a field: reading in other pieces would decode a field several times.
        super().__init__(rows * tall - _GAP, columns * wide - _GAP, (tall, wide), file)
        self.parts = list(parts)
        self.corners = [(i // columns * tall, i % columns * wide) for i in range(len(parts))]

    def _region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8]:
        out = np.full((y1 - y0, x1 - x0, 3), 255, np.uint8)
        for part, (top, left) in zip(self.parts, self.corners, strict=True):
            a, b = max(y0, top), min(y1, top + part.shape[0])
            c, d = max(x0, left), min(x1, left + part.shape[1])
            if a < b and c < d:
                out[a - y0 : b - y0, c - x0 : d - x0] = part.region(a - top, b - top, c - left, d - left)
        return out
