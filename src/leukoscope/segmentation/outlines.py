"""Outlines of cells as geometry in level-0 pixels, and back to masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from skimage.draw import polygon as fill_polygon
from skimage.measure import find_contours

from ._upsample import MARGIN, smooth_field
from .base import Masks

__all__ = ["FoundCell", "found_cells", "rasterize"]

TOLERANCE = 0.06  # working px an outline may be off after its vertices are thinned out


@dataclass(frozen=True)
class FoundCell:
    """A cell on a slide.

    Attributes
    ----------
    cell : shapely Polygon
        Its outline in level-0 pixels, x to the right, y down, a pixel's center at +0.5.
    nucleus : shapely Polygon or MultiPolygon
        Its nucleus, within the cell; several lobes make a MultiPolygon.
    x, y : float
        The centroid of the cell's outline, level-0 pixels.
    score : float
        How sure the segmenter is, 0..1.
    kind : str
        "cell", "smudge" or "platelet".
    """

    cell: Polygon
    nucleus: Polygon | MultiPolygon
    x: float
    y: float
    score: float
    kind: str = "cell"


def found_cells(masks: Masks, origin: tuple[float, float] = (0, 0), scale: float = 1.0) -> list[FoundCell]:
    """Turn masks into outlines.

    Parameters
    ----------
    masks : Masks
        On the working grid.
    origin : tuple of 2 int
        `(y, x)` of the masks' first pixel, in working pixels.
    scale : float
        Level-0 pixels per working pixel.

    Returns
    -------
    list of FoundCell
        In the order of the ids. The geometry is valid, and runs between the pixels, smoothly.
    """
    found = []
    for i, box in enumerate(ndimage.find_objects(masks.cells, len(masks)), start=1):
        if box is None:
            continue
        window = tuple(
            slice(max(0, s.start - MARGIN), min(n, s.stop + MARGIN))
            for s, n in zip(box, masks.cells.shape, strict=True)
        )
        corner = (window[0].start + origin[0], window[1].start + origin[1])
        pieces = _pieces(_outline(masks.cells[window] == i, corner, scale))
        if not pieces:
            continue
        cell = Polygon(max(pieces, key=lambda p: p.area).exterior)
        nucleus = _polygons(_outline(masks.nuclei[window] == i, corner, scale).intersection(cell))
        center = cell.centroid
        kind = masks.kinds[i - 1] if masks.kinds else "cell"
        found.append(FoundCell(cell, nucleus, center.x, center.y, float(masks.scores[i - 1]), kind))
    return found


def rasterize(
    geometry: BaseGeometry, shape: tuple[int, int], origin: tuple[float, float] = (0, 0), scale: float = 1.0
) -> NDArray[np.bool_]:
    """Draw an outline as a mask: the pixels whose centers lie inside.

    Parameters
    ----------
    geometry : shapely Polygon or MultiPolygon
        In level-0 pixels.
    shape : tuple of 2 int
        Height and width of the mask.
    origin : tuple of 2 float
        `(y, x)` of the mask's first pixel, in pixels of the mask's own scale.
    scale : float
        Level-0 pixels per pixel of the mask.

    Returns
    -------
    ndarray of bool, shape `shape`
    """
    mask = np.zeros(shape, bool)
    for part in _pieces(geometry):
        for ring in (part.exterior, *part.interiors):
            xy = shapely.get_coordinates(ring) / scale - 0.5
            rows, columns = fill_polygon(xy[:, 1] - origin[0], xy[:, 0] - origin[1], shape)
            mask[rows, columns] ^= True  # an inner ring takes away what the outer one filled
    return mask


def _outline(mask: NDArray[np.bool_], corner: tuple[int, int], scale: float) -> BaseGeometry:
    """Give the half-level curve of the blurred mask, in level-0 pixels."""
    # Zeros around: where a cell is cut by the image's border, its outline runs along the border.
    field = np.pad(smooth_field(mask), 1)
    if field.max() <= 0.5:
        field = np.pad(mask.astype(np.float32), 1)
    shape: BaseGeometry = Polygon()
    for ring in find_contours(field, 0.5):
        if len(ring) < 4:
            continue
        xy = (ring[:, ::-1] - 1 + (corner[1] + 0.5, corner[0] + 0.5)) * scale
        piece = Polygon(xy).simplify(TOLERANCE * scale)
        shape = shape.symmetric_difference(piece if piece.is_valid else piece.buffer(0))
    return shape


def _pieces(geometry: BaseGeometry) -> list[Polygon]:
    """Give the areas of a geometry: no lines and points, which an intersection may leave."""
    if isinstance(geometry, Polygon):
        return [] if geometry.is_empty else [geometry]
    return [piece for part in getattr(geometry, "geoms", ()) for piece in _pieces(part)]


def _polygons(geometry: BaseGeometry) -> Polygon | MultiPolygon:
    pieces = _pieces(geometry)
    return pieces[0] if len(pieces) == 1 else MultiPolygon(pieces)
