"""A case's cells as columns of numbers: sorted and filtered in milliseconds at 100,000, without Qt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from leukoscope.classification.taxonomy import TAXONOMY, UNIDENTIFIED, Taxonomy
from leukoscope.hematology import Profile
from leukoscope.hematology.decide import flip_order

if TYPE_CHECKING:
    from leukoscope.cases import Case

__all__ = ["LIKENESS", "SORTS", "CellTable", "Filters", "parse_ids"]

Rows = npt.NDArray[np.intp]

SORTS: Mapping[str, tuple[str, bool]] = {
    "verdict": ("What could flip the verdict first", False),
    "uncertainty": ("Uncertainty", True),
    "probability": ("Probability", False),
    "size": ("Size", True),
    "position": ("Position", False),
}
"""The orders by id: what people read, and whether the largest comes first unless it is turned around."""

LIKENESS = "likeness"
"""The order of cells like some that were asked about; there is none while nobody has asked."""

BAND_UM = 100.0  # rows of the slide, as an eye reads it: left to right, then down
_SPAN = re.compile(r"(\d{1,12})(?:-(\d{1,12}))?")


@dataclass(frozen=True)
class Filters:
    """Which cells are shown; as it stands, all.

    Attributes
    ----------
    labels : frozenset of str
        Only these classes; empty for every class.
    reviewed : bool or None
        Only reviewed cells, only the others, or both.
    low, high : float
        Probability of the shown label, 0 to 1. A cell without one is shown while the range is whole.
    ids : str
        Ids and spans of ids, ``"17, 40-60"``; "" for every id.
    nearest : int
        Where cells like some are asked for: of those that are left, these and so many that are most alike.
    """

    labels: frozenset[str] = frozenset()
    reviewed: bool | None = None
    low: float = 0.0
    high: float = 1.0
    ids: str = ""
    nearest: int = 60


class CellTable:
    """The columns that the gallery shows, sorts and filters by; row *i* is the cell of id *i* + 1.

    Parameters
    ----------
    table : DataFrame
        `Case.cells`.
    classes : sequence of str
        The model's classes, in the order of the probabilities.
    taxonomy : Taxonomy
        The case's classes.
    mpp : float or None
        µm per level-0 pixel.
    profile : str or Profile
        Whose verdict could flip.

    Attributes
    ----------
    labels : list of str
        What the codes stand for.
    codes : int16 array (n,)
        Each cell's label, an index into `labels`.
    reviewed : bool array (n,)
    probability : float array (n,)
        Of the shown label; NaN where the model does not know it.
    removed : bool array (n,)
        Whether a reviewer removed it: it is never shown.
    x, y : float array (n,)
        Centroids, level-0 px.
    likeness : float array (n,) or None
        To the cells asked about, cosine; infinite for these themselves. None where nobody has asked.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        classes: Sequence[str] = (),
        taxonomy: Taxonomy = TAXONOMY,
        mpp: float | None = None,
        profile: str | Profile = "blood",
    ) -> None:
        self._taxonomy, self._profile = taxonomy, profile
        self.labels = list(taxonomy)
        self._rank = {label: i for i, label in enumerate(self.labels)}
        self._column = {label: i for i, label in enumerate(classes)}
        columns = [f"p_{label}" for label in classes]
        self._proba = table[columns].to_numpy(np.float32) if columns else np.empty((len(table), 0), np.float32)
        self.codes: npt.NDArray[np.int16] = self._encode(table["label"].to_numpy(dtype=object))
        self.reviewed: npt.NDArray[np.bool_] = (table["source"] == "reviewer").to_numpy(dtype=bool, copy=True)
        self.probability: npt.NDArray[np.float64] = table["probability"].to_numpy(np.float64, copy=True)
        self._entropy = table["entropy"].to_numpy(np.float64)
        self._area = table["area_um2"].to_numpy(np.float64)
        self.removed: npt.NDArray[np.bool_] = (
            table["removed"].to_numpy(bool) if "removed" in table else np.zeros(len(table), bool)
        )
        self.x: npt.NDArray[np.float64] = table["x"].to_numpy(np.float64)
        self.y: npt.NDArray[np.float64] = table["y"].to_numpy(np.float64)
        self._band = BAND_UM / mpp if mpp else 4 * BAND_UM
        self.likeness: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(cls, case: Case) -> CellTable:
        """Read the cells that a case shows."""
        return cls(case.all_cells, case.settings.classes, case.taxonomy, case.mpp, case.settings.profile)

    def __len__(self) -> int:
        return len(self.codes)

    def label(self, row: int) -> str:
        """Give the label of a row."""
        return self.labels[self.codes[row]]

    def counts(self) -> dict[str, int]:
        """Count the cells of each label, 0 included."""
        found = np.bincount(self.codes[~self.removed], minlength=len(self.labels))
        return dict(zip(self.labels, found.tolist(), strict=True))

    def assign(self, rows: Rows, labels: Sequence[str], reviewed: npt.NDArray[np.bool_]) -> None:
        """Take in what reviewers did to some cells; their probabilities become those of the new labels."""
        self.codes[rows] = self._encode(np.asarray(labels, dtype=object))
        self.reviewed[rows] = reviewed
        column = np.array([self._column.get(label, -1) for label in labels], dtype=np.intp)
        probability = np.full(len(rows), np.nan)
        known = column >= 0
        probability[known] = self._proba[rows[known], column[known]]
        if self._proba.shape[1]:
            unidentified = np.array([label == UNIDENTIFIED for label in labels], dtype=bool)
            probability[unidentified] = self._proba[rows[unidentified]].max(axis=1)
        self.probability[rows] = probability

    def chosen(self, filters: Filters) -> Rows:
        """Find the rows that pass the filters."""
        mask = ~self.removed
        if filters.labels:
            wanted = [self._rank[label] for label in filters.labels if label in self._rank]
            mask &= np.isin(self.codes, wanted)
        if filters.reviewed is not None:
            mask &= self.reviewed == filters.reviewed
        if filters.low > 0.0 or filters.high < 1.0:
            mask &= (self.probability >= filters.low) & (self.probability <= filters.high)  # false for NaN
        if filters.ids.strip():
            ids = np.arange(1, len(self) + 1)
            mask &= np.logical_or.reduce([(ids >= a) & (ids <= b) for a, b in parse_ids(filters.ids)])
        if self.likeness is None:
            return np.flatnonzero(mask)
        rows = np.flatnonzero(mask & ~np.isnan(self.likeness))
        most = filters.nearest + int(np.isinf(self.likeness[rows]).sum())
        return np.sort(rows[np.argsort(-self.likeness[rows], kind="stable")[:most]])

    def sorted(self, rows: Rows, by: str, backward: bool = False, by_class: bool = True) -> Rows:
        """Order rows.

        Parameters
        ----------
        rows : int array
        by : str
            One of `SORTS`, or `LIKENESS`.
        backward : bool
            Turn that order around. What has no value stays last.
        by_class : bool
            Classes first, in the taxonomy's order; `by` within each.

        Returns
        -------
        int array
            The same rows; those that are alike in the order of their ids.

        Raises
        ------
        SettingsError
            If the verdict asked for is that of a profile that there is not.
        """
        keys = [key[rows] for key in self._keys(by)]
        if (by == LIKENESS or SORTS[by][1]) != backward:
            keys = [-key for key in keys]
        if by_class:
            keys.append(self.codes[rows].astype(np.float64))
        picked: Rows = rows[np.lexsort((rows, *keys))]
        return picked

    def _keys(self, by: str) -> list[npt.NDArray[np.float64]]:
        """Give what an order goes by, the most important last."""
        if by == LIKENESS:
            return [np.full(len(self), np.nan) if self.likeness is None else self.likeness]
        if by == "verdict":
            return [self._flip_rank()]
        if by == "position":
            return [self.x, np.floor(self.y / self._band)]
        return [{"uncertainty": self._entropy, "probability": self.probability, "size": self._area}[by]]

    def _flip_rank(self) -> npt.NDArray[np.float64]:
        rank = np.zeros(len(self))
        if self._column:
            live = np.flatnonzero(~self.removed)
            labels, seen = np.array(self.labels, object)[self.codes[live]], self.reviewed[live]
            order = flip_order(
                self._proba[live], labels, list(self._column), self._profile, reviewed=seen, taxonomy=self._taxonomy
            )
            rank[live[order]] = np.arange(len(live))
        return rank

    def _encode(self, labels: npt.NDArray[np.object_]) -> npt.NDArray[np.int16]:
        places, names = pd.factorize(labels)
        for name in names:
            if name not in self._rank:
                self._rank[name] = len(self.labels)
                self.labels.append(name)
        return np.array([self._rank[name] for name in names], np.int16)[places]


def parse_ids(text: str) -> list[tuple[int, int]]:
    """Read ``"17, 40-60"`` as spans of ids, both ends included.

    Raises
    ------
    ValueError
        If something else stands there.
    """
    spans = []
    for part in filter(None, re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text))):
        found = _SPAN.fullmatch(part)
        if found is None:
            raise ValueError(part)
        first, last = int(found[1]), int(found[2] or found[1])
        spans.append((min(first, last), max(first, last)))
    return spans
