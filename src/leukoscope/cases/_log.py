"""Events in and out of the case's file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ._store import Store
from .records import Carried, Event

__all__ = ["append", "now", "read"]


def now() -> str:
    """Return the time as ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def append(
    db: sqlite3.Connection,
    kind: str,
    run: int,
    cells: Sequence[int] = (),
    label: str = "",
    reviewer: str = "",
    target: int | None = None,
    carried: Sequence[Carried] = (),
) -> Event:
    """Write an event, inside the caller's transaction, and return it as it will be read again."""
    at = now()
    values = (
        at,
        kind,
        run,
        json.dumps(list(cells), separators=(",", ":")),
        label,
        reviewer,
        target,
        json.dumps([list(entry) for entry in carried], separators=(",", ":")),
    )
    statement = "INSERT INTO events (at, kind, run, cells, label, reviewer, target, carried) VALUES (?,?,?,?,?,?,?,?)"
    number = db.execute(statement, values).lastrowid or 0
    return Event(number, at, kind, run, tuple(cells), label, reviewer, target, tuple(carried))


def read(store: Store, after: int = 0) -> list[Event]:
    """Return the events with a higher id, in order."""
    statement = """
        SELECT id, at, kind, run, cells, label, reviewer, target, carried FROM events WHERE id > ? ORDER BY id
    """
    return [_event(row) for row in store.rows(statement, (after,))]


def _event(row: tuple[Any, ...]) -> Event:
    number, at, kind, run, cells, label, reviewer, target, carried = row
    moved = tuple(Carried(*entry) for entry in json.loads(carried or "[]"))
    return Event(number, at, kind, run, tuple(json.loads(cells or "[]")), label or "", reviewer or "", target, moved)
