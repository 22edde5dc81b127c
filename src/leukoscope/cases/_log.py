"""Events in and out of the case's file."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from .. import __version__
from ._store import Store
from .records import Carried, Event

__all__ = ["append", "draft", "now", "read"]

_MODEL = "(SELECT trim(model || ' ' || model_fingerprint) FROM runs WHERE runs.id = events.run)"


def now() -> str:
    """Return the time as ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def draft(kind: str, run: int, **fields: Any) -> Event:
    """Return an event that is not written yet: it gets its number, its time and what wrote it from `append`."""
    return Event(0, fields.pop("at", ""), kind, run, **fields)


def append(db: sqlite3.Connection, event: Event) -> Event:
    """Write a draft, inside the caller's transaction, and return it as it will be read again."""
    model = db.execute("SELECT trim(model || ' ' || model_fingerprint) FROM runs WHERE id = ?", (event.run,)).fetchone()
    detail = _packed(event.detail)
    event = replace(
        event,
        at=event.at or now(),
        cells=tuple(event.cells),
        carried=tuple(event.carried),
        detail=json.loads(detail),
        version=__version__,
        model=model[0] if model else "",
    )
    values = (
        event.at,
        event.kind,
        event.run,
        _packed(list(event.cells)),
        event.label,
        event.reviewer,
        event.target,
        _packed([list(entry) for entry in event.carried]),
        detail,
        event.version,
        event.model,
    )
    statement = """
        INSERT INTO events (at, kind, run, cells, label, reviewer, target, carried, detail, version, model)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    """
    return replace(event, id=db.execute(statement, values).lastrowid or 0)


def read(store: Store, after: int = 0) -> list[Event]:
    """Return the events with a higher id, in order."""
    since_2 = "detail, version, model" if store.version >= 2 else f"'{{}}', '', {_MODEL}"
    statement = f"""
        SELECT id, at, kind, run, cells, label, reviewer, target, carried, {since_2}
        FROM events WHERE id > ? ORDER BY id
    """  # noqa: S608 (both texts are this module's own)
    return [_event(row) for row in store.rows(statement, (after,))]


def _packed(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _event(row: tuple[Any, ...]) -> Event:
    number, at, kind, run, cells, label, reviewer, target, carried, detail, version, model = row
    moved = tuple(Carried(*entry) for entry in json.loads(carried or "[]"))
    some = tuple(json.loads(cells or "[]"))
    named = label or "", reviewer or ""
    return Event(number, at, kind, run, some, *named, target, moved, json.loads(detail), version, model or "")
