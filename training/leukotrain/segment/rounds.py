"""A second round of masks: cells that a first network outlined, where an independent method saw the same.

Public masks come from three microscopes and show few touching cells. The first network outlines cells of other sets and
whole fields; what the classical segmenter, which shares nothing with it but the white point, outlines alike is taken as
true, and everything else that is stained as a nucleus stays unknown (no loss is taken there).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from leukoscope.segmentation.base import Calibration, Segmenter
from leukoscope.segmentation.watershed import WatershedSegmenter
from leukotrain.data.split import is_held_out, is_validation

from .bank import BANK_MPP, Canvas, azure, read_canvas

__all__ = ["accept", "second_round"]

PBC_MPP = 0.1
AGREE_NUCLEUS, AGREE_CELL = 0.85, 0.8  # IoU of the two methods' outlines
SMALLEST_UM2, LARGEST_UM2 = 30.0, 320.0

Bool = NDArray[np.bool_]


def second_round(
    bank: list[Canvas], folder: Path, first: Segmenter, per_class: int = 40, seed: int = 0
) -> list[Canvas]:
    """Give the bank with more masks: of cells in ALL-IDB1's fields, and of crops of PBC.

    Parameters
    ----------
    bank : list of Canvas
        Of the first round.
    folder : Path
        The data, with `manifest.csv`.
    first : Segmenter
        Trained in the first round.
    per_class : int
        Crops looked at of every class of PBC.
    seed : int

    Returns
    -------
    list of Canvas
        Held-out and validation groups are in neither round.
    """
    second = WatershedSegmenter()
    fields = [c for c in bank if c.source == "all_idb1"]
    out = [c for c in bank if c.source != "all_idb1"] + [accept(c, first, second) for c in fields]
    rows = pd.read_csv(Path(folder) / "manifest.csv")
    rows = rows[~rows["group"].map(lambda g: is_held_out(str(g)) or is_validation(str(g)))]
    for _, some in rows[rows["dataset"] == "pbc"].groupby("label"):
        for row in some.sample(min(per_class, len(some)), random_state=seed).itertuples():
            canvas = accept(_crop(folder, row), first, second)
            if canvas.cells.any():
                out.append(canvas)
    return out


def accept(canvas: Canvas, first: Segmenter, second: Segmenter) -> Canvas:
    """Add to a canvas the cells that both segmenters outline alike; other stain becomes unknown.

    Parameters
    ----------
    canvas : Canvas
    first : Segmenter
        Whose outlines are taken.
    second : Segmenter
        Who must agree.

    Returns
    -------
    Canvas
    """
    rgb = np.rint(255 * 10.0 ** (-canvas.density.astype(np.float32) / 128)).astype(np.uint8)
    white = Calibration((255.0, 255.0, 255.0), second.calibrate(rgb).numbers)
    one = first.segment(rgb, BANK_MPP, Calibration((255.0, 255.0, 255.0), first.calibrate(rgb).numbers))
    two = second.segment(rgb, BANK_MPP, white)
    cells = np.zeros(canvas.cells.shape, np.int16)
    nuclei = np.zeros(cells.shape, bool)
    height, width = canvas.density.shape[:2]
    for i, box in enumerate(ndimage.find_objects(one.cells), start=1):
        if box is None:
            continue
        cell, nucleus = one.cells[box] == i, one.nuclei[box] == i
        if _at_border(nucleus, box, (height, width)):  # of the cell, a border may cut: crops of PBC are tight
            continue
        if not SMALLEST_UM2 < cell.sum() * BANK_MPP**2 < LARGEST_UM2:
            continue
        other = int(np.bincount(two.cells[box][cell]).argmax())
        if not other:
            continue
        alike = _agree(nucleus, two.nuclei, other, box, AGREE_NUCLEUS)
        if alike and _agree(cell, two.cells, other, box, AGREE_CELL):
            cells[box][cell] = i
            nuclei[box] |= nucleus
    # The rim of an accepted cell is known; what else is stained, and 2 µm around it, is not.
    stained = azure(canvas.density) | canvas.nuclei | (one.cells > 0) | (two.cells > 0)
    rest = stained & ~ndimage.binary_dilation(cells > 0, iterations=2)
    unknown = ndimage.binary_dilation(rest, iterations=round(2 / BANK_MPP)) & (cells == 0)
    return replace(canvas, cells=cells, nuclei=nuclei, unknown_cell=unknown, unknown_nucleus=unknown)


def _at_border(mask: Bool, box: tuple[slice, ...], shape: tuple[int, int]) -> bool:
    """Tell whether a mask reaches the image's border; `box` is where it lies."""
    for axis, (extent, size) in enumerate(zip(box, shape, strict=True)):
        along: NDArray[np.bool_] = np.asarray(mask.any(axis=1 - axis))
        if (extent.start == 0 and along[0]) or (extent.stop == size and along[-1]):
            return True
    return False


def _agree(mask: Bool, labels: NDArray[np.int32], other: int, box: tuple[slice, ...], least: float) -> bool:
    theirs = labels[box] == other
    union = np.count_nonzero(mask | theirs) + np.count_nonzero(labels == other) - np.count_nonzero(theirs)
    return bool(np.count_nonzero(mask & theirs) >= least * union)


def _crop(folder: Path, row: object) -> Canvas:
    source, group, path = (str(getattr(row, n)) for n in ("dataset", "group", "path"))
    density = read_canvas(Path(folder) / path, PBC_MPP)
    none = np.zeros(density.shape[:2], bool)
    return Canvas(source, group, density, none.astype(np.int16), none, none, none)
