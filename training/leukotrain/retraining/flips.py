"""Which cells of a case change class with another model, and what becomes of its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.cases import Case
from leukoscope.classification.taxonomy import UNIDENTIFIED

__all__ = ["CaseChange", "Flip", "change_of", "named"]

SHOWN: Final = 10  # kinds of changes that the table lists


@dataclass(frozen=True)
class Flip:
    """A cell whose class changes.

    Attributes
    ----------
    cell : int
        Its id.
    before, after : str
        What the models call it.
    reviewed : str
        What a reviewer said it is; "" where none did. Such a cell keeps that label, whatever the model.
    """

    cell: int
    before: str
    after: str
    reviewed: str = ""


@dataclass(frozen=True)
class CaseChange:
    """What another model makes of a case.

    Attributes
    ----------
    case : str
        What its folder is called.
    cells : int
    flips : tuple of Flip
        By id.
    verdict_before, verdict_after : str
        Of the whole case, the reviewers' labels in place.
    """

    case: str
    cells: int
    flips: tuple[Flip, ...]
    verdict_before: str
    verdict_after: str

    @property
    def unreviewed(self) -> tuple[Flip, ...]:
        """Those that no reviewer has labeled: they change what the case counts."""
        return tuple(flip for flip in self.flips if not flip.reviewed)

    def lines(self) -> list[str]:
        """Say it in lines of Markdown."""
        kinds = Counter((flip.before, flip.after) for flip in self.flips).most_common()
        listed = ", ".join(f"{count} {before} → {after}" for (before, after), count in kinds[:SHOWN])
        more = f", and {len(kinds) - SHOWN} kinds more" if len(kinds) > SHOWN else ""
        flips = f"{len(self.flips)} of {self.cells} cells would change class ({len(self.unreviewed)} not reviewed)"
        verdict = f"verdict: {self.verdict_before} before; {self.verdict_after} after"
        return [f"{self.case}: {flips}{f': {listed}{more}' if listed else ''}.", f"{self.case}: {verdict}."]


def named(proba: NDArray[np.floating[Any]], classes: Sequence[str], threshold: float) -> list[str]:
    """Name the likeliest class of each row of probabilities, "unidentified" below the threshold."""
    best = proba.argmax(1) if len(proba) else np.empty(0, np.int64)
    return [classes[k] if row[k] >= threshold else UNIDENTIFIED for row, k in zip(proba, best, strict=True)]


def change_of(case: Case, before: Sequence[str], after: Sequence[str], new_classes: Sequence[str]) -> CaseChange:
    """Compare what two models call the cells of a case.

    Parameters
    ----------
    case : Case
    before, after : sequences of str, (cells,)
        Of the shown cells, in the order of the ids.
    new_classes : sequence of str
        What the model after knows and the one before did not.
    """
    table = case.cells
    ids = table["cell_id"].tolist()
    shown, reviewed = table["label"].tolist(), (table["source"] == "reviewer").tolist()
    known = {*case.settings.classes, UNIDENTIFIED}
    flips, labels = [], []
    for number, label, seen, first, second in zip(ids, shown, reviewed, before, after, strict=True):
        # What the segmenter named (a smudge, platelets) goes on being named by it, unless the model learned to.
        own = not seen and label not in known and label not in new_classes
        if first != second and not own:
            flips.append(Flip(number, first, second, label if seen else ""))
        labels.append(label if seen or own else second)
    kept = [
        label if seen or label not in known else first
        for label, seen, first in zip(shown, reviewed, before, strict=True)
    ]
    return CaseChange(case.path.name, len(table), tuple(flips), case.count(kept).verdict, case.count(labels).verdict)
