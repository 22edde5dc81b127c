"""Splits of one's own data that never cut through a group: holdout, k-fold, leave one group out.

The project's own data sets have a fixed split, in `split.py`; this is for everybody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import SettingsError

from .manifest import SPLITS, Row

__all__ = ["HOLDOUT", "assign", "holdout", "kfold", "leave_one_group_out"]

HOLDOUT: Final = (0.7, 0.1, 0.2)  # train, val, test

_PASSES: Final = 8
_SWAPS: Final = 48  # groups up to which pairs of groups are exchanged too
_EMPTY: Final = 100.0  # what a part without a class costs: more than any imbalance


def assign(
    labels: Sequence[str], groups: Sequence[str], fractions: Sequence[float], seed: int = 0
) -> NDArray[np.int64]:
    """Share out groups, so that every part holds its fraction of each class as nearly as whole groups allow.

    Groups are dealt out the largest first, each to where it mends most, then moved (and, where they are few, exchanged)
    as long as that helps. A part without any cell of a class is what is avoided first. Labels are taken as they are:
    a cell that may be of two classes ("a|b") forms a class of its own.

    Parameters
    ----------
    labels, groups : sequences of str, (n,)
    fractions : sequence of float, (k,)
        Positive; they sum to 1.
    seed : int
        Decides between what is equally good, and nothing else. The order of the cells does not matter.

    Returns
    -------
    int64 array (n,)
        The part, 0..k-1, of each cell. No part is empty.

    Raises
    ------
    SettingsError
        Lengths or fractions that do not fit, or fewer groups than parts.
    """
    share = np.asarray(fractions, np.float64)
    if len(labels) != len(groups):
        raise SettingsError(f"{len(labels)} labels for {len(groups)} groups", "Give one of each for every cell.")
    if not len(share) or not np.all(share > 0) or abs(share.sum() - 1) > 1e-6:
        raise SettingsError(f"the fractions {tuple(fractions)} are no shares of a whole", "Let them sum to 1.")
    names, member = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    classes, kind = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)
    if len(names) < len(share):
        raise SettingsError(
            f"{len(names)} groups cannot be shared out to {len(share)} parts",
            "Collect more patients or slides; cells of one group must stay together.",
        )
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (member, kind), 1)
    sizes = counts.sum(axis=1)
    # The last column, of all cells, keeps the parts' sizes right too.
    amounts = np.column_stack([counts / counts.sum(axis=0), sizes / sizes.sum()])
    return _deal(amounts, share, np.random.default_rng(seed))[member]


def _deal(amounts: NDArray[np.float64], share: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    parts = np.arange(len(share))
    held = np.zeros((len(share), amounts.shape[1]))
    part = np.full(len(amounts), -1, np.int64)
    shuffled = rng.permutation(len(amounts))
    order = shuffled[np.argsort(-amounts[shuffled].max(axis=1), kind="stable")]
    for g in order:
        part[g] = _cheapest(held, amounts[g], share)
        held[part[g]] += amounts[g]

    cost = _cost(held, share)
    for _ in range(_PASSES):
        before = cost
        for g in order:
            rest = held.copy()
            rest[part[g]] -= amounts[g]
            to = _cheapest(rest, amounts[g], share)
            rest[to] += amounts[g]
            if (now := _cost(rest, share)) < cost - 1e-12:
                held, cost, part[g] = rest, now, to
        if len(amounts) <= _SWAPS:
            for a, b in ((a, b) for a in parts for b in parts if a < b):
                for i, k in ((i, k) for i in np.flatnonzero(part == a) for k in np.flatnonzero(part == b)):
                    if part[i] != a or part[k] != b:
                        continue  # exchanged a moment ago
                    swapped = held.copy()
                    swapped[a] += amounts[k] - amounts[i]
                    swapped[b] += amounts[i] - amounts[k]
                    if (now := _cost(swapped, share)) < cost - 1e-12:
                        held, cost, part[i], part[k] = swapped, now, b, a
        if cost >= before:
            break
    return part


def _cost(held: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    off = (held - share[:, None]) ** 2 / share[:, None]
    return float(off.sum() + _EMPTY * np.count_nonzero(held < 1e-9))


def _cheapest(held: NDArray[np.float64], amount: NDArray[np.float64], share: NDArray[np.float64]) -> int:
    """Give the part to which a group is best added; the costs of the other parts do not change by that."""
    after = ((held + amount - share[:, None]) ** 2 - (held - share[:, None]) ** 2) / share[:, None]
    filled = (held < 1e-9) & (amount > 0)
    return int((after.sum(axis=1) - _EMPTY * filled.sum(axis=1)).argmin())


def holdout(rows: Iterable[Row], fractions: Sequence[float] = HOLDOUT, seed: int = 0) -> list[Row]:
    """Fill in the splits of rows: train, val and test by fractions, synthetic cells always in train.

    Parameters
    ----------
    rows : iterable of Row
        What they say of their split is forgotten.
    fractions : three floats
        Of train, val and test.
    seed : int

    Returns
    -------
    list of Row
        In the same order.

    Raises
    ------
    SettingsError
        As `assign`; also where a group has real and synthetic cells.
    """
    every = list(rows)
    real = [row for row in every if not row.synthetic]
    both = {row.group for row in real} & {row.group for row in every if row.synthetic}
    if both:
        raise SettingsError(f"group {min(both)} has real and synthetic cells", "Name synthetic groups by generator.")
    if len(fractions) != len(SPLITS):
        raise SettingsError(f"{len(fractions)} fractions for train, val and test", "Give three.")
    parts = iter(assign([row.label for row in real], [row.group for row in real], fractions, seed).tolist())
    return [replace(row, split="train" if row.synthetic else SPLITS[next(parts)]) for row in every]


def kfold(labels: Sequence[str], groups: Sequence[str], folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Give each cell's fold, 0..folds-1; parameters and errors as for `assign`."""
    if folds < 2:
        raise SettingsError(f"{folds} folds", "Ask for two or more.")
    return assign(labels, groups, [1 / folds] * folds, seed)


def leave_one_group_out(groups: Sequence[str]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Go through the groups, by name: each with a mask (n,) of its cells, which are the ones to be left out.

    Raises
    ------
    SettingsError
        Fewer than two groups.
    """
    every: NDArray[Any] = np.asarray(groups, dtype=object).astype(str)
    names = np.unique(every)
    if len(names) < 2:
        raise SettingsError("one group cannot be left out of one", "Collect cells of more patients or slides.")
    for name in names.tolist():
        yield name, every == name
