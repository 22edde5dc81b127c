"""The tables of ``case.sqlite``. A change here needs a new SCHEMA_VERSION and a way up from the last one."""

from __future__ import annotations

__all__ = ["APPLICATION_ID", "DDL", "MIGRATIONS", "SCHEMA_VERSION"]

APPLICATION_ID = 0x4C45554B  # "LEUK": what `file` and SQLite's own tools show
SCHEMA_VERSION = 3

_EVENTS = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (
        kind IN ('relabel', 'outline', 'undo', 'redo', 'carry', 'read', 'sample', 'date', 'sign', 'amend')
    ),
    run INTEGER NOT NULL REFERENCES runs (id),
    cells TEXT,
    label TEXT,
    reviewer TEXT,
    target INTEGER REFERENCES events (id),
    carried TEXT,
    detail TEXT NOT NULL DEFAULT '{}',
    version TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT ''
);

CREATE TRIGGER events_are_kept BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_stay_as_written BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""

DDL = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE slide (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    info TEXT NOT NULL
);

CREATE TABLE classes (id TEXT PRIMARY KEY, info TEXT NOT NULL);

CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    settings TEXT NOT NULL,
    segmenter TEXT NOT NULL,
    segmenter_fingerprint TEXT NOT NULL,
    model TEXT NOT NULL,
    model_fingerprint TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'completed', 'canceled', 'errored', 'interrupted')),
    detail TEXT NOT NULL DEFAULT '',
    blocks INTEGER NOT NULL CHECK (blocks >= 0),
    done INTEGER NOT NULL DEFAULT 0 CHECK (done BETWEEN 0 AND blocks),
    dropped INTEGER NOT NULL DEFAULT 0,
    begun TEXT NOT NULL,
    finished TEXT
);

CREATE TABLE cells (
    key INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES runs (id),
    id INTEGER NOT NULL CHECK (id > 0),
    block INTEGER NOT NULL,
    x REAL NOT NULL,
    y REAL NOT NULL,
    area_um2 REAL,
    nucleus_area_um2 REAL,
    score REAL,
    label TEXT NOT NULL,
    probabilities BLOB NOT NULL,
    UNIQUE (run, id)
);

CREATE TABLE outlines (
    key INTEGER PRIMARY KEY REFERENCES cells (key) ON DELETE CASCADE,
    cell BLOB NOT NULL,
    nucleus BLOB
);
{_EVENTS}
"""

MIGRATIONS = {
    # What version 1 did not write down stays unknown: which Leukoscope wrote the event, and what was before. The model
    # is that of the event's run.
    1: f"""
DROP TRIGGER events_are_kept;
DROP TRIGGER events_stay_as_written;
ALTER TABLE events RENAME TO events_1;
{_EVENTS}
INSERT INTO events (id, at, kind, run, cells, label, reviewer, target, carried, model)
    SELECT id, at, kind, run, cells, label, reviewer, target, carried,
           (SELECT trim(model || ' ' || model_fingerprint) FROM runs WHERE runs.id = events_1.run)
    FROM events_1 ORDER BY id;
DROP TABLE events_1;
""",  # noqa: S608 (all of it is this module's own)
    # The kinds of events are checked by their table, so a kind more is another table.
    2: f"""
DROP TRIGGER events_are_kept;
DROP TRIGGER events_stay_as_written;
ALTER TABLE events RENAME TO events_2;
{_EVENTS}
INSERT INTO events SELECT * FROM events_2 ORDER BY id;
DROP TABLE events_2;
""",  # noqa: S608 (as above)
}
"""The way up from each older version to the next: statements for one transaction, foreign keys off."""
