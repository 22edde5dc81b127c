"""What a retraining says while it runs, and what it gives in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .gate import Gate

__all__ = ["Cancel", "Report", "RetrainProgress", "Retrained", "Stage", "Tell"]


class Stage(StrEnum):
    """The parts of a retraining, in order."""

    EMBED = "embed"
    SEARCH = "search"
    FIT = "fit"
    GATE = "gate"


@dataclass(frozen=True)
class RetrainProgress:
    """Where a retraining is.

    Attributes
    ----------
    stage : Stage
    done, total : int
        Of the stage: cells embedded, fits of the search, steps of the fit (of which there are `total` at most),
        batches, cases compared.
    loss : float or None
        What the fit makes less, at this step: the live curve.
    left_out : float or None
        The loss of cells left out: of the strength that the search tries, or after an epoch of a full retraining.
    strength : float or None
        The one that the search tries.
    """

    stage: Stage
    done: int
    total: int
    loss: float | None = None
    left_out: float | None = None
    strength: float | None = None


Report = Callable[[RetrainProgress], None]
Cancel = Callable[[], bool]


@dataclass(frozen=True)
class Retrained:
    """A retraining that went through.

    Attributes
    ----------
    folder : Path
        The new bundle's.
    gate : Gate
        Before and after.
    overruled_by : str
        Who let the model through although the gate refused it; "" where it passed.
    strength : float or None
        How strongly the last layer was held to the old one; None after a full retraining.
    curve : tuple of (float, float)
        Of the search: strength and loss of cells left out. Of a full retraining: training and validation loss by epoch.
    losses : tuple of float
        Of the fit, step by step.
    seconds : float
    """

    folder: Path
    gate: Gate
    overruled_by: str
    strength: float | None
    curve: tuple[tuple[float, float], ...]
    losses: tuple[float, ...]
    seconds: float


class Tell:
    """Says what goes on to whoever wants to know."""

    def __init__(self, report: Report | None, cancel: Cancel | None) -> None:
        self.report, self.cancel = report, cancel

    def __call__(
        self,
        stage: Stage,
        done: int,
        total: int,
        loss: float | None = None,
        left_out: float | None = None,
        strength: float | None = None,
    ) -> None:
        """Say where it is."""
        if self.report is not None:
            self.report(RetrainProgress(stage, done, total, loss, left_out, strength))
