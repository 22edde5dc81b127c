"""Cells that a model calls alike, and how what is open in each adds up."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot
from typing import NamedTuple

__all__ = ["Stratum", "combined"]

_SMALL = 5  # counts up to which limits are added plainly; chosen by coverage, benchmarks/prevalence.py


class Stratum(NamedTuple):
    """Cells that the model calls alike; `seen` of them were reviewed, and `found` of those are what is looked for."""

    cells: int
    seen: float  # whole in a review, fractional in a plan
    found: float
    unseen_rate: float  # taken for the share while none is seen: the model's word

    @property
    def rate(self) -> float:
        """Share of what is looked for."""
        return self.found / self.seen if self.seen else self.unseen_rate

    @property
    def estimate(self) -> float:
        """Its number in the whole stratum."""
        return self.cells * self.rate


def combined(strata: Sequence[tuple[Stratum, float, float]]) -> tuple[float, float]:
    """Return limits of what is looked for in all strata from each one's (stratum, low, high).

    Square-and-add takes limits for quantiles of something smooth. A limit that rests on a handful of cells, or on none,
    is not; where that holds for every stratum, the distances are added.
    """
    estimate = sum(stratum.estimate for stratum, _, _ in strata)
    below = [stratum.estimate - low for stratum, low, _ in strata]
    above = [high - stratum.estimate for stratum, _, high in strata]
    unseen = any(stratum.cells and not stratum.seen for stratum, _, _ in strata)
    add_below = unseen or all(stratum.found <= _SMALL for stratum, _, _ in strata)
    add_above = unseen or all(stratum.seen - stratum.found <= _SMALL for stratum, _, _ in strata)
    return (
        estimate - (sum(below) if add_below else hypot(*below)),
        estimate + (sum(above) if add_above else hypot(*above)),
    )
