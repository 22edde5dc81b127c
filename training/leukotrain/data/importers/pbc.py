"""PBC, Barcelona: tight crops of single cells, their class before the first underscore of the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..manifest import Row
from ..sources import ASSUMED_MPP, PBC, split_of
from ._names import label_map, pictures

__all__ = ["LABELS", "rows"]

LABELS: Final = {**PBC, "PLATELET": "artefact"}


def rows(folder: Path, mpp: float = ASSUMED_MPP["pbc"]) -> list[Row]:
    """List the cells in a folder of PBC (published with a folder per class) and below; splits are the project's.

    The set names no donors, so every cell is a group of its own: figures on it are about its laboratory, not about new
    patients. The cells need outlines, see `draw_outlines`.

    Parameters
    ----------
    folder : Path
        Paths are relative to it.
    mpp : float
        µm per pixel. The set does not state it: this is assumed.

    Raises
    ------
    LeukoscopeError
        No pictures.
    SettingsError
        A name that begins with no class of the set.
    """
    files = pictures(folder)
    labels = label_map((file.name.split("_")[0] for file in files), LABELS, folder)
    return [
        Row(
            file.relative_to(folder).as_posix(),
            "",
            labels[file.name.split("_")[0]],
            file.stem,
            "pbc",
            mpp,
            split_of(file.stem),
        )
        for file in files
    ]
