"""An entry of the log of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Carried", "Event", "by_label"]


class Carried(NamedTuple):
    """Where a reviewed cell of an earlier run went."""

    run: int
    cell: int
    to: int | None
    overlap: float


@dataclass(frozen=True)
class Event:
    """One entry of the log: nothing in it ever changes, and nothing is ever taken out.

    Parameters
    ----------
    id : int
        Ascending.
    at : str
        When, ISO 8601, UTC.
    kind : {"relabel", "outline", "undo", "redo", "carry", "read", "sample", "date", "sign", "amend"}
        What happened.
    run : int
        The run whose cells were shown; for "carry", the run they were carried to.
    cells : tuple of int
        The cells relabeled, read or drawn for review, by their id in that run; for "outline" those removed, then those
        added.
    label : str
        The label they got.
    reviewer : str
        Who.
    target : int or None
        The relabel, outline or read event that was undone or redone.
    carried : tuple of Carried
        For "carry": where each reviewed cell went.
    detail : mapping
        What else there is to say, by kind; JSON values. "was": the labels before, each with its cells, and for undo and
        redo "is", those after. "removed" and "added": what happened to outlines, see the properties.
    version : str
        The Leukoscope that wrote it; empty where it was not written down.
    model : str
        The model whose cells were shown, and its fingerprint.
    """

    id: int
    at: str
    kind: str
    run: int
    cells: Sequence[int] = ()
    label: str = ""
    reviewer: str = ""
    target: int | None = None
    carried: tuple[Carried, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict, hash=False)
    version: str = ""
    model: str = ""

    @property
    def was(self) -> dict[int, str]:
        """The label of each cell before the event, where that was written down."""
        return _by_cell(self.detail.get("was", {}))

    @property
    def became(self) -> dict[int, str]:
        """The label of each cell after the event, where that was written down."""
        return dict.fromkeys(self.cells, self.label) if self.label else _by_cell(self.detail.get("is", {}))

    @property
    def removed(self) -> tuple[int, ...]:
        """The cells that an outline event removed."""
        return tuple(self.detail.get("removed", ()))

    @property
    def drawn(self) -> dict[int, tuple[int, ...]]:
        """The cells that an outline event added, each with the removed ones that it was drawn from."""
        return {cell: tuple(sources) for cell, sources, _ in self.detail.get("added", ())}

    @property
    def kept(self) -> dict[int, int]:
        """The added cells that keep the labels of a removed one, each with that one."""
        return {cell: kept for cell, _, kept in self.detail.get("added", ()) if kept is not None}


def by_label(labels: Mapping[int, str]) -> dict[str, list[int]]:
    """Return the cells of each label, as an event's detail holds them."""
    cells: dict[str, list[int]] = {}
    for cell, label in labels.items():
        cells.setdefault(label, []).append(cell)
    return cells


def _by_cell(cells: Mapping[str, Sequence[int]]) -> dict[int, str]:
    return {cell: label for label, some in cells.items() for cell in some}
