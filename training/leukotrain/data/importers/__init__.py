"""Rows of a training manifest from other people's data, a module each with a function `rows`.

`cnmc`, `all_idb1`, `all_idb2`, `pbc`, `bccd` and `raabin` read public sets as they are published; `folders` reads trees
with a folder per class, `voc` and `coco` fields with boxes or outlines, `qupath` GeoJSON beside a slide, and `cases`
what reviewers said in Leukoscope. `agreement` asks whether two sources mean the same by their labels.

Nothing is guessed: a name without a place in the taxonomy is refused, and where the data do not say which patient a
cell is of, the caller must.
"""

from __future__ import annotations

from typing import Final

from ._cells import draw_outlines

__all__ = ["IMPORTERS", "draw_outlines"]

IMPORTERS: Final = (
    "all_idb1",
    "all_idb2",
    "bccd",
    "cases",
    "cnmc",
    "coco",
    "folders",
    "pbc",
    "qupath",
    "raabin",
    "voc",
)
