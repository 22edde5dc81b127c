"""Cells that reviewers labeled in Leukoscope, from the case and its slide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from leukoscope.cases import open_case
from leukoscope.classification.taxonomy import TAXONOMY, UNIDENTIFIED
from leukoscope.errors import CaseError
from leukoscope.slides import open_slide

from ..manifest import Row
from ._names import Progress, label_map
from .qupath import cut_slide, group_of

__all__ = ["rows"]


def rows(
    case: Path,
    work: Path,
    mapping: Mapping[str, str] | None = None,
    slide: Path | None = None,
    group: str = "",
    progress: Progress | None = None,
) -> list[Row]:
    """Cut the reviewed cells of a case; what only the model said is nobody's truth and stays out.

    Cells that a reviewer left unidentified stay out too.

    Parameters
    ----------
    case : Path
        ``<slide>.leuko``; only read.
    work : Path
        Gets the cells, below "cases"; paths are relative to it.
    mapping : mapping of str to str, optional
        Labels of a laboratory's own classes, see `label_map`; the taxonomy's stand for themselves.
    slide : Path, optional
        Where the slide is now; else where it was when it was analyzed.
    group : str
        The patient; else the slide, by its fingerprint. A model trained on these cells must never be measured on this
        slide: guard 14 compares groups.
    progress : callable, optional
        Takes cells done and cells in all.

    Returns
    -------
    list of Row
        All in "train"; empty where nothing was reviewed.

    Raises
    ------
    LeukoscopeError
        The case or its slide cannot be read, or the slide is another.
    SettingsError
        A class of the case's own without a label.
    """
    with open_case(case, readonly=True) as opened:
        table = opened.cells
        table = table[(table["source"] == "reviewer") & (table["label"] != UNIDENTIFIED)]
        if not len(table):
            return []
        known = {label: label for label in TAXONOMY} | dict(mapping or {})
        labels = label_map(table["label"], known, case)
        outlines = opened.outlines(table["cell_id"].tolist())
        cells = [
            (str(number), labels[label], outlines[number][0])
            for number, label in zip(table["cell_id"].tolist(), table["label"].tolist(), strict=True)
        ]
        info = opened.slide
        with open_slide(slide or info.address) as pixels:
            if not opened.is_of(pixels):
                raise CaseError(
                    f"{pixels.name} is not the slide that this case is of", "Give its own, unchanged file.", case
                )
            of = group or group_of(info.fingerprint)
            return cut_slide(pixels, cells, work, "cases", of, opened.mpp, progress)
