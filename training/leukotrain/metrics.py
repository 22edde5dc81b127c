"""Figures of merit, and their intervals when cells come in groups."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, rankdata

from .curves import precision_recall_points, reliability_points

__all__ = [
    "Metric",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "bootstrap",
    "bootstrap_all",
    "calibration_error",
    "confusion",
    "macro_f1",
    "per_class",
    "share",
]

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Metric:
    """One figure, as it goes into model.json.

    Attributes
    ----------
    name, data : str
        What, and on which cells.
    value, low, high : float
        With its 95 % interval; None where there is none. A value of None is a figure that these cells do not define;
        the note says why.
    cells, groups : int
    note : str
    """

    name: str
    data: str
    value: float | None
    low: float | None
    high: float | None
    cells: int
    groups: int
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give plain JSON values, rounded to four digits; None for what is not a number."""
        values = {k: v for k, v in asdict(self).items() if k != "note" or v}
        return {
            k: (round(v, 4) if math.isfinite(v) else None) if isinstance(v, float) else v for k, v in values.items()
        }


def auroc(positive: Bools, score: Floats) -> float:
    """Give the chance that a positive cell scores higher than a negative one; ties count half."""
    ranks = rankdata(score)
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def average_precision(positive: Bools, score: Floats) -> float:
    """Give the mean precision over the positive cells, ranked by score; cells of one score enter together.

    Not a number without a positive cell.
    """
    if not positive.any():
        return float("nan")
    recall, precision = precision_recall_points(positive, score)
    return float((np.diff(recall, prepend=0) * precision).sum())


def confusion(truth: Ints, given: Ints, size: int | None = None) -> NDArray[np.int64]:
    """Count cells by class (rows) and by what they were called (columns): int64 (size, size).

    Parameters
    ----------
    truth, given : int arrays (n,)
        From 0.
    size : int, optional
        Classes; as many as occur unless given.
    """
    size = size or int(max(truth.max(initial=0), given.max(initial=0))) + 1
    return np.bincount(truth * size + given, minlength=size * size).reshape(size, size)


def per_class(truth: Ints, given: Ints, size: int) -> NDArray[np.float64]:
    """Give precision, recall and F1 of each class: float64 (3, size).

    Not a number where undefined: the precision of a class that nothing was called, the recall of one that no cell is
    of, and F1 where both are so.
    """
    table = confusion(truth, given, size)
    right, called, there = np.diag(table), table.sum(axis=0), table.sum(axis=1)
    parts = [(right, called), (right, there), (2 * right, called + there)]
    return np.stack([np.where(under > 0, over / np.maximum(under, 1), np.nan) for over, under in parts])


def macro_f1(truth: Ints, given: Ints) -> float:
    """Give the mean F1 over the classes that occur in the truth."""
    table = confusion(truth, given)
    there = table.sum(axis=1) > 0
    f1 = 2 * np.diag(table) / np.maximum(table.sum(axis=0) + table.sum(axis=1), 1)
    return float(f1[there].mean())


def balanced_accuracy(truth: Ints, given: Ints) -> float:
    """Give the mean recall over the classes that occur in the truth."""
    table = confusion(truth, given)
    there = table.sum(axis=1) > 0
    return float((np.diag(table)[there] / table.sum(axis=1)[there]).mean())


def calibration_error(right: Bools, confidence: Floats, bins: int = 15) -> float:
    """Give the expected calibration error: mean gap of confidence and accuracy, over bins of confidence."""
    mean, accuracy, cells = reliability_points(right, confidence, bins).reshape(-1, 3).T
    return float((abs(accuracy - mean) * cells).sum() / max(len(right), 1))


def bootstrap(
    figure: Callable[[Ints], float], groups: NDArray[np.str_], strata: Ints, rounds: int = 500, seed: int = 0
) -> tuple[float, float]:
    """Give the 95 % interval of a figure, as `bootstrap_all` does of several."""
    low, high = bootstrap_all(lambda i: np.array([figure(i)]), groups, strata, rounds, seed)
    return float(low[0]), float(high[0])


def bootstrap_all(
    figures: Callable[[Ints], Floats], groups: NDArray[np.str_], strata: Ints, rounds: int = 500, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the 95 % intervals of figures by resampling groups, then cells within them.

    Parameters
    ----------
    figures : callable
        Takes indices of cells, gives the figures (k,); not a number where a draw does not define one.
    groups : str array (n,)
        Patients or fields.
    strata : int array (n,)
        Groups are drawn within strata (the class of a group's first cell), so that no class drops out.
    rounds, seed : int

    Returns
    -------
    low, high : float arrays (k,)
        With one group in a stratum, only its cells vary: the interval then says nothing about other patients. Not a
        number where no draw defines the figure.
    """
    rng = np.random.default_rng(seed)
    members: dict[str, Ints] = {}
    order: Ints = np.argsort(groups, kind="stable")
    names, starts = np.unique(groups[order], return_index=True)
    for name, found in zip(names, np.split(order, starts[1:]), strict=True):
        members[str(name)] = found
    by_stratum: dict[int, list[str]] = {}
    for name, part in members.items():
        by_stratum.setdefault(int(strata[part[0]]), []).append(name)
    values = []
    for _ in range(rounds):
        drawn: list[Ints] = []
        for some in by_stratum.values():
            for k in rng.integers(0, len(some), len(some)):
                cells = members[some[k]]
                drawn.append(cells if len(cells) == 1 else cells[rng.integers(0, len(cells), len(cells))])
        values.append(figures(np.concatenate(drawn)))
    table = np.array(values, np.float64)
    low, high = np.full((2, table.shape[1]), np.nan)
    defined = ~np.isnan(table).all(axis=0)
    if defined.any():
        low[defined], high[defined] = np.nanpercentile(table[:, defined], [2.5, 97.5], axis=0)
    return low, high


def share(hits: Bools, groups: NDArray[np.str_]) -> tuple[float, float, float]:
    """Give a share with its 95 % interval: the wider, at each end, of the exact one and the one by groups."""
    n, k = len(hits), int(hits.sum())
    if not n:
        return float("nan"), 0.0, 1.0
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    by_groups = bootstrap(lambda i: float(hits[i].mean()), groups, np.zeros(n, int))
    return k / n, min(low, by_groups[0]), max(high, by_groups[1])
