"""Outlines drawn or found in QuPath: GeoJSON beside the slide or field that it is of."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import shapely
from shapely.geometry.base import BaseGeometry

from leukoscope.errors import LeukoscopeError
from leukoscope.slides import Slide, open_slide

from ..manifest import Row
from ._cells import polygon_mask, save_cell, window
from ._names import Progress, label_map

__all__ = ["UNCLASSIFIED", "cut_cells", "group_of", "rows"]

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
        A FeatureCollection, or a list of features, in level-0 pixels; polygons or multipolygons.
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
    cells = _outlines(geojson)
    labels = label_map((name for name, _ in cells), mapping, geojson)
    named = [(str(i), labels[name], shape) for i, (name, shape) in enumerate(cells, 1)]
    with open_slide(image, mpp=mpp) as slide:
        scale = slide.mpp if mpp is None else mpp
        return cut_cells(slide, named, work, source, group or group_of(slide.fingerprint), scale, progress)


def cut_cells(
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
    out = []
    for done, (name, label, shape) in enumerate(cells, 1):
        at = window(*shape.bounds, slide.shape) if label else None
        if at is not None:
            y0, y1, x0, x1 = at
            rgb = slide.read((y0, x0, y1 - y0, x1 - x0))
            paths = save_cell(work, source, f"{stem}/{name}", rgb, polygon_mask(shape, at))
            out.append(Row(*paths, label, group, source, math.nan if mpp is None else mpp, "train"))
        if progress is not None:
            progress(done, len(cells))
    return out


def _outlines(file: Path) -> list[tuple[str, BaseGeometry]]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        features = value["features"] if isinstance(value, dict) else value
        found = []
        for feature in features:
            if feature["geometry"]["type"] not in ("Polygon", "MultiPolygon"):
                continue
            shape = shapely.from_geojson(json.dumps(feature["geometry"]))
            if not shape.is_empty:
                found.append((_class_name(feature.get("properties") or {}), shape))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, shapely.errors.GEOSException) as error:
        remedy = "Export objects from QuPath as GeoJSON, not compressed."
        raise LeukoscopeError(f"cannot be read as outlines ({error})", remedy, file) from error
    return found


def _class_name(properties: Mapping[str, Any]) -> str:
    name = properties.get("classification")
    if isinstance(name, Mapping):
        # QuPath writes a derived class ("Tumor: Positive") as a list of names since 0.5.
        name = name.get("name") or ": ".join(name.get("names") or ())
    return str(name) if name else UNCLASSIFIED
