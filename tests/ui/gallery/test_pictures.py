"""The Cells dock reads thumbnails elsewhere, and says what is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtTest import QTest

from leukoscope import open_case
from leukoscope.ui import session_of

from ..conftest import close_for_good
from .conftest import cells, choose, label, picture, shown


def test_no_case_and_no_cells_are_said(viewer: Any, gallery: Any) -> None:
    gallery.session.close_case()
    assert "No case is open" in gallery.grid.message
    assert gallery.model.rowCount() == 0
    QTest.keyClick(gallery.grid, "B")
    gallery.controls.ids.setText("")


def test_a_read_only_case_says_why_nothing_changes(viewer: Any, case_dir: Path, notes: list[str], qtbot: Any) -> None:
    with open_case(case_dir):
        session_of(viewer).open(case_dir)
        gallery = shown(viewer)
        assert "Read only" in gallery.notice.text()
        notes.clear()
        choose(gallery, 1)
        QTest.keyClick(gallery.grid, "R")
        assert len(notes) == 1
        assert "reading only" in notes[0]
        assert label(gallery, 1) != "erythroblast"
        session_of(viewer).close_case()


def test_without_the_slide_the_thumbnails_say_so_and_keys_work(
    viewer: Any,
    case_dir: Path,
    smear: Path,
    notes: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    from leukoscope.slides import open_slide

    monkeypatch.setattr(
        "leukoscope.ui._state.open_slide",
        lambda path, mpp=None: open_slide("/nowhere.tiff" if str(path) == str(smear) else path, mpp=mpp),
    )
    session = session_of(viewer)
    session.open(case_dir)
    gallery = shown(viewer)
    assert "Find slide" in gallery.notice.text()
    assert not gallery.thumbnails.has_source
    missing = picture(gallery, 2)
    choose(gallery, 2)
    QTest.keyClick(gallery.grid, "R")
    assert label(gallery, 2) == "erythroblast"
    moved = tmp_path / "elsewhere" / smear.name
    moved.parent.mkdir()
    shutil.copy2(smear, moved)
    session.locate_slide(moved)
    qtbot.waitUntil(lambda: gallery.thumbnails.get(2)[1] is not None)
    assert picture(gallery, 2) != missing
    assert not gallery.notice.isVisible()


def test_a_part_of_the_slide_that_cannot_be_read_does_not_end_the_reading(gallery: Any, qtbot: Any) -> None:
    from leukoscope.errors import SlideError

    def read(cell: int) -> Any:
        if cell == 2:
            raise SlideError("damaged")
        return np.full((20, 20, 3), 40, np.uint8)

    gallery.thumbnails.set_source(read)
    gallery.thumbnails.want([2, 3])
    qtbot.waitUntil(lambda: gallery.thumbnails.get(2) == (True, None) and gallery.thumbnails.get(3)[1] is not None)


def test_pictures_are_read_elsewhere_those_in_sight_first_and_the_others_dropped(gallery: Any, qtbot: Any) -> None:
    import threading

    begun: list[int] = []
    gate, elsewhere = threading.Event(), set()

    def read(cell: int) -> Any:
        begun.append(cell)
        elsewhere.add(threading.current_thread() is not threading.main_thread())
        gate.wait(5)
        return np.zeros((8, 8, 3), np.uint8)

    gallery.thumbnails.set_source(read)
    gallery.thumbnails.want(range(1, 8))
    qtbot.waitUntil(lambda: len(begun) == 2)
    gallery.thumbnails.want([11, 12])
    gate.set()
    qtbot.waitUntil(lambda: not gallery.thumbnails.waiting)
    assert begun == [1, 2, 11, 12]
    assert elsewhere == {True}


def test_what_was_looked_at_last_is_kept(gallery: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukoscope.ui.gallery.thumbnails.BUDGET", 3 * 16 * 16 * 4)
    gallery.thumbnails.set_source(lambda _: np.zeros((16, 16, 3), np.uint8))
    for cell in (1, 2, 3):
        gallery.thumbnails.want([cell])
        qtbot.waitUntil(lambda cell=cell: gallery.thumbnails.get(cell)[0])
    gallery.thumbnails.get(1)
    gallery.thumbnails.want([4])
    qtbot.waitUntil(lambda: gallery.thumbnails.get(4)[0])
    assert [cell for cell in range(1, 5) if gallery.thumbnails.get(cell)[0]] == [1, 3, 4]


def test_cells_at_the_edge_are_shown_on_gray() -> None:
    from types import SimpleNamespace

    from leukoscope.ui.gallery.thumbnails import BEYOND, read_field

    whole = np.full((100, 120, 3), 10, np.uint8)

    def read_region(region: Any, level: int) -> Any:
        y, x, h, w = region
        return whole[max(y, 0) : y + h, max(x, 0) : x + w]

    slide = SimpleNamespace(downsamples=(1.0, 2.0), read=read_region)
    read = read_field(slide, [0.0, 119.0], [0.0, 99.0], 0.5, 40)  # type: ignore[arg-type]
    first, last = read(1), read(2)
    assert first.shape == last.shape == (48, 48, 3)
    assert (first[:24, :24] == BEYOND).all()
    assert (first[24:, 24:] == 10).all()
    assert (last[:24, :24] == 10).all()
    assert (last[26:, 26:] == BEYOND).all()


def test_a_closed_dock_neither_listens_nor_reads(viewer: Any, gallery: Any, qapp: Any) -> None:
    session, reader = gallery.session, gallery.thumbnails._reader
    assert gallery._on_relabeled in session.relabeled
    close_for_good(viewer, gallery, qapp)
    assert gallery._on_relabeled not in session.relabeled
    assert reader.read is None
    for thread in reader._threads:
        thread.join(5)
        assert not thread.is_alive()
    session.relabel([1], "blast")
    session.cells.selected_data = {1}


def test_cells_that_an_analysis_finds_appear(viewer: Any, gallery: Any, qtbot: Any) -> None:
    before = gallery.model.table
    gallery.session.cells_added.emit(3)
    qtbot.waitUntil(lambda: gallery.model.table is not before)
    assert len(cells(gallery)) == len(gallery.session.case)
