"""The differential count of a smear, and what may honestly be said of its blasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from ..classification.taxonomy import TAXONOMY, Taxonomy
from ..errors import SettingsError
from ._intervals import clopper_pearson
from .profiles import Profile, Threshold, load_profile

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Differential", "Excluded", "Finding", "differential"]


class Finding(Enum):
    """What kind of verdict a differential allows."""

    ABOVE = "above"
    BETWEEN = "between"
    BELOW = "below"
    UNDECIDED = "undecided"
    COUNTED = "counted"  # a profile without thresholds
    TOO_FEW = "too few cells"
    NO_CELLS = "no cells"
    NOT_ASSESSED = "not assessed"


def crosses(low: float, high: float, threshold: float) -> bool:
    """Return whether an interval leaves open on which side of a threshold the truth lies; at it is above."""
    return low < threshold <= high


def finding_against(low: float, high: float, thresholds: Sequence[float]) -> Finding:
    """Return what an interval says against thresholds, all in percent."""
    if not thresholds:
        return Finding.COUNTED
    if any(crosses(low, high, threshold) for threshold in thresholds):
        return Finding.UNDECIDED
    passed = sum(threshold <= low for threshold in thresholds)
    if passed == 0:
        return Finding.BELOW
    return Finding.ABOVE if passed == len(thresholds) else Finding.BETWEEN


@dataclass(frozen=True)
class Excluded:
    """Cells left out of the denominator: how many, and why."""

    label: str
    count: int
    reason: str


@dataclass(frozen=True)
class Differential:
    """Counts and percentages of one smear under one profile.

    Parameters
    ----------
    counts : mapping of str to int
        Cells of each label, counted and excluded alike, in the taxonomy's order.
    percent : mapping of str to float
        Percent of the denominator, 0 to 100, of each counted label; they sum to 100. Empty when no cell is counted.
    denominator : int
        How many cells are counted: the leukocytes or nucleated cells, as ``profile.denominator`` says.
    profile : Profile
        How it was counted.
    ledger : tuple of Excluded
        What stays out of the denominator, and why.
    """

    counts: Mapping[str, int]
    percent: Mapping[str, float]
    denominator: int
    profile: Profile
    ledger: tuple[Excluded, ...]
    taxonomy: Taxonomy = field(default_factory=lambda: TAXONOMY, repr=False, compare=False)
    assessed: bool = field(default=True, repr=False)

    @property
    def blasts(self) -> int:
        """Counted cells with one of the profile's blast labels."""
        return self.counted(*self.profile.blasts)

    @property
    def blast_percent(self) -> float | None:
        """Percent of blasts among the counted cells; None when none is counted."""
        return 100 * self.blasts / self.denominator if self.denominator else None

    @property
    def erythroblasts_per_100(self) -> float | None:
        """Erythroblasts per 100 leukocytes, as blood reports them; None in marrow, or without leukocytes."""
        if self.profile.denominator != "leukocytes" or not self.denominator:
            return None
        return 100 * self.counts.get("erythroblast", 0) / self.denominator

    def counted(self, *labels: str) -> int:
        """Return how many counted cells have one of the labels; a roll-up counts its parts."""
        left_out = {entry.label for entry in self.ledger}
        parts = {part for label in labels for part in self.taxonomy.parts(label)}
        return sum(count for label, count in self.counts.items() if label in parts and label not in left_out)

    def interval(self, label: str, level: float = 0.95) -> tuple[float, float]:
        """Return the exact (Clopper-Pearson) interval of a label's percentage.

        Parameters
        ----------
        label : str
            A label, or a roll-up (`neutrophil`, `immature_granulocyte`). "blast" is that label alone; the verdict's
            interval, `blast_interval`, is of all the profile's blast labels.
        level : float
            The confidence.

        Returns
        -------
        low, high : float
            In percent. 0 to 100 when no cell is counted. NaN twice for a label that is not in the denominator.
        """
        if any(entry.label == label for entry in self.ledger):
            return float("nan"), float("nan")
        return clopper_pearson(self.counted(label), self.denominator, level)

    def blast_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the exact interval of the percentage of blasts and blast equivalents, in percent."""
        return clopper_pearson(self.blasts, self.denominator, level)

    @property
    def crossed(self) -> tuple[Threshold, ...]:
        """The thresholds that lie inside the blasts' 95 % interval."""
        low, high = self.blast_interval()
        return tuple(t for t in self.profile.thresholds if crosses(low, high, t.percent))

    @property
    def finding(self) -> Finding:
        """What kind of verdict the counts allow."""
        if not self.denominator:
            return Finding.NO_CELLS
        if not self.assessed:
            return Finding.NOT_ASSESSED
        if self.denominator < self.profile.min_cells:
            return Finding.TOO_FEW
        return finding_against(*self.blast_interval(), [t.percent for t in self.profile.thresholds])

    @property
    def verdict(self) -> str:
        """One line: the blasts, their interval, and where they stand against the profile's thresholds."""
        finding, n = self.finding, self.denominator
        if finding is Finding.NO_CELLS:
            return f"no cells: no {_NOUN[self.profile.denominator]} counted"
        if finding is Finding.NOT_ASSESSED:
            return f"blasts not assessed: the model does not know {' or '.join(self.profile.blasts)}"
        low, high = self.blast_interval()
        line = f"blasts {self.blast_percent:.1f} % ({low:.1f}–{high:.1f})"
        marks = [f"{t.percent:g} %" for t in self.profile.thresholds]
        passed = sum(t.percent <= low for t in self.profile.thresholds)
        if finding is Finding.COUNTED:
            return line
        if finding is Finding.TOO_FEW:
            return f"{line}: too few cells, {n} of the {self.profile.min_cells} that {self.profile.name} asks for"
        if finding is Finding.UNDECIDED:
            return f"{line}: undecided: interval crosses {' and '.join(f'{t.percent:g} %' for t in self.crossed)}"
        if finding is Finding.BELOW:
            return f"{line}: below {marks[0]}"
        if finding is Finding.ABOVE:
            return f"{line}: above {marks[-1]}"
        return f"{line}: between {marks[passed - 1]} and {marks[passed]}"

    def rolled_up(self) -> dict[str, float]:
        """Return percentages with the parts of a roll-up summed (bands and segmented into `neutrophil`)."""
        sums: dict[str, float] = {}
        for label, percent in self.percent.items():
            broader = self.taxonomy.roll_up(label)
            sums[broader] = sums.get(broader, 0.0) + percent
        return sums

    def table(self, level: float = 0.95) -> pd.DataFrame:
        """Return the rows of counts.csv.

        Returns
        -------
        pandas.DataFrame
            One row a label: label (str), counted and excluded (cells), percent, ci_low and ci_high (percent of the
            denominator; NaN where excluded or nothing is counted), denominator (cells), profile (its name).
        """
        import pandas as pd

        nan = float("nan")
        left_out = {entry.label for entry in self.ledger}
        rows = []
        for label, count in self.counts.items():
            inside = label not in left_out
            # of these cells alone, as the percentage is: `interval` takes the parts of a roll-up in
            low, high = clopper_pearson(count, self.denominator, level) if inside and self.denominator else (nan, nan)
            rows.append(
                {
                    "label": label,
                    "counted": count if inside else 0,
                    "excluded": 0 if inside else count,
                    "percent": self.percent.get(label, nan),
                    "ci_low": low,
                    "ci_high": high,
                    "denominator": self.denominator,
                    "profile": self.profile.name,
                }
            )
        columns = ["label", "counted", "excluded", "percent", "ci_low", "ci_high", "denominator", "profile"]
        return pd.DataFrame(rows, columns=columns)


