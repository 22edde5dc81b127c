"""The curves behind the figures, and the threshold that is read from validation cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Threshold", "choose_threshold", "precision_recall_points", "reliability_points", "roc_points"]

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Threshold:
    """The least probability of "blast" at which a cell is called one, chosen on validation cells.

    Attributes
    ----------
    value : float
        Where sensitivity + specificity is greatest, Youden's J; the middle of the gap to the next lower score.
    sensitivity, specificity : float
        On the validation cells that it was chosen on.
    blasts, others : int
        How many these were.
    """

    value: float
    sensitivity: float
    specificity: float
    blasts: int
    others: int


def _steps(positive: Bools, score: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Count positives and others at or above each distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    sorted_scores = np.asarray(score, np.float64)[order]
    last = np.r_[np.flatnonzero(np.diff(sorted_scores)), len(score) - 1]
    hits = np.cumsum(positive[order].astype(np.int64))[last]
    return hits, last + 1 - hits, sorted_scores[last]


def roc_points(positive: Bools, score: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the ROC curve: false positive rates and sensitivities, from (0, 0) to (1, 1).

    Needs a positive and a negative cell.
    """
    hits, alarms, _ = _steps(positive, score)
    return np.r_[0.0, alarms / alarms[-1]], np.r_[0.0, hits / hits[-1]]


def precision_recall_points(positive: Bools, score: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give recalls and precisions, from the highest score down; needs a positive cell."""
    hits, alarms, _ = _steps(positive, score)
    return hits / hits[-1], hits / (hits + alarms)


def reliability_points(right: Bools, confidence: Floats, bins: int = 15) -> NDArray[np.float64]:
    """Give, for each bin of confidence that is not empty, mean confidence, accuracy and cells: float64 (k, 3)."""
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    return np.array([(confidence[at == b].mean(), right[at == b].mean(), (at == b).sum()) for b in np.unique(at)])


def choose_threshold(positive: Bools, score: Floats) -> Threshold | None:
    """Choose the threshold of the greatest sensitivity + specificity; None where one of the two is undefined.

    Parameters
    ----------
    positive : bool array (n,)
        Of validation cells: never of those that will be measured on.
    score : float array (n,)
        Their probabilities of the positive class.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return None
    hits, alarms, scores = _steps(positive, score)
    best = int(np.argmax(hits / positives - alarms / negatives))
    below = scores[best + 1] if best + 1 < len(scores) else 0.0
    return Threshold(
        float((scores[best] + below) / 2),
        float(hits[best] / positives),
        float(1 - alarms[best] / negatives),
        positives,
        negatives,
    )
