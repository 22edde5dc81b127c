"""What goes wrong ends in one line that says what to do, and harms nothing."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from leukoscope.cases import Case, open_case
from leukoscope.cases import _filesystem as filesystem
from leukoscope.errors import CaseError


def one_line(caught, *words):
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.remedy
    for word in words:
        assert word in text


def test_not_a_case(tmp_path):
    with pytest.raises(CaseError) as caught:
        open_case(tmp_path / "none.leuko")
    one_line(caught, "none.leuko", "does not exist")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaseError) as caught:
        open_case(tmp_path / "empty")
    one_line(caught, "is not a Leukoscope case")
    other = tmp_path / "other" / "case.sqlite"
    other.parent.mkdir()
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE t (x)")
    for content in (other.read_bytes(), b"not a database " * 100, b""):
        other.write_bytes(content)
        with pytest.raises(CaseError) as caught:
            open_case(other.parent)
        one_line(caught, "is not a Leukoscope case")


@pytest.mark.parametrize("harm", ["cut", "scribbled"])
def test_a_damaged_case(case, harm):
    case.relabel(1, "monocyte", "mk")
    case.close()
    file = case.path / "case.sqlite"
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(content[:middle] if harm == "cut" else content[:4096] + b"\xa5" * (len(content) - 4096))
    with pytest.raises(CaseError) as caught:
        open_case(case.path)
    one_line(caught, "damaged", "backup")


def test_a_case_of_a_newer_leukoscope(case):
    case.close()
    with closing(sqlite3.connect(case.path / "case.sqlite")) as db:
        db.execute("PRAGMA user_version = 999")
    with pytest.raises(CaseError) as caught:
        open_case(case.path)
    one_line(caught, "newer Leukoscope", "Update")


def test_a_case_of_another_slide(case, slide, settings):
    case.close()
    with pytest.raises(CaseError) as caught:
        Case.open_or_create(case.path, replace(slide, name="other", fingerprint="beef"), settings)
    one_line(caught, "another slide", "another folder")
    with Case.open_or_create(case.path, slide, settings) as again:
        assert not again.readonly  # the refused attempt let go of it
        with pytest.raises(CaseError) as caught:
            Case.open_or_create(case.path, slide, settings)
        one_line(caught, "reading only")


def test_a_slide_under_another_name_is_the_case_s_own(case, slide):
    class Opened:
        fingerprint, former_fingerprint, name = "new", slide.fingerprint, "renamed"

    assert case.is_of(replace(slide, name="renamed", address="elsewhere.svs"))
    assert case.is_of(Opened())
    case.check_slide(Opened())
    assert not case.is_of(replace(slide, fingerprint="new"))


def test_a_case_is_not_made_over_something(case, slide, settings, tmp_path):
    with pytest.raises(CaseError) as caught:
        Case.create(case.path, slide, settings)
    one_line(caught, "already holds a case", "open_case")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    for name in ("file", "folder"):
        with pytest.raises(CaseError) as caught:
            Case.create(tmp_path / name, slide, settings)
        one_line(caught, "in the way")
    assert (tmp_path / "folder" / "mine").read_text() == "mine"
    assert len(case) == 4


def test_a_folder_that_cannot_be_written(tmp_path, slide, settings, case):
    (tmp_path / "file").write_text("")
    with pytest.raises(CaseError) as caught:
        Case.create(tmp_path / "file" / "smear.leuko", slide, settings)
    one_line(caught, "cannot be written", "Choose another folder")
    with pytest.raises(CaseError) as caught:
        case.export(folder=tmp_path / "file" / "out")
    one_line(caught, "cannot be written")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="only for users whom a mode keeps from writing")
def test_a_case_in_a_folder_that_cannot_be_written_opens_for_reading(case):
    case.close()
    case.path.chmod(0o500)
    try:
        with open_case(case.path) as again:
            assert again.readonly
            assert len(again.cells) == 4
    finally:
        case.path.chmod(0o700)


def test_a_full_disk_while_analyzing(tmp_path, slide, settings, make_cell):
    case = Case.create(tmp_path / "a.leuko", slide, settings)
    run = case.begin_run(settings, 10**4)
    case._store.db.execute("PRAGMA max_page_count = 60")  # what SQLite then raises is what a full disk raises
    cells = [make_cell(10 * i, 10) for i in range(20)]

    def fill():
        for index in range(10**4):
            case.add_block(run, index, cells)

    with pytest.raises(CaseError) as caught:
        fill()
    done = case.runs[0].done
    one_line(caught, "the disk is full", "Free some space")
    case.close()
    with open_case(case.path) as again:
        assert len(again.cells) == len(again.outlines()) == 20 * done
        run = again.begin_run(settings, 10**4)
        assert run.done == done
        again.add_block(run, done, [make_cell(1, 1)])  # there is space now


def test_a_full_disk_while_exporting(case, monkeypatch):
    before = (case.export()["cells.csv"]).read_bytes()
    case.relabel(1, "monocyte", "mk")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        for what in ("csv", "geojson", "report", "pdf"):
            with pytest.raises(CaseError) as caught:
                case.export(**{"csv": False, what: True})
            one_line(caught, "the disk is full")
    assert (case.path / "cells.csv").read_bytes() == before
    assert not list(case.path.glob(".*"))
    with monkeypatch.context() as patch:
        patch.setattr("zarr.create_group", full)
        with pytest.raises(CaseError) as caught:
            case.export(csv=False, labels=True)
    one_line(caught, "the disk is full")
    assert not list(case.path.glob("*labels*"))


def test_nothing_in_memory_changes_when_the_disk_is_full(case, monkeypatch):
    before = case.labels([1])
    case._store.db.execute("PRAGMA query_only = ON")
    with pytest.raises(CaseError) as caught:
        case.relabel(1, "monocyte", "mk")
    one_line(caught)
    assert case.labels([1]) == before
    assert case.events == ()


def test_the_log_cannot_be_rewritten(case):
    case.relabel(1, "monocyte", "mk")
    case.close()
    with closing(sqlite3.connect(case.path / "case.sqlite")) as db:
        for statement in ("DELETE FROM events", "UPDATE events SET label = 'blast'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)


@pytest.mark.parametrize(
    ("kind", "journal", "level"), [("ext4", "wal", 2), ("nfs4", "delete", 3), ("cifs", "delete", 3)]
)
def test_journal_follows_the_file_system(case, monkeypatch, kind, journal, level):
    """And a case that moves from a disk to a share is opened with the journal that is safe there."""
    case.close()
    monkeypatch.setattr(filesystem, "filesystem_of", lambda _: kind)
    with open_case(case.path) as again:
        assert again._store.value("PRAGMA journal_mode") == journal
        assert again._store.value("PRAGMA synchronous") == level
        assert again._store.value("PRAGMA foreign_keys") == 1
        again.relabel(1, "monocyte", "mk")
    with open_case(case.path) as again:
        assert again.labels([1]) == {1: "monocyte"}


def test_file_systems_are_told_apart(tmp_path):
    mounts = filesystem._linux_mounts(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "40 22 0:40 / /mnt/my\\040share rw - nfs4 server:/x rw\n"
        "41 40 0:41 / /mnt/my\\040share/here rw - fuse.sshfs me@there: rw\n"
    )
    assert filesystem._deepest(Path("/home/x"), mounts) == "ext4"
    assert filesystem._deepest(Path("/mnt/my share/a"), mounts) == "nfs4"
    assert filesystem._deepest(Path("/mnt/my share/here/a"), mounts) == "fuse.sshfs"
    assert filesystem._deepest(Path("/mnt/my shared"), mounts) == "ext4"
    apple = filesystem._bsd_mounts("/dev/disk3s1 on / (apfs, local)\n//me@nas/a on /Volumes/a (smbfs, nodev)\n")
    assert filesystem._deepest(Path("/Volumes/a/b"), apple) == "smbfs"
    assert filesystem.filesystem_of(tmp_path) != "unknown"


def test_a_case_may_be_moved_and_copied(case, tmp_path):
    case.relabel(1, "monocyte", "mk")
    case.close()
    shutil.copytree(case.path, tmp_path / "copy.leuko")
    with open_case(tmp_path / "copy.leuko" / "case.sqlite") as copy:
        assert copy.labels([1]) == {1: "monocyte"}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (" Dr.\n Ünï\t\x1b[31m 血 ", "Dr. Ünï [31m 血"),
        ("x" * 5000, "x" * 200),
        ("\ud800mk\u202e", "mk"),
        ("'; DROP TABLE events;--", "'; DROP TABLE events;--"),
    ],
)
def test_a_name_is_one_line_of_text_wherever_it_is_shown(case, name, kept):
    assert case.relabel(1, "monocyte", name).reviewer == kept
    assert case.cells["reviewed_by"][0] == kept


@pytest.mark.parametrize("name", [None, "", " \n"])
def test_without_a_name_it_is_the_computer_s_user(case, name):
    assert case.relabel(1, "monocyte", name).reviewer.strip()


def test_a_fraction_is_no_cell(case):
    with pytest.raises(CaseError) as caught:
        case.relabel([1.9], "monocyte", "mk")
    one_line(caught, "no cell 1.9")
    assert not case.events


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (["a"], "no cell 'a'"),
        ("12", "no cell '12'"),
        (b"1", "no cell b'1'"),
        ([float("nan")], "no cell nan"),
        ([float("inf")], "no cell inf"),
        ([None], "no cell None"),
        (None, "no cell None"),
        ([[1, 2]], r"no cell \[1, 2\]"),
        (np.array([True, False, True, False]), "no cell True"),  # a mask is no list of ids
        (pd.Series([1, None], dtype="Int64"), "no cell <NA>"),
        ([0], "no cell 0"),
        ([], "no cell is chosen"),
    ],
)
def test_what_is_no_id_is_refused_in_one_line(case, ids, words):
    reader = case.second_reader("al")
    for ask in (case.relabel, reader.relabel, lambda given, _: case.confirm(given)):
        with pytest.raises(CaseError, match=words):
            ask(ids, "monocyte")
    assert not case.events


@pytest.mark.parametrize(
    "ids", [2, np.int64(2), np.uint8(2), np.array(2), np.array([2, 2]), [2.0], {2}, (i for i in [2]), pd.Series([2])]
)
def test_ids_may_be_of_any_whole_number_s_type(case, ids):
    event = case.relabel(ids, "monocyte")
    assert event.cells == (2,)
    assert type(event.cells[0]) is int
    assert case.labels(np.int64(2)) == {2: "monocyte"}
    assert list(case.outlines(2)) == list(case.reviewed(2)) == [2]


def test_a_closed_case_says_so(case):
    case.close()
    for ask in (lambda: case.relabel(1, "blast"), lambda: case.cells, lambda: case.outlines()):
        with pytest.raises(CaseError, match="the case was closed"):
            ask()
