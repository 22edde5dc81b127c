"""How strongly the new last layer is held to the old one, by cross-validation; and what cells left out say of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import SettingsError

from .head import Floats, Ints, Problem, loss_of, one_thread

__all__ = ["Search", "search"]

Told = Callable[[int, int, float, float], None]


@dataclass(frozen=True, eq=False)
class Search:
    """What cross-validation found.

    Attributes
    ----------
    strengths, losses : tuple of float
        The strengths tried, the strongest first, and the mean loss of the cells left out at each.
    before : float
        That of the old layer on the same cells.
    chosen : float
        The strength of the least loss; of equals, the strongest.
    left_out : float64 array (n, classes)
        The logits, divided by the temperature, that each cell gets from a layer fitted without its fold, and at a
        strength that was chosen without its fold: a fair sample of what the new layer does.
    """

    strengths: tuple[float, ...]
    losses: tuple[float, ...]
    before: float
    chosen: float
    left_out: Floats


@one_thread
def search(problem: Problem, folds: Ints, finer: Ints, told: Told | None = None) -> Search:
    """Choose the strength by cells left out, fold by fold.

    A fold's own strength is chosen by the other folds, each left out in turn; where there is but one other, by its
    finer parts. So no cell of `left_out` had a say in anything that was fitted or chosen for it (guard 13).

    Parameters
    ----------
    problem : Problem
    folds : int array (n,)
        Groups of slides (or of blocks of a slide), two or more.
    finer : int array (n,)
        Parts of these.
    told : callable, optional
        Takes fits done, fits in all, the strength and the loss of the cells left out.

    Raises
    ------
    SettingsError
        One fold.
    CanceledError
        See `Problem`.
    """
    names = np.unique(folds).tolist()
    if len(names) < 2:
        raise SettingsError("all reviewed cells are of one place", "Review cells of another slide or region, too.")
    pairs = list(itertools.combinations(names, 2)) if len(names) > 2 else []
    inner = {name: np.unique(finer[folds != name]).tolist() for name in names} if not pairs else {}
    count = (len(pairs) + len(names) + sum(map(len, inner.values()))) * len(problem.strengths)
    at = itertools.count(1)

    def path(rows: NDArray[np.bool_], held: list[NDArray[np.bool_]]) -> tuple[Floats, list[Floats]]:
        """Fit the rows at each strength; give the summed losses (strengths, held), and how the weights changed."""
        changes: list[Floats] = []
        losses = np.empty((len(problem.strengths), len(held)))
        for i, strength in enumerate(problem.strengths):
            changes.append(problem.fit(rows, strength, changes[-1] if changes else None))
            losses[i] = [_summed(problem, problem.logits(changes[-1], part), part) for part in held]
            if told is not None:
                every = np.logical_or.reduce(held)
                told(next(at), count, strength, float(losses[i].sum() / problem.weights[every].sum()))
        return losses, changes

    own = {name: np.zeros(len(problem.strengths)) for name in names}
    for a, b in pairs:
        losses, _ = path((folds != a) & (folds != b), [folds == a, folds == b])
        own[b] += losses[:, 0]  # the cells of a, left out beside b, speak for the strength of b's fold
        own[a] += losses[:, 1]
    for name, parts in inner.items():
        rest = folds != name
        for part in parts if len(parts) > 1 else []:
            own[name] += path(rest & (finer != part), [rest & (finer == part)])[0][:, 0]

    total = np.zeros(len(problem.strengths))
    left_out = np.empty_like(problem.old)
    for name in names:
        held = folds == name
        losses, changes = path(~held, [held])
        total += losses[:, 0]
        left_out[held] = problem.logits(changes[int(own[name].argmin())], held)
    means = total / problem.weights.sum()
    before = loss_of(problem.old, problem.allowed, problem.weights)
    chosen = problem.strengths[int(means.argmin())]
    return Search(problem.strengths, tuple(means.tolist()), before, chosen, left_out)


def _summed(problem: Problem, logits: Floats, rows: NDArray[Any]) -> float:
    weights = problem.weights[rows]
    return loss_of(logits, problem.allowed[rows], weights) * float(weights.sum()) if len(weights) else 0.0
