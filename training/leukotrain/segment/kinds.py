"""Fit the rule that tells smudges from cells, and say how well it holds: `python -m leukotrain.segment.kinds`.

Smudges of ALL-IDB1 and BCCD were marked by eye on contact sheets of all cells that `spike` found (`smudges.csv`); every
other cell found there counts as intact, as do the cells of JTSC and PBC.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from sklearn.svm import SVC

import leukoscope.segmentation.kinds
from leukoscope.segmentation import get_segmenter
from leukoscope.segmentation.base import GridSegmenter
from leukoscope.segmentation.kinds import FEATURES, SmudgeRule, logarithms, smudge_features
from leukoscope.segmentation.tiling import read_working, working_shape
from leukotrain.data.masks import JTSC_MPP, data_folder, fields
from leukotrain.data.split import is_held_out, is_validation

from .rounds import PBC_MPP

__all__ = ["fit_rule", "main", "measure", "rates"]

MARKS = Path(__file__).with_name("smudges.csv")
RULE = Path(leukoscope.segmentation.kinds.__file__).with_suffix(".json")
NEAR_UM = 4.0  # of its mark a marked cell has its centroid, unless its outline holds the mark
PBC_PER_CLASS = 25
COST, GAMMA, SMUDGE_WEIGHT = 3.0, 0.1, 3.0  # chosen on the validation groups


Labels = NDArray[np.int32]
Measured = tuple[NDArray[np.float64], NDArray[np.float64]]


def measure(segmenter: GridSegmenter, folder: Path, marks: pd.DataFrame) -> pd.DataFrame:
    """Measure every cell that a segmenter finds in fields and crops.

    Parameters
    ----------
    segmenter : GridSegmenter
    folder : Path
        Of the data sets.
    marks : DataFrame
        `field`, `x`, `y` (px) and `mark` ("smudge", "platelet", or "unclear").

    Returns
    -------
    DataFrame
        The columns `FEATURES`; `source`, `part` ("train", "validation", "held out"), `mark` ("intact" where there is
        none), and `blast`, whether a blast's point is on the cell.
    """
    rows: list[dict[str, object]] = []
    for dataset in ("all_idb1", "bccd"):
        for field in fields(dataset, folder=folder):
            own = marks[marks["field"] == field.name]
            points = np.array([(y, x) for label, x, y, _, _ in field.marks if label == "blast"]).reshape(-1, 2)
            labels, step, found = _cells(segmenter, field.rgb, field.mpp)
            under = labels[
                tuple(np.minimum(own[["y", "x"]].to_numpy() / step, np.array(labels.shape) - 1).astype(int).T)
            ]
            for number, (place, values) in enumerate(found, start=1):
                near = (np.hypot(own["y"] - place[0], own["x"] - place[1]) * field.mpp < NEAR_UM) | (under == number)
                blast = bool((np.hypot(*(points - place).T) * field.mpp < NEAR_UM).any())
                mark = str(own["mark"][near].iloc[0]) if near.any() else "intact"
                rows.append(_row(values, dataset, field.group, mark, blast))
    listed = pd.read_csv(folder / "manifest.csv")
    for dataset, mpp in (("pbc", PBC_MPP), ("jtsc", JTSC_MPP)):
        chosen = listed[listed["dataset"] == dataset]
        if dataset == "pbc":
            chosen = chosen.groupby("label").sample(PBC_PER_CLASS, random_state=0)
        for item in chosen.itertuples():
            rgb = np.asarray(Image.open(folder / str(item.path)).convert("RGB"))
            middle = np.array(rgb.shape[:2]) / 2
            _, _, found = _cells(segmenter, rgb, mpp)
            central = sorted(found, key=lambda cell: float(np.linalg.norm(cell[0] - middle)))[:1]
            rows += [_row(values, dataset, str(item.group), "intact", False) for _, values in central]
    return pd.DataFrame(rows)


def fit_rule(cells: pd.DataFrame) -> SmudgeRule:
    """Fit the rule on measured cells; smudges, which are few, count for as many as `SMUDGE_WEIGHT` cells each."""
    logs = logarithms(cells[list(FEATURES)].to_numpy())
    smudge = (cells["mark"] == "smudge").to_numpy()
    center, scale = logs.mean(axis=0), logs.std(axis=0)
    machine = SVC(C=COST, gamma=GAMMA).fit((logs - center) / scale, smudge, np.where(smudge, SMUDGE_WEIGHT, 1.0))
    return SmudgeRule(
        tuple(np.round(center, 4).tolist()),
        tuple(np.round(scale, 4).tolist()),
        GAMMA,
        tuple(map(tuple, np.round(machine.support_vectors_, 3).tolist())),
        tuple(np.round(machine.dual_coef_[0], 4).tolist()),
        round(float(machine.intercept_[0]), 4),
    )


def rates(cells: pd.DataFrame, rule: SmudgeRule) -> list[tuple[str, str, int, int]]:
    """Count what the rule calls a smudge: (part, what it is, called, of)."""
    called = rule(cells[list(FEATURES)].to_numpy())
    kinds = {
        "smudges": cells["mark"] == "smudge",
        "blasts (with a point)": cells["blast"] & (cells["mark"] == "intact"),
        "other cells, ALL-IDB1": (cells["source"] == "all_idb1") & ~cells["blast"] & (cells["mark"] == "intact"),
        "cells, BCCD": (cells["source"] == "bccd") & (cells["mark"] == "intact"),
        "cells, PBC": cells["source"] == "pbc",
        "cells, JTSC": cells["source"] == "jtsc",
    }
    return [
        (part, what, int((called & of).sum()), int(of.sum()))
        for part in ("train", "validation", "held out")
        for what, of in ((k, v & (cells["part"] == part)) for k, v in kinds.items())
    ]


def _cells(segmenter: GridSegmenter, rgb: NDArray[np.uint8], mpp: float) -> tuple[Labels, float, list[Measured]]:
    """Give the labels on the working grid, px of `rgb` a working px, and each cell's centroid (y, x) and features."""
    step = segmenter.mpp / mpp
    working = read_working(rgb, step, (0, 0, *working_shape(rgb.shape, step)))
    calibration = segmenter.calibrate(working)
    cells, nuclei, scores = segmenter.segment_working(working, calibration)
    features = smudge_features(working, cells, nuclei, len(scores), calibration.white, segmenter.mpp)
    centers = ndimage.center_of_mass(cells > 0, cells, np.arange(1, len(scores) + 1)) if len(scores) else []
    places = [(np.array(center) + 0.5) * step for center in centers]
    return cells, step, list(zip(places, features, strict=True))