_NOUN = {"leukocytes": "leukocytes", "nucleated": "nucleated cells"}


def differential(
    labels: Iterable[str] | Mapping[str, int],
    profile: str | Profile = "blood",
    taxonomy: Taxonomy = TAXONOMY,
    classes: Iterable[str] = (),
) -> Differential:
    """Count cells under a profile.

    Blood counts leukocytes and reports erythroblasts per 100 of them; marrow counts all nucleated cells. Smudge cells,
    platelets, artefacts, unidentified cells and labels the taxonomy does not know stay out, and the ledger says so.

    Parameters
    ----------
    labels : iterable of str, or mapping of str to int
        One label a cell, or cells by label.
    profile : str or Profile
        A profile, or what `load_profile` takes.
    taxonomy : Taxonomy
        The classes; a laboratory's own included.
    classes : iterable of str
        The classes that the model can tell, where known: those with no cell get a row of their own (0 %, with its
        interval), and when no blast label is among them the verdict says that blasts were not assessed.

    Returns
    -------
    Differential

    Raises
    ------
    SettingsError
        If there is no such profile, it calls blasts what it does not count, or a count is below 0.
    """
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    found = Counter(labels)
    if any(count < 0 for count in found.values()):
        raise SettingsError("a class has a count below 0", "Count its cells again.")
    known = set(classes)
    blasts = chosen.blast_labels(taxonomy)
    assessed = not known or bool(known & blasts) or any(found[label] for label in blasts)
    rows = taxonomy.order(
        {label for label, n in found.items() if n} | known | (set(chosen.blasts) if assessed else set())
    )
    counts = {label: found[label] for label in rows}

    ledger, counted = [], []
    for label, count in counts.items():
        cell_class = taxonomy.get(label)
        if cell_class is not None and chosen.counts(cell_class):
            counted.append(label)
        else:
            reason = cell_class.reason if cell_class else "not in the taxonomy"
            ledger.append(Excluded(label, count, reason or f"not counted among {_NOUN[chosen.denominator]}"))
    total = sum(counts[label] for label in counted)
    percent = {label: 100 * counts[label] / total for label in counted} if total else {}
    return Differential(counts, percent, total, chosen, tuple(ledger), taxonomy, assessed)
