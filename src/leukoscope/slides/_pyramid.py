"""A pyramid for every image: missing levels are means over 2 × 2 pixels, computed when they are read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukoscope.slides._pixels import Pixels

__all__ = ["Halved", "complete"]

_COARSEST = 1024  # px; the last level fits a screen
_GAP = 4.0  # two levels further apart than this get levels between them
_LEAST = 128  # px of a chunk


class Halved(Pixels):
    """A level of half the size: pixel ``(y, x)`` is the mean of the parent's ``2y..2y+1, 2x..2x+1``.

    An odd last row or column is the mean of what there is.

    Parameters
    ----------
    parent : Pixels
        The level to be halved.
    """

    def __init__(self, parent: Pixels) -> None:
        # Twice a chunk is a whole number of the parent's chunks, so that nothing below is decoded twice; a chunk of a
        # far level stays small, so that threads share the work of computing it.
        down, across = (n // 2 if n % 2 == 0 and n >= 2 * _LEAST else n for n in parent.chunk)
        super().__init__((parent.shape[0] + 1) // 2, (parent.shape[1] + 1) // 2, (down, across), parent.file)
        self.parent = parent

    def _region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8]:
        out = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
        rows, columns = self.chunk  # chunk by chunk: the memory of a recursion through many levels stays bounded
        for top in range(y0 - y0 % rows, y1, rows):
            for left in range(x0 - x0 % columns, x1, columns):
                a, b, c, d = max(top, y0), min(top + rows, y1), max(left, x0), min(left + columns, x1)
                part = self.parent.region(2 * a, 2 * b, 2 * c, 2 * d)
                out[a - y0 : b - y0, c - x0 : d - x0] = _halve(part)
        return out


def _halve(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean over 2 × 2, rounded; over what there is at an odd edge. Pillow's loop is fast."""
    return np.asarray(Image.fromarray(part).reduce(2))


def complete(levels: Sequence[Pixels]) -> list[Pixels]:
    """Fill gaps of more than four times and go on until the coarsest level fits about 1,024 px.

    Parameters
    ----------
    levels : sequence of Pixels
        The file's own levels, in any order.
    """
    own = sorted(levels, key=lambda level: -level.shape[0] * level.shape[1])
    done = [own[0]]
    for level in own[1:]:
        while done[-1].shape[1] / level.shape[1] > _GAP * 1.01:
            done.append(Halved(done[-1]))
        if level.shape[1] < done[-1].shape[1] or level.shape[0] < done[-1].shape[0]:
            done.append(level)
    while max(done[-1].shape) > _COARSEST:
        done.append(Halved(done[-1]))
    return done
