"""What an analysis tells while it runs: one stream of events for the terminal, the viewer and a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leukoscope.cases import Case

__all__ = ["BlockDone", "FinishReason", "Finished", "Progress", "Started"]


class FinishReason(StrEnum):
    """Why an analysis ended."""

    COMPLETED = "completed"
    CANCELED = "canceled"
    ERRORED = "errored"


@dataclass(frozen=True)
class Started:
    """The first event.

    Attributes
    ----------
    case : Case
        Open and writable; its cells appear while the analysis goes on.
    blocks : int
        How many blocks the slide has.
    done : int
        How many of them an earlier, interrupted run had finished.
    cells : int
        How many cells those blocks hold.
    """

    case: Case
    blocks: int
    done: int
    cells: int


@dataclass(frozen=True)
class BlockDone:
    """A block's cells are in the case, on disk.

    Attributes
    ----------
    done, blocks : int
        Blocks finished, and in all.
    cells : int
        Cells in the case so far.
    new_ids : sequence of int
        The ids of this block's cells.
    seconds : float
        Since the analysis started.
    """

    done: int
    blocks: int
    cells: int
    new_ids: Sequence[int] = field(repr=False)
    seconds: float

    @property
    def remaining(self) -> float:
        """Seconds left, by the pace so far."""
        return self.seconds / max(self.done, 1) * (self.blocks - self.done)


@dataclass(frozen=True)
class Finished:
    """The last event.

    Attributes
    ----------
    reason : FinishReason
    case : Case
    cells : int
        Cells in the case.
    seconds : float
        What the analysis took.
    """

    reason: FinishReason
    case: Case
    cells: int
    seconds: float


Progress = Started | BlockDone | Finished
