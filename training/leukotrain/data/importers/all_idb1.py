"""ALL-IDB1: whole fields with the blasts' centroids, published (``im``, ``xyc``) or shared (a CSV beside each)."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Final

from leukoscope.errors import LeukoscopeError

from ..fields import field_rows
from ..manifest import Row
from ._names import Progress, pictures

__all__ = ["rows"]

_NAME: Final = re.compile(r"(Im\d+)_([01])")
_COLUMNS: Final = ("path", "dataset", "kind", "label", "group", "mask", "points", "note")


def rows(folder: Path, work: Path, segmenter: str = "spike", progress: Progress | None = None) -> list[Row]:
    """Find the cells of all fields, and label those that the set's points label; see `fields.field_rows`.

    The set names no patients: groups are fields, splits the project's, in which neighboring fields stay together.

    Parameters
    ----------
    folder : Path
        Published: holds im and xyc. Shared: holds a .csv (x, y, label) beside each picture.
    work : Path
        Gets the cells; paths are relative to it.
    segmenter : str
        Finds the cells, as points have no outlines.
    progress : callable, optional
        Takes fields done and fields in all.

    Raises
    ------
    LeukoscopeError
        No pictures, a name that is not the set's, or a field without its points.
    """
    listed = []
    for file in pictures(folder):
        match = _NAME.fullmatch(file.stem)
        if match is None:
            raise LeukoscopeError("is not named as ALL-IDB1's fields are", "Leave only ImXXX_0 and ImXXX_1.", file)
        listed.append((file, _points(file, work), "all" if match[2] == "1" else "healthy", match[1]))
    out = []
    for done, (file, points, label, group) in enumerate(listed, 1):
        # `field_rows` reads the project's own list of data sets: it gets one, field by field.
        place = work / "all_idb1" / file.stem
        place.mkdir(parents=True, exist_ok=True)
        with (place / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(_COLUMNS)
            writer.writerow((file.resolve(), "all_idb1", "field", label, group, "", points.resolve(), ""))
        out += field_rows(place, work, segmenter)
        if progress is not None:
            progress(done, len(listed))
    return out


def _points(file: Path, work: Path) -> Path:
    """Give the CSV of a field's points; made from the published list of blasts where there is none."""
    beside = file.with_suffix(".csv")
    if beside.is_file():
        return beside
    published = file.parent.parent / "xyc" / f"{file.stem}.xyc"
    try:
        found = [line.split() for line in published.read_text(encoding="utf-8").splitlines() if line.strip()]
        points = [(float(x), float(y)) for x, y in found]
    except (OSError, ValueError) as error:
        remedy = "Bring its .xyc (or .csv) file back; an empty one says that there is no blast."
        raise LeukoscopeError(f"has no points that can be read ({error})", remedy, file) from error
    target = work / "all_idb1" / f"{file.stem}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("x", "y", "label"))
        writer.writerows((x, y, "blast") for x, y in points)
    return target
