"""Outlines drawn or found in QuPath: GeoJSON beside the slide or field that it is of."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from leukoscope.cases._geojson_read import read_geojson
from leukoscope.slides import Slide, open_slide

from ..manifest import Row
from ._cells import Outline, Window, cut_cells, polygons
from ._names import Progress, label_map

__all__ = ["UNCLASSIFIED", "cut_slide", "group_of", "rows"]

UNCLASSIFIED: Final = "(unclassified)"  # what the mapping calls an object without a class


def group_of(fingerprint: str) -> str:
    """Give the group of a slide's cells, by its fingerprint: the same in every import, so that it is recognized."""
    return f"slide-{fingerprint}"


def rows(
    geojson: Path,
    image: Path,
    work: Path,
    mapping: Mapping[str, str],
    source: str = "qupath",
    group: str = "",
    mpp: float | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Cut the outlined cells of a slide or field.

    Points and lines are passed over, and outlines of which less than 8 pixels lie in the slide.

    Parameters
    ----------
    geojson : Path
        A FeatureCollection, a list of features or one, also within others, in level-0 pixels; polygons, multipolygons.
    image : Path
        What they were drawn on: anything that `open_slide` opens.
    work : Path
        Gets the cells, below the source's name; paths are relative to it.
    mapping : mapping of str to str
        Labels by the name of QuPath's class, see `label_map`; "(unclassified)" for objects without one.
    source : str
        What the data set is called here.
    group : str
        The patient; else the slide, by its fingerprint.
    mpp : float, optional
        µm per pixel; else the slide's own.
    progress : callable, optional
        Takes cells done and cells in all.

    Returns
    -------
    list of Row
        All in "train".

    Raises
    ------
    LeukoscopeError
        Either file cannot be read, or an outline is none.
    SettingsError
        A class without a label.
    """
    cells = [(found.name or UNCLASSIFIED, found.outline) for found in read_geojson(geojson)[0] if found.outline]
    labels = label_map((name for name, _ in cells), mapping, geojson)
    named = [(str(i), labels[name], shape) for i, (name, shape) in enumerate(cells, 1)]
    with open_slide(image, mpp=mpp) as slide:
        scale = slide.mpp if mpp is None else mpp
        return cut_slide(slide, named, work, source, group or group_of(slide.fingerprint), scale, progress)


def cut_slide(
    slide: Slide,
    cells: list[tuple[str, str, BaseGeometry]],
    work: Path,
    source: str,
    group: str,
    mpp: float | None,
    progress: Progress | None = None,
) -> list[Row]:
    """Cut outlined cells out of a slide.

    Parameters
    ----------
    slide : Slide
    cells : list of (name, label, outline)
        Names are unique; outlines in level-0 pixels; cells whose label is "" are left out.
    work, source, group, mpp, progress
        As for `rows`.
    """
    # Two slides may have one name: the fingerprint keeps their cells apart.
    stem = f"{re.sub(r'[^A-Za-z0-9._-]', '_', slide.name)}-{slide.fingerprint[:8]}"

    def read(at: Window) -> NDArray[np.uint8]:
        return slide.read((at[0], at[2], at[1] - at[0], at[3] - at[2]))

    def outlined() -> Iterator[tuple[str, str, Outline]]:
        for done, (name, label, shape) in enumerate(cells, 1):
            yield f"{stem}/{name}", label, polygons(shape)
            if progress is not None:
                progress(done, len(cells))

    return cut_cells(outlined(), slide.shape, read, work, group, source, math.nan if mpp is None else mpp)
