"""A case of an older Leukoscope: read as it is, brought up to date when it is written."""

from __future__ import annotations

import datetime
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from leukoscope import __version__
from leukoscope.cases import _store as store
from leukoscope.cases import open_case

GOLDEN = Path(__file__).parent / "golden"
KINDS = ["relabel", "undo", "redo", "relabel", "carry", "relabel", "undo"]


@pytest.fixture
def old(tmp_path):
    """A case as version 1 wrote it."""
    folder = tmp_path / "old.leuko"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "case.sqlite")) as db:
        db.executescript((GOLDEN / "version1.sql").read_text(encoding="utf-8"))
    return folder


def tables(folder):
    with closing(sqlite3.connect(folder / "case.sqlite")) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
        return [(name, " ".join((sql or "").split())) for name, sql in rows], db.execute(
            "PRAGMA user_version"
        ).fetchone()


def shows_what_it_did(case):
    assert case.cells["label"].tolist() == ["monocyte", "monocyte", "blast"]
    assert case.cells["reviewed_by"].tolist()[:2] == ["mk", "mk"]
    assert len(case.orphans) == 1
    assert [event.kind for event in case.events[:7]] == KINDS
    assert [event.id for event in case.events] == list(range(1, len(case.events) + 1))
    assert [event.model for event in case.events[:7]] == ["blood m1"] * 4 + ["blood m2"] * 3
    assert case.events[0].at == "2026-01-02T03:04:06.000+00:00"
    assert all(event.version == "" and event.was == {} for event in case.events[:7])  # it did not write them down


def test_looking_at_an_old_case_changes_nothing(old):
    before = (old / "case.sqlite").read_bytes()
    with open_case(old, readonly=True) as case:
        shows_what_it_did(case)
        case.refresh()
    assert (old / "case.sqlite").read_bytes() == before
    assert tables(old)[1] == (1,)


def test_an_old_case_is_brought_up_to_date_once_it_is_written(old, case):
    for _ in range(2):
        with open_case(old) as again:
            shows_what_it_did(again)
    assert tables(old) == tables(case.path)
    with open_case(old) as again, open_case(old, readonly=True) as reader:
        again.undo("x")  # the orphan's label
        again.undo("x")
        assert again.labels([1, 2]) == {1: "lymphocyte", 2: "blast"}
        again.redo("x")
        again.redo("x")
        again.redo("x")  # the smudge that version 1 took back
        assert again.labels([3]) == {3: "smudge"}
        assert again.events[-1].id == 12
        assert again.events[-1].version == __version__
        assert (again.events[8].was, again.events[8].became) == (
            {1: "monocyte", 2: "monocyte"},
            {1: "lymphocyte", 2: "blast"},
        )
        reader.refresh()
        assert reader.events == again.events
    with closing(sqlite3.connect(old / "case.sqlite")) as db, pytest.raises(sqlite3.IntegrityError, match="append"):
        db.execute("DELETE FROM events")


def test_a_reader_follows_when_the_writer_brings_the_case_up_to_date(old):
    with open_case(old, readonly=True) as reader:
        with open_case(old) as writer:
            writer.relabel(1, "blast", "mk")
        reader.refresh()
        assert reader.labels([1]) == {1: "blast"}
        assert reader.events[-1].was == {1: "monocyte"}


def test_an_update_that_fails_leaves_the_case_as_it_was(old, monkeypatch):
    steps = store.MIGRATIONS[1]
    with monkeypatch.context() as patch:
        patch.setitem(store.MIGRATIONS, 1, steps + "CREATE TABLE meta (x);")
        with pytest.raises(sqlite3.OperationalError):
            open_case(old)
    assert tables(old)[1] == (1,)
    with open_case(old) as case:  # whoever failed let go of it
        assert not case.readonly
        shows_what_it_did(case)


def test_a_case_of_version_2_keeps_every_event(tmp_path, case):
    folder = tmp_path / "two.leuko"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "case.sqlite")) as db:
        db.executescript((GOLDEN / "version2.sql").read_text(encoding="utf-8"))
    with open_case(folder, readonly=True) as reader:
        events, labels = reader.events, reader.labels(reader.ids)
        assert reader.taken is None
    assert [event.kind for event in events] == [
        *("relabel", "undo", "relabel", "read", "sample", "outline", "sign", "amend"),
    ]
    assert tables(folder)[1] == (2,)
    with open_case(folder) as again:
        assert again.events == events
        assert again.labels(again.ids) == labels
        assert again.ids == [1, 2, 3, 5]
        assert again.second_reader("al").read == {2: "monocyte"}
        assert again.set_taken(datetime.date(2024, 2, 1), "mk").id == len(events) + 1
    assert tables(folder) == tables(case.path)
    with open_case(folder, readonly=True) as reader:
        assert reader.taken == datetime.date(2024, 2, 1)
        assert reader.events[:-1] == events
