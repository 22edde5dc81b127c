"""Pictures of single cells in trees with a folder per class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from leukoscope.errors import LeukoscopeError

from ..manifest import Row
from ._names import label_map, pictures, rule

__all__ = ["rows"]


def rows(folder: Path, source: str, mapping: Mapping[str, str], group: str, mpp: float = math.nan) -> list[Row]:
    """List the cells of ``<class>/[<group>/…]<picture>``.

    Parameters
    ----------
    folder : Path
        Holds a folder for each class; paths are relative to it.
    source : str
        What the data set is called here.
    mapping : mapping of str to str
        Labels by the folder's name, see `label_map`.
    group : str
        How to tell the patient: "folder" (the one that the picture is in, which must not be the class's), "image",
        "source", or a regular expression for the path, see `rule`. There is no default: a wrong guess here makes every
        figure too good.
    mpp : float
        µm per pixel; not a number where unknown.

    Returns
    -------
    list of Row
        All in "train": split them with `splits.holdout`.

    Raises
    ------
    LeukoscopeError
        No pictures, or one outside the classes' folders, or directly in one where groups are folders.
    SettingsError
        A folder without a label, or a path without a group.
    """
    files = [(file, file.relative_to(folder).as_posix()) for file in pictures(folder)]
    find = rule(group, source)
    for file, path in files:
        if "/" not in path:
            raise LeukoscopeError("lies beside the classes' folders", "Move it into one, or away.", file)
        if group == "folder" and path.count("/") < 2:
            remedy = "Put a folder per patient into each class's, or give another rule for the group."
            raise LeukoscopeError("lies directly in the folder of its class, which is no patient", remedy, file)
    labels = label_map((path.split("/")[0] for _, path in files), mapping, folder)
    return [
        Row(path, "", label, find(path), source, mpp, "train")
        for _, path in files
        if (label := labels[path.split("/")[0]])
    ]
