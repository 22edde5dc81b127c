"""Fields with boxes in PASCAL VOC's XML: ``Annotations/<field>.xml`` beside ``JPEGImages/<field>.jpg``."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from leukoscope.errors import LeukoscopeError
from leukoscope.slides import RED_CELL_UM, read_picture

from ..manifest import Row
from ._cells import cut_cells, ellipse, region
from ._names import Progress, label_map, rule

__all__ = ["Box", "read_boxes", "rows"]

Box = tuple[str, float, float, float, float]  # name, x0, y0, x1, y1


def read_boxes(file: Path) -> list[Box]:
    """Read the boxes of a field, in pixels.

    Raises
    ------
    LeukoscopeError
        The file cannot be read, is no VOC XML, or defines entities, by which XML can be made to fill the memory.
    """
    try:
        text = file.read_text(encoding="utf-8")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise LeukoscopeError("defines entities, which boxes do not need", "Take the DOCTYPE out.", file)
        boxes = []
        for item in ET.fromstring(text).iter("object"):  # noqa: S314 - without a DOCTYPE there is nothing to expand
            x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{k}") or "nan") for k in ("xmin", "ymin", "xmax", "ymax"))
            boxes.append(((item.findtext("name") or "").strip(), x0, y0, x1, y1))
    except (OSError, ValueError, ET.ParseError) as error:
        raise LeukoscopeError(f"cannot be read ({error})", "Give VOC's XML files.", file) from error
    return boxes


def rows(
    folder: Path,
    work: Path,
    source: str,
    mapping: Mapping[str, str],
    group: str,
    mpp: float = math.nan,
    red_cells: str = "",
    progress: Progress | None = None,
) -> list[Row]:
    """Cut the boxes of all fields; an outline is the ellipse that fills its box.

    Boxes of which less than 8 pixels lie in the field, either way, are left out.

    Parameters
    ----------
    folder : Path
        Holds Annotations and JPEGImages.
    work : Path
        Gets the cells, below the source's name; paths are relative to it.
    source, mapping, group
        As for `folders.rows`; the path for the group is the field's, relative to JPEGImages.
    mpp : float
        µm per pixel; not a number where unknown.
    red_cells : str
        The name of red cells' boxes: where a field has some, their median width, 7.2 µm, gives its scale instead.
    progress : callable, optional
        Takes fields done and fields in all.

    Returns
    -------
    list of Row
        All in "train".

    Raises
    ------
    LeukoscopeError
        No annotations, a file that cannot be read, or a field's picture that is missing.
    SettingsError
        A name without a label, or a path without a group.
    """
    notes = sorted((folder / "Annotations").glob("*.xml"))
    if not notes:
        raise LeukoscopeError("no Annotations/*.xml", "Give the folder that holds Annotations and JPEGImages.", folder)
    boxes = {note: read_boxes(note) for note in notes}
    labels = label_map((box[0] for found in boxes.values() for box in found), mapping, folder)
    find = rule(group, source)
    out = []
    for done, (note, found) in enumerate(boxes.items(), 1):
        file = next(iter(sorted((folder / "JPEGImages").glob(f"{note.stem}.*"))), None)
        if file is None:
            raise LeukoscopeError("has no picture in JPEGImages", "Bring the picture back, or remove the file.", note)
        image = read_picture(file)
        of = find(file.relative_to(folder / "JPEGImages").as_posix())
        widths = [
            (x1 - x0 + y1 - y0) / 2 for name, x0, y0, x1, y1 in found if name == red_cells and x1 > x0 and y1 > y0
        ]
        scale = RED_CELL_UM / float(np.median(widths)) if widths else mpp
        outlined = [
            (f"{note.stem}-{k:03d}", labels[name], ellipse(*corners)) for k, (name, *corners) in enumerate(found)
        ]
        out += cut_cells(outlined, image.shape, partial(region, image), work, of, source, scale)
        if progress is not None:
            progress(done, len(notes))
    return out
