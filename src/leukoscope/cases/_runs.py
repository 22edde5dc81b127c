"""Runs and their blocks of cells in the case's file. Every function works inside the caller's transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import shapely

from ..errors import CaseError
from ._log import now
from ._review import Track
from ._store import Store
from .records import CellRow, Run, RunSettings, RunStatus

__all__ = [
    "BY_HAND",
    "drop_others",
    "insert_block",
    "insert_cells",
    "insert_run",
    "outlines_of",
    "read_runs",
    "set_status",
    "update_settings",
]

BY_HAND = -1
"""The block of cells that a reviewer drew."""


def read_runs(store: Store) -> tuple[dict[int, Run], set[int]]:
    """Return the runs by id, and the ids of those whose cells have been dropped."""
    rows = store.rows("SELECT id, settings, blocks, done, status, detail, dropped FROM runs ORDER BY id")
    runs = {
        row[0]: Run(row[0], RunSettings.from_json(row[1]), row[2], row[3], RunStatus(row[4]), row[5]) for row in rows
    }
    return runs, {row[0] for row in rows if row[6]}


def insert_run(db: sqlite3.Connection, settings: RunSettings, blocks: int) -> int:
    """Write a new run and return its id."""
    statement = """
        INSERT INTO runs (settings, segmenter, segmenter_fingerprint, model, model_fingerprint, status, blocks, begun)
        VALUES (?, ?, ?, ?, ?, 'running', ?, ?)
    """
    names = (settings.segmenter, settings.segmenter_fingerprint, settings.model, settings.model_fingerprint)
    return db.execute(statement, (settings.to_json(), *names, blocks, now())).lastrowid or 0


def set_status(db: sqlite3.Connection, run: int, status: RunStatus, detail: str = "") -> None:
    """Write how far a run came."""
    finished = None if status is RunStatus.RUNNING else now()
    db.execute("UPDATE runs SET status = ?, detail = ?, finished = ? WHERE id = ?", (status, detail, finished, run))


def update_settings(db: sqlite3.Connection, run: int, settings: RunSettings) -> None:
    """Write a run's settings anew: its profile and notes may change, and its classes become known."""
    db.execute("UPDATE runs SET settings = ? WHERE id = ?", (settings.to_json(), run))


def insert_block(
    db: sqlite3.Connection, run: int, index: int, first: int, classes: tuple[str, ...], cells: Sequence[CellRow]
) -> None:
    """Write a block's cells with the ids `first`, `first` + 1, …, and that the block is done."""
    insert_cells(db, run, index, first, classes, cells)
    db.execute("UPDATE runs SET done = ? WHERE id = ?", (index + 1, run))


def insert_cells(
    db: sqlite3.Connection, run: int, index: int, first: int, classes: tuple[str, ...], cells: Sequence[CellRow]
) -> None:
    """Write cells with the ids `first`, `first` + 1, …; of no block, but drawn by a reviewer, where it is `BY_HAND`."""
    key = db.execute("SELECT IFNULL(MAX(key), 0) + 1 FROM cells").fetchone()[0]
    wanted = set(classes)
    rows: list[tuple[Any, ...]] = []
    for number, cell in enumerate(cells):
        if set(cell.probabilities) != wanted:
            where = "a drawn cell" if index == BY_HAND else f"a cell of block {index}"
            cause = f"{where} has probabilities of other classes than the run"
            raise CaseError(cause, "Give every cell the model's classes.")
        values = np.array([cell.probabilities[label] for label in classes], dtype="<f8").tobytes()
        numbers = (cell.x, cell.y, cell.area_um2, cell.nucleus_area_um2, cell.score)
        plain = tuple(None if value is None else float(value) for value in numbers)
        rows.append((key + number, run, first + number, index, *plain, cell.label, values))
    db.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    outer = shapely.to_wkb(np.array([cell.cell for cell in cells], dtype=object))
    inner = shapely.to_wkb(
        np.array([None if c.nucleus is None or c.nucleus.is_empty else c.nucleus for c in cells], dtype=object)
    )
    pairs = ((key + number, a, b) for number, (a, b) in enumerate(zip(outer, inner, strict=True)))
    db.executemany("INSERT INTO outlines VALUES (?, ?, ?)", pairs)


def outlines_of(store: Store, run: int, ids: Iterable[int] | None = None) -> dict[int, tuple[bytes, bytes | None]]:
    """Return the WKB of the outlines of a run's cells, cell and nucleus, by id."""
    statement = """
        SELECT c.id, o.cell, o.nucleus FROM cells c JOIN outlines o USING (key)
        WHERE c.run = ?1 AND (?2 IS NULL OR c.id IN (SELECT value FROM json_each(?2))) ORDER BY c.id
    """
    rows = store.rows(statement, (run, None if ids is None else json.dumps(list(ids))))
    return {row[0]: (row[1], row[2]) for row in rows}


def drop_others(db: sqlite3.Connection, run: int, reviewed: Iterable[Track]) -> None:
    """Delete the cells of every other run, except those a reviewer once touched: the log speaks of them."""
    db.execute("CREATE TEMP TABLE IF NOT EXISTS kept (run INTEGER, id INTEGER, PRIMARY KEY (run, id))")
    db.execute("DELETE FROM kept")
    db.executemany("INSERT INTO kept VALUES (?, ?)", list(reviewed))
    # NOT EXISTS, for NOT IN goes through all that is kept for each cell: two minutes at 100,000 cells, 10,000 reviewed
    statement = """
        DELETE FROM cells WHERE run <> ?
        AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.run = cells.run AND kept.id = cells.id)
    """
    db.execute(statement, (run,))
    db.execute("UPDATE runs SET dropped = 1 WHERE id <> ?", (run,))
