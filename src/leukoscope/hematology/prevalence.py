"""Blast percentage of a slide from the model's count of all cells and a reader's check of a few.

Prediction-powered inference: Angelopoulos, A. N., Bates, S., Fannjiang, C., Jordan, M. I. and Zrnic, T. (2023),
"Prediction-powered inference", Science 382, 669-674; tuned as in Angelopoulos, A. N., Duchi, J. C. and Zrnic, T.
(2023), "PPI++: efficient prediction-powered inference", arXiv:2311.01453. docs/counting.md shows its coverage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, isclose, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SettingsError
from ._intervals import exact, hypergeometric, square_and_add
from ._strata import Stratum, combined
from .differential import crosses

__all__ = ["Prevalence", "cells_to_review", "corrected_prevalence"]


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

    def __post_init__(self) -> None:
        others, reviewed_others = self.cells - self.called, self.reviewed - self.reviewed_called
        within = (
            0 <= self.false_blasts <= self.reviewed_called <= self.called,
            0 <= self.missed_blasts <= reviewed_others <= others,
            0 <= self.known_blasts <= self.known,
        )
        if not all(within):
            raise SettingsError(f"these counts contradict each other: {self}", "Count each reviewed cell once.")

    @property
    def total(self) -> int:
        """All counted cells."""
        return self.cells + self.known

    @property
    def blasts(self) -> float:
        """Estimated number of blasts among all counted cells."""
        return self.known_blasts + sum(stratum.estimate for stratum in self._strata)

    @property
    def percent(self) -> float:
        """Estimated percent of blasts; NaN when no cell is counted."""
        return 100 * self.blasts / self.total if self.total else float("nan")

    @property
    def model_percent(self) -> float:
        """Percent of blasts before the sample corrects it; NaN when no cell is counted."""
        return 100 * (self.called + self.known_blasts) / self.total if self.total else float("nan")

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
        strata = []
        for stratum in self._strata:
            limits = hypergeometric(int(stratum.blasts), int(stratum.seen), stratum.cells, level)
            strata.append((stratum, *limits))
        low, high = combined(strata)
        return self._percent(floor(low + 1e-6), ceil(high - 1e-6))

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
        low, high = self.interval(level)
        count_low, count_high = exact(min(self.blasts, self.total), self.total, level)
        middle = self.percent
        low, high = square_and_add(
            middle, (low - middle, 0.0, high - middle), (100 * count_low - middle, 0.0, 100 * count_high - middle)
        )
        return max(low, 0.0), min(high, 100.0)

    @property
    def _strata(self) -> tuple[Stratum, Stratum]:
        others, reviewed_others = self.cells - self.called, self.reviewed - self.reviewed_called
        return (
            Stratum(self.called, self.reviewed_called, self.reviewed_called - self.false_blasts, 1.0),
            Stratum(others, reviewed_others, self.missed_blasts, 0.0),
        )

    def _percent(self, low: float, high: float) -> tuple[float, float]:
        """Return limits in blasts among `cells` as limits in percent of all counted cells."""
        if not self.total:
            return 0.0, 100.0
        low, high = (min(max(self.known_blasts + limit, 0), self.total) for limit in (low, high))
        return 100 * low / self.total, 100 * high / self.total


def corrected_prevalence(
    called: ArrayLike, truth: ArrayLike, reviewed: ArrayLike, chosen: ArrayLike | None = None
) -> Prevalence:
    """Combine the model's calls of all counted cells with a reader's of some.

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
    if len({a.shape for a in (call, is_blast, sampled, certain)}) > 1 or call.ndim != 1:
        raise SettingsError("calls and review are not of the same cells", "Give one value for each counted cell.")
    open_, sampled = ~certain, sampled & ~certain

    def number(mask: NDArray[np.bool_]) -> int:
        return int(np.count_nonzero(mask))

    return Prevalence(
        cells=number(open_),
        called=number(open_ & call),
        reviewed=number(sampled),
        reviewed_called=number(sampled & call),
        false_blasts=number(sampled & call & ~is_blast),
        missed_blasts=number(sampled & ~call & is_blast),
        known=number(certain),
        known_blasts=number(certain & is_blast),
    )


def cells_to_review(found: Prevalence, thresholds: Sequence[float], level: float = 0.95) -> int | None:
    """Return how many more cells to review until the slide's interval holds none of the thresholds.

    A plan, not a promise: it takes it that further cells show errors at the rates found so far, and interpolates
    between whole cells.

    Parameters
    ----------
    found : Prevalence
        The review up to now.
    thresholds : sequence of float
        In percent.
    level : float
        The confidence.

    Returns
    -------
    int or None
        0 when none is in the interval now. None when nothing has been reviewed, or when the estimate is at a
        threshold: no review decides it, then.
    """

    def open_at(low: float, high: float) -> bool:
        return any(crosses(low, high, threshold) for threshold in thresholds)

    if not open_at(*found.interval(level)):
        return 0
    at_threshold = any(isclose(found.percent, threshold, abs_tol=1e-9) for threshold in thresholds)
    if not found.reviewed or at_threshold:
        return None
    few, enough = 0, found.cells - found.reviewed  # with all reviewed nothing is open
    while enough - few > 1:
        more = (few + enough) // 2
        if open_at(*_planned(found, found.reviewed + more, level)):
            few = more
        else:
            enough = more
    return enough


def _planned(found: Prevalence, reviewed: int, level: float) -> tuple[float, float]:
    """Return the interval expected once so many are reviewed: binomial limits, drawn in for the finite population."""
    strata = []
    for cells, seen, blasts, unseen_rate in found._strata:
        # Later cells are drawn from those left, in proportion.
        then = seen + (reviewed - found.reviewed) * (cells - seen) / (found.cells - found.reviewed)
        rate = blasts / seen if seen else unseen_rate
        stratum = Stratum(cells, then, rate * then, unseen_rate)
        low, high = exact(stratum.blasts, then, level)
        shrink = sqrt((cells - then) / (cells - 1)) if cells > 1 else float(then < cells)
        near, far = (cells * (rate + shrink * (limit - rate)) for limit in (low, high))
        strata.append((stratum, near, far))
    return found._percent(*combined(strata))
