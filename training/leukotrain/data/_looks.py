"""How pictures look, in few numbers: to recognize copies, and classes that were treated unlike the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukoscope.slides import read_picture

from .manifest import Row

__all__ = ["Look", "find_copy", "look", "odd_class", "thumbnails"]

_SIDE: Final = 8
_SAME: Final = 2.0  # gray levels (root mean square of a thumbnail) below which two pictures are one
_PLAIN: Final = 6.0  # spread in gray levels below which a picture shows too little to be recognized
_FEWEST: Final = 8  # pictures of a class, to say how it was treated
_BLOCK: Final = 512


class Look(NamedTuple):
    """What may give a class away without showing a cell.

    Attributes
    ----------
    gray : bool
        Its channels are equal everywhere.
    detail : float
        Variance of the Laplacian of the picture by the picture's own variance: small where it is blurred.
    """

    gray: bool
    detail: float


def look(file: Path) -> Look:
    """Look at a picture."""
    rgb = read_picture(file).astype(np.float64)
    light = rgb.mean(axis=2)
    laplacian = 4 * light[1:-1, 1:-1] - light[:-2, 1:-1] - light[2:, 1:-1] - light[1:-1, :-2] - light[1:-1, 2:]
    gray = bool(np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 1], rgb[..., 2]))
    return Look(gray, float(laplacian.var() / max(float(light.var()), 1.0)) if laplacian.size else 0.0)


def thumbnails(files: Sequence[Path]) -> NDArray[np.float32]:
    """Make small pictures, float32 (n, 8, 8, 3), 0 to 255."""
    small = [
        np.asarray(Image.fromarray(read_picture(file)).resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
        for file in files
    ]
    return np.array(small, np.float32).reshape(len(files), _SIDE, _SIDE, 3)


def find_copy(files: Sequence[Path], splits: Sequence[str]) -> tuple[int, int] | None:
    """Find a picture that is, turned by quarters or mirrored, nearly one of another split.

    Returns
    -------
    tuple of int, or None
        The indices of the two.
    """
    looks = thumbnails(files)
    shown = looks.std(axis=(1, 2)).max(axis=1) > _PLAIN
    split = np.asarray(splits)
    for name in ("test", "val"):  # each against what is left: every pair of splits comes once
        own = np.flatnonzero(shown & (split == name))
        shown &= split != name
        rest = np.flatnonzero(shown)
        flat = looks[rest].reshape(len(rest), -1)
        square = (flat**2).sum(axis=1)
        for start in range(0, len(own), _BLOCK):
            some = own[start : start + _BLOCK]
            for turns in range(4):
                turned = np.rot90(looks[some], turns, (1, 2))
                for seen in (turned, turned[:, ::-1]):
                    part = seen.reshape(len(some), -1)
                    apart = (part**2).sum(axis=1)[:, None] + square - 2 * part @ flat.T
                    hits = np.argwhere(apart < _SAME**2 * flat.shape[1])
                    if len(hits):
                        return int(some[hits[0, 0]]), int(rest[hits[0, 1]])
    return None


def odd_class(rows: Sequence[Row], files: Sequence[Path]) -> str:
    """Say which class of a source is gray, of another file format or blurred, unlike all others; "" where none is."""
    at: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, row in enumerate(rows):
        if not row.synthetic:
            at[row.source][row.label].append(i)
    for source, by_label in sorted(at.items()):
        enough = {label: found for label, found in by_label.items() if len(found) >= _FEWEST}
        looks = {i: look(files[i]) for found in enough.values() for i in found} if len(enough) > 1 else {}
        for label, found in enough.items() if looks else ():
            others = [i for other, more in enough.items() if other != label for i in more]
            if all(looks[i].gray for i in found) and not any(looks[i].gray for i in others):
                return f"{label} in {source} is gray, unlike all else"
            if not {files[i].suffix.lower() for i in found} & {files[i].suffix.lower() for i in others}:
                return f"{label} in {source} has files of a format of its own"
            own, rest = ([looks[i].detail for i in some] for some in (found, others))
            if max(own) < min(rest) and np.median(own) < np.median(rest) / 4:
                return f"{label} in {source} is blurred, unlike all else"
    return ""
