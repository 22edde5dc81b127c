"""Cells cut out of larger pictures, each with its outline, as files in a work folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukoscope.errors import LeukoscopeError
from leukoscope.slides import read_picture

from ..manifest import Row
from ._names import Progress

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

__all__ = ["Outline", "Window", "cut_cells", "draw_outlines", "ellipse", "polygons", "region", "save_cell"]

SMALLEST: Final = 8  # pixels; what is smaller shows no cell
_MARGIN: Final = 6  # pixels around a cell

Window = tuple[int, int, int, int]  # y0, y1, x0, x1
Mask = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


def window(x0: float, y0: float, x1: float, y1: float, shape: Sequence[int]) -> Window | None:
    """Give the whole pixels around a box, cut at the picture's border; None if less than `SMALLEST` is left of it."""
    inside = (max(y0, 0), min(y1, shape[0]), max(x0, 0), min(x1, shape[1]))
    if not all(map(math.isfinite, (x0, y0, x1, y1))) or min(inside[1] - inside[0], inside[3] - inside[2]) < SMALLEST:
        return None
    return (
        max(0, math.floor(y0) - _MARGIN),
        min(shape[0], math.ceil(y1) + _MARGIN),
        max(0, math.floor(x0) - _MARGIN),
        min(shape[1], math.ceil(x1) + _MARGIN),
    )


def region(image: NDArray[T], at: Window) -> NDArray[T]:
    """Give what of a picture lies in a window."""
    return image[at[0] : at[1], at[2] : at[3]]


class Outline(NamedTuple):
    """A cell's outline in a picture.

    Attributes
    ----------
    bounds : (x0, y0, x1, y1)
        The box around it, in pixels.
    draw : callable
        Takes a window of the picture, gives the cell in it as a bool array.
    """

    bounds: tuple[float, float, float, float]
    draw: Callable[[Window], Mask]


def ellipse(x0: float, y0: float, x1: float, y1: float) -> Outline:
    """Give the ellipse that fills a box: what a box says of a round cell."""

    def draw(at: Window) -> Mask:
        rows, columns = np.ogrid[at[0] : at[1], at[2] : at[3]]
        vertical = (rows + 0.5 - (y0 + y1) / 2) / ((y1 - y0) / 2)
        horizontal = (columns + 0.5 - (x0 + x1) / 2) / ((x1 - x0) / 2)
        return np.asarray(vertical**2 + horizontal**2 <= 1)

    return Outline((x0, y0, x1, y1), draw)


def polygons(geometry: BaseGeometry) -> Outline:
    """Give the outline of a polygon or several."""
    return Outline(geometry.bounds, lambda at: polygon_mask(geometry, at))


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


def cut_cells(
    cells: Iterable[tuple[str, str, Outline]],
    shape: Sequence[int],
    read: Callable[[Window], NDArray[np.uint8]],
    work: Path,
    group: str,
    source: str,
    mpp: float,
) -> list[Row]:
    """Cut outlined cells out of a picture and write them to the work folder.

    Parameters
    ----------
    cells : iterable of (name, label, outline)
        Names are the files' stems, below the source's folder; cells whose label is "" are left out, and those of which
        less than `SMALLEST` pixels lie in the picture, either way.
    shape : (height, width, ...)
        Of the picture.
    read : callable
        Takes a window of it, gives its pixels.
    work, group, source, mpp
        For the rows; all are in "train".
    """
    out = []
    for name, label, outline in cells:
        at = window(*outline.bounds, shape) if label else None
        if at is not None:
            paths = save_cell(work, source, name, read(at), outline.draw(at))
            out.append(Row(*paths, label, group, source, mpp, "train"))
    return out


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
    if not picture.resolve().is_relative_to(work.resolve()):
        raise LeukoscopeError("leads out of the work folder", "Call the source by a plain name.", picture)
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(picture)
        Image.fromarray(mask.astype(np.uint8) * 255).save(outline)
    except OSError as error:
        raise LeukoscopeError(f"cannot be written ({error.strerror})", "Choose another folder.", picture) from error
    return picture.relative_to(work).as_posix(), outline.relative_to(work).as_posix()


def draw_outlines(rows: Sequence[Row], folder: Path, work: Path, progress: Progress | None = None) -> list[Row]:
    """Outline the cells that come without a mask, as at inference, and give the rows with their masks.

    A cell on black needs none, but gets one all the same. Outlines that are there already, drawn or
    mended after the picture was saved, are left as they are.

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
            picture = folder / row.image
            if not (work / name).exists() or (work / name).stat().st_mtime_ns < picture.stat().st_mtime_ns:
                image = read_picture(picture)
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
