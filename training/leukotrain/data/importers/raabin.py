"""Raabin-WBC, the double-labeled cropped cells, by the layout in which they are published.

``Train``, ``TestA`` and ``TestB`` (another microscope and camera), each with the folders Basophil, Eosinophil,
Lymphocyte, Monocyte and Neutrophil. Tested on a made folder only: the set itself was not at hand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Final

from leukoscope.errors import LeukoscopeError

from ..manifest import Row
from . import folders

__all__ = ["LABELS", "PARTS", "rows"]

LABELS: Final = {
    "Basophil": "basophil",
    "Eosinophil": "eosinophil",
    "Lymphocyte": "lymphocyte",
    "Monocyte": "monocyte",
    "Neutrophil": "neutrophil",
}
PARTS: Final = {"Train": "train", "TestA": "test", "TestB": "test"}


def rows(folder: Path, group: str, mpp: float = math.nan) -> list[Row]:
    """List the cells; TestB is a source of its own, "raabin-b", for it is another microscope's.

    Parameters
    ----------
    folder : Path
        Holds the parts, as many as were unpacked; paths are relative to it.
    group : str
        As for `folders.rows`, searched for in ``<class>/<picture>``; the set's own folders name no patient. Files of
        one smear that lie in Train and in TestA make a manifest refuse the published split: then split anew.
    mpp : float
        µm per pixel; not a number where unknown.

    Returns
    -------
    list of Row
        Train in "train", both tests in "test"; nothing is in "val".

    Raises
    ------
    LeukoscopeError
        None of the parts is there; also as `folders.rows`.
    """
    parts = [part for part in PARTS if (folder / part).is_dir()]
    if not parts:
        raise LeukoscopeError(
            f"holds none of {', '.join(PARTS)}", "Unpack the cropped cells of Raabin-WBC here.", folder
        )
    out = []
    for part in parts:
        source = "raabin-b" if part == "TestB" else "raabin"
        for row in folders.rows(folder / part, source, LABELS, group, mpp):
            out.append(replace(row, image=f"{part}/{row.image}", split=PARTS[part]))
    return out
