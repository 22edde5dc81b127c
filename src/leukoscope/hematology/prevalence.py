"""Blast percentage of a slide from the model's count of all cells and a reader's check of a few.

Prediction-powered inference: Angelopoulos, A. N., Bates, S., Fannjiang, C., Jordan, M. I. and Zrnic, T. (2023),
"Prediction-powered inference", Science 382, 669-674; tuned as in Angelopoulos, A. N., Duchi, J. C. and Zrnic, T.
(2023), "PPI++: efficient prediction-powered inference", arXiv:2311.01453. docs/counting.md shows its coverage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SettingsError
from ._intervals import exact, hypergeometric, square_and_add
from ._strata import Stratum, combined

__all__ = ["Prevalence", "corrected_prevalence"]


@dataclass(frozen=True)
class Prevalence:
    """The blasts of a slide: all cells called by the model, a random sample of them reviewed.

    Parameters
    ----------
    cells, called : int
        Counted cells whose class only the model says, and how many of them it calls blast. The reviewed sample is
        part of them.
    reviewed, reviewed_called : int
        Cells in the reviewed random sample, and how many of them the model calls blast.
    false_blasts : int
        Of `reviewed_called`, those that are no blasts.
    missed_blasts : int
        Of the other reviewed cells, those that are blasts.
    known, known_blasts : int
        Further counted cells that a reader chose and reviewed, and the blasts among them: certain, and no part of the
        sample.
    uncounted_called, uncounted_others : int
        Of `false_blasts`, and of the other reviewed cells, those that the reader counts as no cell at all (smudges,
        artefacts). Their share of all cells is taken out of the denominator.

    Raises
    ------
    SettingsError
        If the counts contradict each other.
    """

    cells: int
    called: int
    reviewed: int
    reviewed_called: int
    false_blasts: int
    missed_blasts: int
    known: int = 0
    known_blasts: int = 0
    uncounted_called: int = 0
    uncounted_others: int = 0

    def __post_init__(self) -> None:
        others, reviewed_others = self.cells - self.called, self.reviewed - self.reviewed_called
        within = (
            0 <= self.false_blasts <= self.reviewed_called <= self.called,
            0 <= self.missed_blasts <= reviewed_others <= others,
            0 <= self.known_blasts <= self.known,
            0 <= self.uncounted_called <= self.false_blasts,
            0 <= self.uncounted_others <= reviewed_others - self.missed_blasts,
        )
        if not all(within):
            raise SettingsError(f"these counts contradict each other: {self}", "Count each reviewed cell once.")

    @property
    def total(self) -> float:
        """All counted cells; an estimate where the review found some that do not count."""
        return self.known + self.cells - sum(stratum.estimate for stratum in self._uncounted)

    @property
    def blasts(self) -> float:
        """Estimated number of blasts among all counted cells."""
        return self.known_blasts + sum(stratum.estimate for stratum in self._strata)

    @property
    def percent(self) -> float:
        """Estimated percent of blasts; NaN when no cell is counted."""
        return min(100 * self.blasts / self.total, 100.0) if self.total else float("nan")

    @property
    def model_percent(self) -> float:
        """Percent of blasts before the sample corrects it; NaN when no cell is counted."""
        cells = self.cells + self.known
        return 100 * (self.called + self.known_blasts) / cells if cells else float("nan")

    @property
    def power(self) -> float:
        """PPI++'s lambda, 0 to 1 for a model worth having: how far the review lets the model's count be relied on.

        It is the covariance of call and truth over the variance of the call, in the sample: the share of calls
        confirmed, less the share of blasts among the others. 1: no error found. 0: the calls tell nothing, and the
        estimate is the sample's own. With no call of one kind in the sample, errors of that kind count as none found.
        """
        called, others = self._strata
        return called.rate - others.rate

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of the slide's blast percentage: what is open until every cell has been reviewed.

        Cells called blast and the others are two strata, and the reviewed cells of each are a random sample of it. The
        exact hypergeometric limits of the blasts in each are combined by square-and-add (Zou and Donner 2008), or added
        plainly where the counts behind them are too small for that (docs/counting.md), and widened to whole cells. A
        normal interval would have no width while no error is found; this one says how many could be left.

        Parameters
        ----------
        level : float
            The confidence.

        Returns
        -------
        low, high : float
            In percent, 0 to 100: of this slide's counted cells, the finite population. Without width once all are
            reviewed.
        """
        low, high = self._limits(self._strata, level)
        low, high = self._percent(floor(low + 1e-6), ceil(high - 1e-6))
        if not self.total or not (self.uncounted_called or self.uncounted_others):
            return low, high
        few, many = self._limits(self._uncounted, level)
        most, least = (self.cells + self.known - uncounted for uncounted in (few, many))
        of_most, of_least = (100 * self.blasts / d if d else self.percent for d in (most, max(least, self.blasts)))
        return self._around((low, high), (of_most, of_least))

    def patient_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of the percentage in the blood or marrow that the slide's cells are a sample of.

        The review's interval and the count's own (Clopper-Pearson) by square-and-add: verdicts against thresholds
        need this one. Once all cells are reviewed it is the exact interval of the differential.

        Parameters
        ----------
        level : float
            The confidence.

        Returns
        -------
        low, high : float
            In percent, 0 to 100.
        """
        if not self.total:
            return 0.0, 100.0
        counted = exact(min(self.blasts, self.total), self.total, level)
        return self._around(self.interval(level), (100 * counted[0], 100 * counted[1]))

    def planned_interval(self, reviewed: int, level: float = 0.95) -> tuple[float, float]:
        """Return the slide's interval expected once so many cells are reviewed, errors going on at the rates found.

        Binomial limits drawn in for the finite population, between whole cells. What the review leaves open of the
        denominator is not part of it.
        """
        reviewed = min(reviewed, self.cells)
        if reviewed <= self.reviewed:
            return self.interval(level)
        strata = []
        for cells, seen, found, unseen_rate in self._strata:
            # Later cells are drawn from those left, in proportion.
            then = seen + (reviewed - self.reviewed) * (cells - seen) / (self.cells - self.reviewed)
            rate = found / seen if seen else unseen_rate
            low, high = exact(rate * then, then, level)
            shrink = sqrt(max(cells - then, 0) / (cells - 1)) if cells > 1 else float(then < cells)
            near, far = (cells * (rate + shrink * (limit - rate)) for limit in (low, high))
            strata.append((Stratum(cells, then, rate * then, unseen_rate), near, far))
        return self._percent(*combined(strata))

    def _around(self, *intervals: tuple[float, float]) -> tuple[float, float]:
        """Combine what is open for independent reasons, in percent."""
        low, high = square_and_add(self.percent, *((low, self.percent, high) for low, high in intervals))
        return max(low, 0.0), min(high, 100.0)

    @staticmethod
    def _limits(strata: Iterable[Stratum], level: float) -> tuple[float, float]:
        exact_limits = ((s, *hypergeometric(int(s.found), int(s.seen), s.cells, level)) for s in strata)
        return combined(list(exact_limits))

    @property
    def _strata(self) -> tuple[Stratum, Stratum]:
        others, reviewed_others = self.cells - self.called, self.reviewed - self.reviewed_called
        return (
            Stratum(self.called, self.reviewed_called, self.reviewed_called - self.false_blasts, 1.0),
            Stratum(others, reviewed_others, self.missed_blasts, 0.0),
        )

    @property
    def _uncounted(self) -> tuple[Stratum, Stratum]:
        called, others = self._strata
        return (
            called._replace(found=self.uncounted_called, unseen_rate=0.0),
            others._replace(found=self.uncounted_others),
        )

    def _percent(self, low: float, high: float) -> tuple[float, float]:
        """Return limits in blasts among `cells` as limits in percent of all counted cells."""
        if not self.total:
            return 0.0, 100.0
        low, high = (min(max(self.known_blasts + limit, 0), self.total) for limit in (low, high))
        return 100 * low / self.total, min(100 * high / self.total, 100.0)  # the ratio of equals may miss 1 by a bit


def corrected_prevalence(
    called: ArrayLike,
    truth: ArrayLike,
    reviewed: ArrayLike,
    chosen: ArrayLike | None = None,
    counted: ArrayLike | None = None,
) -> Prevalence:
    """Combine the model's calls of all counted cells with a reader's of some.

    The cells are those that the model counts. Cells that it leaves open (unidentified) may be among them, as no
    blasts: the review says what they are, and `counted` whether they count.

    Parameters
    ----------
    called : array_like of bool, (n,)
        Whether the model called each counted cell a blast, before any correction.
    truth : array_like of bool, (n,)
        Whether it is one; looked at only where `reviewed` or `chosen`.
    reviewed : array_like of bool, (n,)
        Cells of a random sample that a reader has reviewed (`draw_sample`, in its order).
    chosen : array_like of bool, (n,), optional
        Cells reviewed because somebody picked them (by uncertainty, say), **whether or not they were drawn, too**.
        They count as what they are, and no error found among them is taken to be typical of the rest. A reader's
        corrections that are not listed here are left out, which is safe: the estimate rests on the sample alone.
    counted : array_like of bool, (n,), optional
        Whether the reader counts the cell at all; looked at only where it was reviewed. All, unless given.

    Returns
    -------
    Prevalence

    Raises
    ------
    SettingsError
        If the arrays differ in length.
    """
    call, is_blast, sampled = (np.asarray(a, bool) for a in (called, truth, reviewed))
    certain = np.zeros(call.shape, bool) if chosen is None else np.asarray(chosen, bool)
    counts = np.ones(call.shape, bool) if counted is None else np.asarray(counted, bool)
    if len({a.shape for a in (call, is_blast, sampled, certain, counts)}) > 1 or call.ndim != 1:
        raise SettingsError("calls and review are not of the same cells", "Give one value for each counted cell.")
    open_, sampled, is_blast = ~certain, sampled & ~certain, is_blast & counts

    def number(mask: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(mask))

    return Prevalence(
        cells=number(open_),
        called=number(open_ & call),
        reviewed=number(sampled),
        reviewed_called=number(sampled & call),
        false_blasts=number(sampled & call & ~is_blast),
        missed_blasts=number(sampled & ~call & is_blast),
        known=number(certain & counts),
        known_blasts=number(certain & is_blast),
        uncounted_called=number(sampled & call & ~counts),
        uncounted_others=number(sampled & ~call & ~counts),
    )
