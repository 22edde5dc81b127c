"""The cells of a case as a table: the columns of cells.csv."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..classification.taxonomy import UNIDENTIFIED
from .records import Event, RunSettings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ModelCells", "cells_frame", "entropy_bits"]


class ModelCells:
    """What the model and the segmenter said of one run's cells; only ever grows, as blocks come in."""

    query = """
        SELECT id, x, y, area_um2, nucleus_area_um2, label, probabilities
        FROM cells WHERE run = ? AND id > ? ORDER BY id
    """

    def __init__(self, run: int, classes: int) -> None:
        self.run = run
        self.classes = classes
        self.numbers: NDArray[np.float64] = np.empty((0, 5))
        self.labels: NDArray[np.object_] = np.empty(0, dtype=object)
        self.probabilities: NDArray[np.float64] = np.empty((0, classes))

    @property
    def last(self) -> int:
        """The highest id taken in so far: ids are 1..n, so it is their number too."""
        return len(self.labels)

    def extend(self, rows: list[tuple[Any, ...]]) -> None:
        """Take in further rows of `query`."""
        if not rows:
            return
        numbers = np.array([row[:5] for row in rows], dtype=np.float64)  # NULL, None, becomes NaN
        values = np.frombuffer(b"".join(row[6] for row in rows), dtype="<f8").reshape(len(rows), self.classes)
        self.numbers = np.concatenate([self.numbers, numbers])
        self.labels = np.concatenate([self.labels, np.array([row[5] for row in rows], dtype=object)])
        self.probabilities = np.concatenate([self.probabilities, values])


def entropy_bits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's Shannon entropy in bits: 0 for a sure answer, log2(classes) for none; NaN without classes."""
    if probabilities.shape[1] == 0:
        return np.full(len(probabilities), np.nan)
    logs = np.log2(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    bits: NDArray[np.float64] = np.abs((probabilities * logs).sum(axis=1))
    return bits


def cells_frame(
    cells: ModelCells,
    reviewed: Mapping[int, Event],
    drawn: Collection[int],
    classes: tuple[str, ...],
    settings: RunSettings,
    mpp: float | None,
) -> pd.DataFrame:
    """Return one row a cell, removed ones too, the reviewers' labels in place of the model's.

    Parameters
    ----------
    cells : ModelCells
        The model's view of them.
    reviewed : mapping of int to Event
        The relabel that stands for a cell.
    drawn : collection of int
        The cells whose outlines are a reviewer's.
    classes : tuple of str
        The model's classes, in the order of the probabilities.
    settings : RunSettings
        Whose model and segmenter are named.
    mpp : float or None
        µm per level-0 pixel.
    """
    import pandas as pd

    n = cells.last
    labels = cells.labels.copy()
    source = np.full(n, "model", dtype=object)
    reviewers = np.full(n, None, dtype=object)
    times = np.full(n, None, dtype=object)
    segmenter = np.full(n, settings.segmenter, dtype=object)
    segmenter[[cell - 1 for cell in drawn]] = "reviewer"
    for cell, event in reviewed.items():
        labels[cell - 1] = event.label
        source[cell - 1] = "reviewer"
        reviewers[cell - 1] = event.reviewer
        times[cell - 1] = event.at

    position = {label: i for i, label in enumerate(classes)}
    column = np.array([position.get(label, -1) for label in labels], dtype=np.intp)
    probability = np.full(n, np.nan)
    known = column >= 0
    probability[known] = cells.probabilities[known, column[known]]
    if classes:
        unidentified = labels == UNIDENTIFIED
        probability[unidentified] = cells.probabilities[unidentified].max(axis=1)

    ids, x, y, area, nucleus_area = cells.numbers.T
    scale = np.nan if mpp is None else mpp
    # pandas 3 has a string type of its own, missing values NaN; before it, text is kept as objects.
    text = pd.Series([""]).dtype
    return pd.DataFrame(
        {
            "cell_id": ids.astype(np.int64),
            "x": x,
            "y": y,
            "x_um": x * scale,
            "y_um": y * scale,
            "area_um2": area,
            "nucleus_area_um2": nucleus_area,
            "label": pd.Series(labels, dtype=text),
            "source": pd.Series(source, dtype=text),
            "probability": probability,
            "entropy": entropy_bits(cells.probabilities),
            **{f"p_{label}": cells.probabilities[:, i] for i, label in enumerate(classes)},
            "reviewed_by": pd.Series(reviewers, dtype=text),
            "reviewed_at": pd.Series(times, dtype=text),
            "model": pd.Series([settings.model] * n, dtype=text),
            "segmenter": pd.Series(segmenter, dtype=text),
        }
    )
