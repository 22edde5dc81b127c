"""Fields with COCO's instances: one JSON file of outlines or boxes beside the pictures."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from leukoscope.errors import LeukoscopeError
from leukoscope.slides import read_picture

from ..manifest import Row
from ._cells import Outline, cut_cells, ellipse, polygons, region
from ._names import Progress, label_map, rule

__all__ = ["decode_rle", "rows"]


def rows(
    annotations: Path,
    images: Path,
    work: Path,
    source: str,
    mapping: Mapping[str, str],
    group: str,
    mpp: float = math.nan,
    progress: Progress | None = None,
) -> list[Row]:
    """Cut the annotated cells of all pictures.

    A cell's outline is its segmentation (polygons, or run lengths, compressed or not); where it has none, the ellipse
    that fills its box. Crowds are left out, and boxes of which less than 8 pixels lie in the picture.

    Parameters
    ----------
    annotations : Path
        ``instances_….json``.
    images : Path
        The folder to which its file names are relative.
    work : Path
        Gets the cells, below the source's name; paths are relative to it.
    source, mapping, group, mpp
        As for `folders.rows`; names are those of the categories, the path for the group is the picture's file name.
    progress : callable, optional
        Takes pictures done and pictures in all.

    Returns
    -------
    list of Row
        All in "train".

    Raises
    ------
    LeukoscopeError
        The JSON is none, lacks what it must have, or names a picture that is missing or outside `images`.
    SettingsError
        A category without a label, or a path without a group.
    """
    try:
        value = json.loads(annotations.read_text(encoding="utf-8-sig"))
        names = {int(c["id"]): str(c["name"]) for c in value["categories"]}
        files = {int(i["id"]): str(i["file_name"]) for i in value["images"]}
        cells: dict[int, list[Any]] = {key: [] for key in files}
        for cell in value["annotations"]:
            if not cell.get("iscrowd"):
                cells[int(cell["image_id"])].append((int(cell["id"]), names[int(cell["category_id"])], cell))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise LeukoscopeError(f"cannot be read ({error})", "Give COCO's instances as JSON.", annotations) from error
    except KeyError as error:
        cause = f"lacks {error}, or an annotation refers to what is not there"
        raise LeukoscopeError(cause, "Give COCO's instances as JSON.", annotations) from error
    numbers = Counter(number for found in cells.values() for number, _, _ in found)
    if twice := [number for number, count in numbers.items() if count > 1]:
        raise LeukoscopeError(f"several annotations have the id {twice[0]}", "Number them anew.", annotations)
    labels = label_map((name for found in cells.values() for _, name, _ in found), mapping, annotations)
    find = rule(group, source)
    out = []
    for done, (key, file) in enumerate(files.items(), 1):
        pure = PureWindowsPath(file)
        if ".." in pure.parts or pure.anchor:
            raise LeukoscopeError(f"names {file}, outside the pictures' folder", "Correct it.", annotations)
        if wanted := [found for found in cells[key] if labels[found[1]]]:
            image = read_picture(images / file)
            outlined = (
                (f"{key}-{number}", labels[name], _outline(cell, image.shape, file, annotations))
                for number, name, cell in wanted
            )
            out += cut_cells(outlined, image.shape, partial(region, image), work, find(file), source, mpp)
        if progress is not None:
            progress(done, len(files))
    return out


def _outline(cell: Mapping[str, Any], shape: tuple[int, ...], picture: str, file: Path) -> Outline:
    try:
        outline = cell.get("segmentation")
        if isinstance(outline, Mapping):
            full = decode_rle(outline, shape)
            y, x = np.flatnonzero(full.any(axis=1)), np.flatnonzero(full.any(axis=0))
            bounds = (x[0], y[0], x[-1] + 1, y[-1] + 1) if len(y) else (0, 0, 0, 0)
            return Outline(bounds, partial(region, full))
        if outline:
            parts = [shapely.Polygon(np.asarray(part, float).reshape(-1, 2)) for part in outline]
            return polygons(shapely.MultiPolygon(parts))
        x0, y0, width, height = map(float, cell["bbox"])
    except (ValueError, TypeError, KeyError, IndexError, shapely.errors.GEOSException) as error:
        cause = f"annotation {cell['id']} of {picture} has no outline that can be read ({error})"
        raise LeukoscopeError(cause, "Export the annotations anew.", file) from error
    return ellipse(x0, y0, x0 + width, y0 + height)


def decode_rle(value: Mapping[str, Any], shape: Sequence[int]) -> NDArray[np.bool_]:
    """Draw COCO's run lengths: columns one after the other, background first, as numbers or as their text.

    Parameters
    ----------
    value : mapping
        ``size`` (height, width) and ``counts``.
    shape : (height, width, ...)
        Of the picture.

    Raises
    ------
    ValueError
        They are of another size, or do not fill the picture.
    """
    height, width = map(int, value["size"])
    if (height, width) != tuple(shape[:2]):
        raise ValueError(f"its run lengths are of {(height, width)}, the picture of {tuple(shape[:2])}")
    counts = value["counts"]
    runs = _text_runs(counts) if isinstance(counts, str) else [int(c) for c in counts]
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise ValueError(f"run lengths sum to {sum(runs)} instead of {height * width}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T


def _text_runs(text: str) -> list[int]:
    """Undo COCO's compression: five bits a character, the sixth says "more"; from the fourth run on, differences."""
    runs: list[int] = []
    number = shift = 0
    for character in text:
        bits = ord(character) - 48
        number |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    return runs
