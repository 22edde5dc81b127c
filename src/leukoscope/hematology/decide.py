"""What brings a verdict about: how many more cells, and which ones to look at first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isclose

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..classification.taxonomy import TAXONOMY, Taxonomy
from ..errors import SettingsError
from ._intervals import exact
from .differential import crosses
from .prevalence import Prevalence
from .profiles import Profile, load_profile

__all__ = ["cells_to_decide", "cells_to_review", "flip_order"]

_BLAST, _OTHER, _OUT = range(3)  # what a label is to the count


def cells_to_decide(
    blasts: int,
    denominator: int,
    thresholds: Sequence[float],
    *,
    min_cells: int = 0,
    level: float = 0.95,
    cap: int = 100_000,
) -> int | None:
    """Return how many more cells to count until the exact interval holds none of the thresholds.

    A plan, not a promise: it takes it that blasts go on coming at the rate found so far.

    Parameters
    ----------
    blasts, denominator : int
        Blasts and all cells counted up to now.
    thresholds : sequence of float
        In percent.
    min_cells : int
        Cells that the profile asks for before it gives a verdict.
    level : float
        The confidence.
    cap : int
        The most cells that anybody would count on.

    Returns
    -------
    int or None
        0 when the verdict stands now. None when nothing has been counted, or when not even `cap` more decide it: the
        rate is at a threshold, or too near.
    """

    def is_open(more: int) -> bool:
        total = denominator + more
        low, high = exact(blasts * (total / denominator) if more else blasts, total, level)
        return any(crosses(100 * low, 100 * high, threshold) for threshold in thresholds)

    if not denominator:
        return None
    wanted = max(0, min_cells - denominator)
    if wanted > cap:
        return None
    if not is_open(wanted):
        return wanted
    if is_open(cap):
        return None
    few, enough = wanted, cap  # at a constant rate the interval only narrows
    while enough - few > 1:
        more = (few + enough) // 2
        few, enough = (more, enough) if is_open(more) else (few, more)
    return enough


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
        if open_at(*found.planned_interval(found.reviewed + more, level)):
            few = more
        else:
            enough = more
    return enough


def flip_order(
    probabilities: ArrayLike,
    labels: Iterable[str],
    classes: Sequence[str],
    profile: str | Profile = "blood",
    *,
    reviewed: ArrayLike | None = None,
    taxonomy: Taxonomy = TAXONOMY,
) -> NDArray[np.int64]:
    """Order cells by how far correcting each could be expected to move the verdict.

    The verdict flips when the blast percentage crosses the threshold nearest to it. By the model's own probabilities a
    cell is truly a blast, another counted cell, or none that counts; each would move the percentage by so much, and
    the expected move toward that threshold is the cell's rank. Above it, doubtful blasts come first; below it, other
    cells that might be blasts. Cells that could only move it away come after them, the most doubtful first.

    Parameters
    ----------
    probabilities : array_like of float, (n, k)
        The model's, of each class.
    labels : iterable of str, (n,)
        The label of each cell now.
    classes : sequence of str, (k,)
        The model's classes.
    profile : str or Profile
        Names the blasts, what is counted and the thresholds. Without a threshold every move counts, to either side.
    reviewed : array_like of bool, (n,), optional
        Cells that a reader has settled: they come last.
    taxonomy : Taxonomy
        The classes; a laboratory's own included.

    Returns
    -------
    ndarray of int64, (n,)
        Positions of the cells, the first to look at first. Ties stay in the given order.

    Raises
    ------
    SettingsError
        If the shapes do not fit together, or there is no such profile.
    """
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    p = np.asarray(probabilities, np.float32)
    given = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    settled = np.zeros(len(given), bool) if reviewed is None else np.asarray(reviewed, bool)
    if p.shape != (len(given), len(classes)) or settled.shape != (len(given),):
        raise SettingsError(
            f"probabilities of shape {p.shape} do not fit {len(given)} cells of {len(classes)} classes",
            "Give one row for each cell and one column for each class.",
        )

    blast_labels = chosen.blast_labels(taxonomy)
    kinds = {label: _kind(label, chosen, taxonomy, blast_labels) for label in {*given, *classes}}
    now = np.fromiter(map(kinds.__getitem__, given), np.int64, len(given))
    blasts, counted = int(np.count_nonzero(now == _BLAST)), int(np.count_nonzero(now != _OUT))
    share = blasts / counted if counted else 0.0

    # What a cell adds to the share by turning into a class (row) from one kind or another (column), times `counted`.
    worth = np.array([1 - share, -share, 0.0], np.float32)
    moves = worth[[kinds[label] for label in classes], None] - worth[None, :]
    cell = np.arange(len(given))
    up, down = ((p @ np.maximum(sign * moves, 0))[cell, now] for sign in (1, -1))

    thresholds = [t.percent / 100 for t in chosen.thresholds]
    if thresholds:
        nearest = min(thresholds, key=lambda threshold: abs(threshold - share))
        toward, away = (down, up) if share >= nearest else (up, down)
        rank = np.where(toward > 0, 1 + toward, away)  # no move is larger than 1
    else:
        rank = np.maximum(up, down)
    return np.argsort(np.where(settled, np.float32(1), -rank), kind="stable")


def _kind(label: str, profile: Profile, taxonomy: Taxonomy, blasts: frozenset[str]) -> int:
    cell_class = taxonomy.get(label)
    if cell_class is None or not profile.counts(cell_class):
        return _OUT
    return _BLAST if label in blasts else _OTHER
