"""The log of events as a table, for people to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .records import Event

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["history_frame"]


def history_frame(events: Sequence[Event]) -> pd.DataFrame:
    """Return one row an event; see `Case.history`."""
    import pandas as pd

    undone: set[int] = set()
    for event in events:
        if event.kind in ("undo", "redo") and event.target is not None:
            (undone.add if event.kind == "undo" else undone.discard)(event.target)
    by_id = {event.id: event for event in events}
    rows = [
        (
            event.id,
            event.at,
            event.reviewer,
            event.kind,
            _cells(event, by_id),
            _labels(event.was),
            _said(event),
            event.model,
            event.version,
            event.id in undone,
        )
        for event in events
    ]
    columns = ["id", "at", "who", "kind", "cells", "was", "is", "model", "version", "undone"]
    types = {"id": "int64", "cells": "int64", "undone": "bool"}
    return pd.DataFrame(rows, columns=columns).astype(types)


def _cells(event: Event, by_id: Mapping[int, Event]) -> int:
    if event.kind == "carry":
        return len(event.carried)
    if event.target is not None:
        return len(by_id[event.target].cells)
    return len(event.cells)


def _said(event: Event) -> str:
    if event.kind == "sign":
        return f"report {event.detail['number']}: {event.detail['verdict']}"
    if event.kind == "amend":
        return f"amendment {event.detail['number']}: {event.detail['reason']}"
    if event.kind == "date":
        return f"smear of {event.detail['day']}"
    if event.kind == "carry":
        lost = sum(entry.to is None for entry in event.carried)
        return f"{len(event.carried) - lost} found again, {lost} not"
    if event.kind == "outline":
        return f"{len(event.removed)} removed, {len(event.drawn)} drawn: {_labels(event.became) or 'none'}"
    return event.label or _labels(event.became)


def _labels(cells: Mapping[int, str]) -> str:
    """Return the one label of all cells, or each with its number of cells, the most frequent first."""
    counts = Counter(cells.values()).most_common()
    return counts[0][0] if len(counts) == 1 else ", ".join(f"{label} ({count})" for label, count in counts)
