"""BCCD: fields with boxes of white cells, red cells and platelets, as published (VOC) or as in the shared data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from leukoscope.errors import LeukoscopeError

from ..fields import negative_rows
from ..manifest import Row
from ..sources import MATURE, split_of
from . import voc
from ._names import Progress

__all__ = ["LABELS", "rows"]

LABELS: Final = {"WBC": MATURE, "RBC": "artefact", "Platelets": "artefact"}


def rows(folder: Path, work: Path, progress: Progress | None = None) -> list[Row]:
    """Cut the cells of BCCD: white cells are mature ones, of which class nobody wrote down; the rest are artefacts.

    The set names no patients: groups are fields. Each field's scale is told by its red cells. From the shared layout a
    few red cells and platelets of each field are taken, and white cells by their masks, as `leukotrain prepare` does.

    Parameters
    ----------
    folder : Path
        Published: holds Annotations and JPEGImages. Shared: ``bccd``, beside manifest.csv.
    work : Path
        Gets the cells, below "bccd"; paths are relative to it.
    progress : callable, optional
        Takes fields done and fields in all.

    Raises
    ------
    LeukoscopeError
        Neither layout; also as `voc.rows`.
    """
    if (folder / "Annotations").is_dir():
        cut = voc.rows(folder, work, "bccd", LABELS, "image", red_cells="RBC", progress=progress)
        # The field's own name is its group in this project, without the set's before it.
        names = [row.group.removeprefix("bccd-") for row in cut]
        return [replace(row, group=name, split=split_of(name)) for row, name in zip(cut, names, strict=True)]
    if (folder.parent / "manifest.csv").is_file():
        return negative_rows(folder.parent, work)
    raise LeukoscopeError("has neither Annotations nor manifest.csv beside it", "Give the folder of BCCD.", folder)
