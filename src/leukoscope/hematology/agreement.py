"""How far two readers of the same cells agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..classification.taxonomy import TAXONOMY, Taxonomy
from ..errors import SettingsError
from ._intervals import check_level, clopper_pearson, normal_quantile

__all__ = ["Agreement", "Kappa", "agreement", "cohen_kappa"]


@dataclass(frozen=True)
class Kappa:
    """Agreement beyond chance, and its interval.

    Parameters
    ----------
    value : float
        1 for full agreement, 0 for what chance gives, below 0 for less. NaN when there is no cell, or both readers
        gave all cells one and the same class: chance alone agrees fully then.
    low, high : float
        The interval, within -1 and 1. NaN where a reader used one class only: kappa is 0 then, whatever the other
        reader says, so that it tells nothing.
    error : float
        The asymptotic standard error; NaN where the interval is.
    """

    value: float
    low: float
    high: float
    error: float


@dataclass(frozen=True)
class Agreement:
    """Two readers' labels of the same cells, compared.

    Parameters
    ----------
    labels : tuple of str, (k,)
        All labels that either reader gave, in the taxonomy's order.
    table : ndarray of int64, (k, k)
        Cells by the first reader's label (row) and the second's (column).
    kappa : Kappa
        Of all classes.
    per_class : mapping of str to Kappa
        Of each class against all others.
    interval : tuple of float
        Clopper-Pearson, of `percent`.
    """

    labels: tuple[str, ...]
    table: NDArray[np.int64]
    kappa: Kappa
    per_class: Mapping[str, Kappa]
    interval: tuple[float, float]

    @property
    def cells(self) -> int:
        """Cells that both readers labeled."""
        return int(self.table.sum())

    @property
    def agreed(self) -> int:
        """Cells that both gave the same label."""
        return int(np.trace(self.table))

    @property
    def percent(self) -> float:
        """Percent of cells with the same label from both, chance included; NaN without cells."""
        return 100 * self.agreed / self.cells if self.cells else nan


def agreement(
    first: Iterable[str], second: Iterable[str], taxonomy: Taxonomy = TAXONOMY, level: float = 0.95
) -> Agreement:
    """Compare two readers.

    Parameters
    ----------
    first, second : iterable of str
        The label that each reader gave each cell, in the same order. Cells that one of them did not label are no
        part of it.
    taxonomy : Taxonomy
        For the order of the labels.
    level : float
        The confidence of the intervals.

    Returns
    -------
    Agreement

    Raises
    ------
    SettingsError
        If there are not as many labels from the one as from the other.
    """
    one, other = list(first), list(second)
    if len(one) != len(other):
        raise SettingsError(
            f"one reader has labels of {len(one)} cells and the other of {len(other)}",
            "Compare the cells that both labeled.",
        )
    labels = tuple(taxonomy.order({*one, *other}))
    place = {label: i for i, label in enumerate(labels)}
    k = len(labels)
    codes = [k * place[a] + place[b] for a, b in zip(one, other, strict=True)]
    table = np.bincount(np.array(codes, np.int64), minlength=k * k).astype(np.int64).reshape(k, k)
    table.flags.writeable = False
    per_class = {label: cohen_kappa(_one_against_rest(table, i), level) for i, label in enumerate(labels)}
    interval = clopper_pearson(int(np.trace(table)), len(one), level)
    return Agreement(labels, table, cohen_kappa(table, level), per_class, interval)


def cohen_kappa(table: ArrayLike, level: float = 0.95) -> Kappa:
    """Return Cohen's kappa of a confusion table.

    Cohen, J. (1960), Educational and Psychological Measurement 20, 37-46; standard error: Fleiss, J. L., Cohen, J. and
    Everitt, B. S. (1969), "Large sample standard errors of kappa and weighted kappa", Psychological Bulletin 72,
    323-327. Where the readers agree on every cell that error is 0, which would be a claim of certainty: the lower limit
    is then Clopper and Pearson's for the share agreed on, carried over to kappa.

    Parameters
    ----------
    table : array_like of int, (k, k)
        Cells by the first reader's class (row) and the second's (column), in the same order.
    level : float
        The confidence.

    Returns
    -------
    Kappa

    Raises
    ------
    SettingsError
        If the table is not square, or a count is negative.
    """
    check_level(level)
    counts = np.asarray(table, float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise SettingsError("this is no table of two readers", "Give counts of the same classes in rows and columns.")
    n = counts.sum()
    rows, columns = counts.sum(axis=1), counts.sum(axis=0)
    alone = [int(np.count_nonzero(margin)) <= 1 for margin in (rows, columns)]
    if all(alone) and np.trace(counts) == n:
        return Kappa(nan, nan, nan, nan)
    p, row, column = counts / n, rows / n, columns / n
    agreed, chance = float(np.trace(p)), float(row @ column)
    value = (agreed - chance) / (1 - chance)
    if any(alone):
        return Kappa(value, nan, nan, nan)
    if np.trace(counts) == n:
        share = clopper_pearson(int(n), int(n), level)[0] / 100
        return Kappa(1.0, max((share - chance) / (1 - chance), -1.0), 1.0, 0.0)
    both = column[:, None] + row[None, :]
    diagonal = np.diag(p) @ ((1 - chance) - np.diag(both) * (1 - agreed)) ** 2
    beside = (1 - agreed) ** 2 * ((p - np.diag(np.diag(p))) * both**2).sum()
    variance = (diagonal + beside - (agreed * chance - 2 * chance + agreed) ** 2) / (n * (1 - chance) ** 4)
    error = sqrt(max(float(variance), 0.0))
    reach = normal_quantile(level) * error
    return Kappa(value, max(value - reach, -1.0), min(value + reach, 1.0), error)


def _one_against_rest(table: NDArray[np.int64], i: int) -> NDArray[np.int64]:
    both = table[i, i]
    first, second = table[i].sum() - both, table[:, i].sum() - both
    return np.array([[both, first], [second, table.sum() - both - first - second]])