def _row(values: NDArray[np.float64], source: str, group: str, mark: str, blast: bool) -> dict[str, object]:
    part = "held out" if is_held_out(group) else "validation" if is_validation(group) else "train"
    return dict(zip(FEATURES, values, strict=True)) | {"source": source, "part": part, "mark": mark, "blast": blast}


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of the data sets.")] = None,
    segmenter: Annotated[str, typer.Option(help="Whose cells are looked at.")] = "spike",
    out: Annotated[Path, typer.Option(help="The rule; the shipped one unless another file is named.")] = RULE,
    fit: Annotated[bool, typer.Option(help="Fit the rule anew, or only say how well the one in --out holds.")] = True,
) -> None:
    """Fit the rule that tells smudges from cells on the training groups, and count on the others."""
    engine = get_segmenter(segmenter)
    if not isinstance(engine, GridSegmenter):
        raise typer.BadParameter(f"{segmenter} does not work on a grid")
    cells = measure(engine, data_folder() if data is None else data, pd.read_csv(MARKS))
    cells = cells[cells["mark"].isin(["smudge", "intact"])]
    if fit:
        rule = fit_rule(cells[cells["part"] == "train"])
        out.write_text(json.dumps(asdict(rule)).replace("], ", "],\n") + "\n", encoding="utf-8")
    table = Table("part", "what", "called smudge", "of", "")
    for part, what, called, of in rates(cells, SmudgeRule(**json.loads(out.read_text(encoding="utf-8")))):
        table.add_row(part, what, str(called), str(of), f"{called / of:.3f}" if of else "")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
