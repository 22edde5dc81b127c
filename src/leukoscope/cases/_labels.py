"""Label images drawn from the outlines, at any level, a window at a time: lazily for a viewer, or into OME-Zarr."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from ._files import whole_folder

if TYPE_CHECKING:
    import dask.array as da

    from .case import Case

__all__ = ["Painter", "draw", "write_labels"]

CHUNK = 1024
_BATCH = 20_000  # outlines drawn at once: bounds the memory of an overview of many cells


def draw(
    out: NDArray[np.int32],
    geometries: NDArray[np.object_],
    ids: NDArray[np.integer[Any]],
    origin: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
) -> None:
    """Draw outlines into an image: a pixel belongs to the cell that its center lies in.

    All outlines are scan-converted together, in numpy: every edge is cut with the rows of pixel centers it spans, and
    the cuts of a row, sorted, pair up into spans (even-odd rule, so holes stay open). Where outlines overlap, the
    lowest id wins.

    Parameters
    ----------
    out : int32 (Y, X)
        Drawn into.
    geometries : object (n,)
        Polygons or multi-polygons, level-0 pixels.
    ids : integer (n,)
        What is drawn for each, ascending.
    origin : (float, float)
        (y, x) of the image's first pixel, in pixels of its level.
    scale : float
        Level-0 pixels per pixel of the image.
    """
    parts, owner = shapely.get_parts(geometries, return_index=True)
    polygon = shapely.get_type_id(parts) == 3
    rings, part = shapely.get_rings(parts[polygon], return_index=True)
    owner = owner[polygon][part]
    points, ring = shapely.get_coordinates(rings, return_index=True)
    joined = ring[1:] == ring[:-1]
    place = points / scale - np.array([origin[1], origin[0]]) - 0.5  # pixel centers lie on whole numbers
    (xa, ya), (xb, yb) = place[:-1][joined].T, place[1:][joined].T
    owner = owner[ring[:-1][joined]]

    height, width = out.shape
    top = np.clip(np.ceil(np.minimum(ya, yb)), 0, height).astype(np.intp)
    end = np.clip(np.ceil(np.maximum(ya, yb)), 0, height).astype(np.intp)  # half-open: shared corners are cut once
    edge = np.repeat(np.arange(len(top)), end - top)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(end - top) - (end - top), end - top) + top[edge]
    cut = xa[edge] + (row - ya[edge]) * (xb[edge] - xa[edge]) / (yb[edge] - ya[edge])
    order = np.lexsort((cut, row, -owner[edge]))  # the highest id first, so that the lowest is drawn last
    row, cut, owner = row[order], cut[order], owner[edge][order]
    first = row[0::2] * width
    start = first + np.clip(np.ceil(cut[0::2]), 0, width).astype(np.intp)
    stop = first + np.clip(np.ceil(cut[1::2]), 0, width).astype(np.intp)
    flat = out.reshape(-1)
    # A slice a span: an index a pixel takes several times as long, for cells are many pixels wide where they are many.
    for a, b, value in zip(start.tolist(), stop.tolist(), ids[owner[0::2]].tolist(), strict=True):
        flat[a:b] = value


class Painter:
    """The outlines of a case as they are now, ready to be drawn at any of the slide's levels.

    Parameters
    ----------
    outlines : mapping of int to geometry
        By id, level-0 pixels.
    shapes : sequence of (int, int)
        Of the levels, (height, width).
    downsamples : sequence of float
        Level-0 pixels per pixel of each level.
    """

    def __init__(
        self,
        outlines: Mapping[int, BaseGeometry],
        shapes: tuple[tuple[int, int], ...],
        downsamples: tuple[float, ...],
    ) -> None:
        self.ids = np.array(sorted(outlines), dtype=np.int32)
        self.geometries = np.empty(len(outlines), dtype=object)
        self.geometries[:] = [outlines[int(i)] for i in self.ids]
        self.shapes, self.downsamples = shapes, downsamples
        self.tree = shapely.STRtree(self.geometries)

    def inside(self, level: int, y: int, x: int, height: int, width: int) -> NDArray[np.intp]:
        """Return the indices of the outlines whose box touches a window of a level, ascending."""
        scale = self.downsamples[level]
        return np.sort(self.tree.query(shapely.box(x * scale, y * scale, (x + width) * scale, (y + height) * scale)))

    def paint(self, level: int, y: int, x: int, height: int, width: int) -> NDArray[np.int32]:
        """Return a window of a level's label image, int32 (height, width), 0 background."""
        out = np.zeros((height, width), dtype=np.int32)
        found = self.inside(level, y, x, height, width)
        for i in range(len(found) - len(found) % _BATCH, -1, -_BATCH):  # from the last batch: the lowest id wins
            some = found[i : i + _BATCH]
            if len(some):
                draw(out, self.geometries[some], self.ids[some], (y, x), self.downsamples[level])
        return out

    def windows(self, level: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield (y, x, height, width) of each chunk of a level that a cell may touch."""
        height, width = self.shapes[level]
        for y in range(0, height, CHUNK):
            for x in range(0, width, CHUNK):
                window = y, x, min(CHUNK, height - y), min(CHUNK, width - x)
                if len(self.inside(level, *window)):
                    yield window

    def levels(self) -> list[da.Array]:
        """Return each level as a dask array, int32 (Y, X), drawn when it is looked at."""
        import dask.array as da

        # name=False: a name made from the content would hash every outline, a minute at 100,000 cells
        return [
            da.from_array(_Level(self, level), chunks=CHUNK, name=False, asarray=False)
            for level in range(len(self.shapes))
        ]


class _Level:
    """One level of a painter as an array that is drawn where it is read."""

    dtype = np.dtype(np.int32)
    ndim = 2

    def __init__(self, painter: Painter, level: int) -> None:
        self._painter, self._level = painter, level
        self.shape = painter.shapes[level]

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.int32]:
        (y0, y1, _), (x0, x1, _) = (part.indices(size) for part, size in zip(key, self.shape, strict=True))
        return self._painter.paint(self._level, y0, x0, y1 - y0, x1 - x0)


def write_labels(case: Case, target: Path) -> Path:
    """Write the shown cells' ids as a multiscale label image, OME-Zarr 0.5 (zarr 3); empty chunks are not written.

    The image's properties name each id's class. https://ngff.openmicroscopy.org/0.5/
    """
    import zarr

    painter = case.painter()
    with whole_folder(target) as part:
        group = zarr.create_group(part, zarr_format=3)
        for level, shape in enumerate(painter.shapes):
            array = group.create_array(
                str(level),
                shape=shape,
                chunks=(min(CHUNK, shape[0]), min(CHUNK, shape[1])),
                dtype="int32",
                fill_value=0,
                dimension_names=("y", "x"),
            )
            for y, x, height, width in painter.windows(level):
                array[y : y + height, x : x + width] = painter.paint(level, y, x, height, width)
        group.attrs.update(_attributes(case))
    return target


def _attributes(case: Case) -> dict[str, Any]:
    unit = {} if case.mpp is None else {"unit": "micrometer"}
    size = case.mpp or 1.0
    datasets = []
    for level, scale in enumerate(case.slide.downsamples):
        # NGFF places pixel centers: the first one of a coarser level lies half its surplus further in.
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": [scale * size] * 2}]
        if scale != 1:
            steps.append({"type": "translation", "translation": [(scale - 1) / 2 * size] * 2})
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    labels = case.labels(case.ids)
    rgba = {
        label: [int(case.taxonomy.color(label)[i : i + 2], 16) for i in (1, 3, 5)] for label in set(labels.values())
    }
    return {
        "ome": {
            "version": "0.5",
            "multiscales": [
                {
                    "name": case.slide.name,
                    "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
                    "datasets": datasets,
                }
            ],
            "image-label": {
                "colors": [{"label-value": i, "rgba": [*rgba[label], 255]} for i, label in labels.items()],
                "properties": [{"label-value": i, "class": label} for i, label in labels.items()],
            },
        }
    }
