"""Cells cut out of larger pictures, each with its outline, as files in a work folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukoscope.errors import LeukoscopeError

from ..manifest import Row
from ._names import Progress

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["SMALLEST", "Window", "draw_outlines", "ellipse_mask", "polygon_mask", "read_picture", "save_cell", "window"]

SMALLEST: Final = 8  # pixels; what is smaller shows no cell
_MARGIN: Final = 6  # pixels around a cell

Window = tuple[int, int, int, int]  # y0, y1, x0, x1
Mask = NDArray[np.bool_]


def read_picture(file: Path) -> NDArray[np.uint8]:
    """Read a picture as uint8 (h, w, 3).

    Raises
    ------
    LeukoscopeError
        It is missing or damaged.
    """
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise LeukoscopeError(f"cannot be read ({error})", "Copy the file anew.", file) from error


def window(x0: float, y0: float, x1: float, y1: float, shape: Sequence[int]) -> Window | None:
    """Give the whole pixels around a box, cut at the picture's border; None if less than `SMALLEST` is left of it."""
    inside = (max(y0, 0), min(y1, shape[0]), max(x0, 0), min(x1, shape[1]))
    if not (inside[1] - inside[0] >= SMALLEST and inside[3] - inside[2] >= SMALLEST):  # also false for NaN
        return None
    return (
        max(0, math.floor(y0) - _MARGIN),
        min(shape[0], math.ceil(y1) + _MARGIN),
        max(0, math.floor(x0) - _MARGIN),
        min(shape[1], math.ceil(x1) + _MARGIN),
    )


def polygon_mask(geometry: BaseGeometry, at: Window) -> Mask:
    """Draw a polygon or several, bool array of the window: a pixel is in where its center is."""
    from skimage.draw import polygon

    y0, y1, x0, x1 = at
    mask = np.zeros((y1 - y0, x1 - x0), bool)
    parts: Any = getattr(geometry, "geoms", [geometry])
    for part in parts:
        if part.geom_type != "Polygon" or part.is_empty:
            continue
        drawn = np.zeros_like(mask)
        for ring, value in ((part.exterior, True), *((hole, False) for hole in part.interiors)):
            x, y = np.asarray(ring.coords)[:, :2].T
            drawn[polygon(y - y0 - 0.5, x - x0 - 0.5, mask.shape)] = value
        mask |= drawn
    return mask


def ellipse_mask(x0: float, y0: float, x1: float, y1: float, at: Window) -> Mask:
    """Draw the ellipse that fills a box: what a box says of a round cell. Bool array of the window."""
    rows, columns = np.ogrid[at[0] : at[1], at[2] : at[3]]
    vertical = (rows + 0.5 - (y0 + y1) / 2) / ((y1 - y0) / 2)
    horizontal = (columns + 0.5 - (x0 + x1) / 2) / ((x1 - x0) / 2)
    return np.asarray(vertical**2 + horizontal**2 <= 1)


def save_cell(work: Path, folder: str, name: str, rgb: NDArray[np.uint8], mask: Mask) -> tuple[str, str]:
    """Write a cell and its outline as PNG.

    Parameters
    ----------
    work : Path
    folder, name : str
        Where in it, and the stem of the files.
    rgb : uint8 array (h, w, 3)
    mask : bool array (h, w)

    Returns
    -------
    tuple of str
        The paths of the picture and of its outline, relative to `work`.
    """
    target = work / folder
    picture, outline = target / f"{name}.png", target / f"{name}-mask.png"
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(picture)
        Image.fromarray(mask.astype(np.uint8) * 255).save(outline)
    except OSError as error:
        raise LeukoscopeError(f"cannot be written ({error.strerror})", "Choose another folder.", picture) from error
    return picture.relative_to(work).as_posix(), outline.relative_to(work).as_posix()


def draw_outlines(rows: Sequence[Row], folder: Path, work: Path, progress: Progress | None = None) -> list[Row]:
    """Outline the cells that come without a mask, as at inference, and give the rows with their masks.

    A cell on black needs none, but gets one all the same. Outlines that are there already are not drawn again.

    Parameters
    ----------
    rows : sequence of Row
    folder : Path
        Where their pictures are.
    work : Path
        Gets the outlines, below "outlines".
    progress : callable, optional
        Takes rows done and rows in all.
    """
    from leukoscope.classification.outline import outline

    out = []
    for i, row in enumerate(rows):
        if not row.mask:
            name = Path("outlines", row.source, *Path(row.image).with_suffix(".png").parts)
            if not (work / name).exists():
                image = read_picture(folder / row.image)
                mask = outline(image, None if math.isnan(row.mpp) else row.mpp)
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                partial = (work / name).with_suffix(".partial")
                Image.fromarray(mask.astype(np.uint8) * 255).save(partial, format="png")
                partial.replace(work / name)
            row = replace(row, mask=name.as_posix())
        out.append(row)
        if progress is not None:
            progress(i + 1, len(rows))
    return out
