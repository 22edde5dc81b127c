"""A case of many cells, spread evenly, for what the viewer is timed with."""

from __future__ import annotations

from math import pi
from pathlib import Path

import numpy as np
import shapely

from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo

__all__ = ["MPP", "write_case"]

CLASSES = ("blast", "lymphocyte", "neutrophil_segmented", "monocyte")
MPP, BLOCKS = 0.25, 10


def write_case(folder: Path, slide: SlideInfo, side: int, cells: int, radius: float) -> None:
    """Write a case with outlines of 24 corners.

    Parameters
    ----------
    folder : Path
        Of the case, to be made.
    slide : SlideInfo
    side : int
        Of the slide, px.
    cells : int
    radius : float
        Of each, px.
    """
    rng = np.random.default_rng(0)
    settings = RunSettings(segmenter="none", model="none", classes=CLASSES, mpp=MPP)
    places = rng.uniform(100, side - 100, (cells, 2))
    outlines = shapely.buffer(shapely.points(places), radius, quad_segs=6)
    labels = rng.integers(len(CLASSES), size=cells)
    proba = rng.dirichlet(np.ones(len(CLASSES)), cells)
    area = pi * (radius * MPP) ** 2
    rows = [
        CellRow(o, None, x, y, area, None, 1.0, dict(zip(CLASSES, p.tolist(), strict=True)), CLASSES[k])
        for o, (x, y), p, k in zip(outlines, places, proba, labels, strict=True)
    ]
    with Case.create(folder, slide, settings) as case:
        run = case.begin_run(settings, blocks=BLOCKS)
        for block, some in enumerate(np.array_split(np.arange(cells), BLOCKS)):
            case.add_block(run, block, [rows[i] for i in some])
        case.finish_run(run, "completed")
