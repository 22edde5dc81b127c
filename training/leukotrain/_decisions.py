"""What follows from hard decisions: figures under their right names, and accuracies that stand alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from .metrics import Metric

__all__ = ["from_decisions", "lone_accuracy"]


def from_decisions(truth: ArrayLike, called: ArrayLike) -> dict[str, float]:
    """Give the figures of yes-or-no decisions, by name; not a number where there is nothing to divide by.

    Parameters
    ----------
    truth, called : bool arrays (n,)
    """
    t, c = np.asarray(truth, bool), np.asarray(called, bool)
    hit, miss, wrong, right = (int(np.sum(v)) for v in (t & c, t & ~c, ~t & c, ~t & ~c))
    pairs = {
        "accuracy": (hit + right, len(t)),
        "precision": (hit, hit + wrong),
        "recall": (hit, hit + miss),
        "sensitivity": (hit, hit + miss),
        "specificity": (right, right + wrong),
        "f1": (2 * hit, 2 * hit + wrong + miss),
    }
    return {name: part / whole if whole else float("nan") for name, (part, whole) in pairs.items()}


def lone_accuracy(metrics: Sequence[Metric], truth: Mapping[str, Sequence[str]]) -> str:
    """Say which accuracy has no majority baseline on the same cells, or a wrong one; "" where none.

    Parameters
    ----------
    metrics : sequence of Metric
    truth : mapping of str to sequence of str
        By `Metric.data`, the labels; may lack some.
    """
    plain = [m for m in metrics if m.name.startswith("accuracy")]
    majority = {m.data: m.value for m in plain if "majority" in m.name and m.value is not None}
    for metric in plain:
        if metric.data not in majority:
            return f"{metric.name} on {metric.data} stands alone"
        labels = truth.get(metric.data)
        if labels and abs(majority[metric.data] - max(Counter(labels).values()) / len(labels)) > 1e-3:
            return f"the majority's accuracy on {metric.data} is not {majority[metric.data]:.3f}"
    return ""
