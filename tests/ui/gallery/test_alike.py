"""More like this: the nearest cells first, to be labeled together; the search runs in the background and can stop."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QContextMenuEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMenu
from shapely.affinity import scale

from leukoscope.cases import Drawn
from leukoscope.pipeline import CanceledError, embed_case, reclassify
from leukoscope.ui import session_of
from leukoscope.ui.commands import more_like_this, show_gallery
from leukoscope.ui.gallery import alike as searching
from leukoscope.ui.gallery.cells import LIKENESS

from ..conftest import CLASSES, in_own_window
from .conftest import cells, choose


@pytest.fixture
def gallery(viewer: Any, classified_dir: Path) -> Any:
    """The dock with a case that the shipped model is said to have made: its cells can be embedded."""
    session_of(viewer).open(classified_dir)
    return in_own_window(show_gallery(viewer), 560, 640)


def ask(gallery: Any, qtbot: Any, *ids: int) -> None:
    choose(gallery, *ids)
    QTest.keyClick(gallery.grid, "F")
    done(gallery, qtbot)


def done(gallery: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: gallery.alike.job is None, timeout=60_000)


def nearest(gallery: Any, *ids: int) -> list[int]:
    session = gallery.session
    found = embed_case(session.case, session.slide.metadata["leukoscope"]["slide"])
    return [*ids, *found.nearest(ids, 100)[0].tolist()]


def test_the_most_alike_come_first_and_all_come_back(gallery: Any, qtbot: Any) -> None:
    before, order = cells(gallery), gallery.controls.order
    ask(gallery, qtbot, 4)
    assert cells(gallery) == nearest(gallery, 4)
    assert gallery.alike.isVisible()
    assert gallery.alike.said.text() == "Most like cell 4"
    assert gallery.controls.order == {"by": LIKENESS, "backward": False, "by_class": False}
    tip = gallery.model.data(gallery.model.index(1), Qt.ItemDataRole.ToolTipRole)
    assert "likeness 0." in tip or "likeness 1.00" in tip
    QTest.mouseClick(gallery.alike.back, Qt.MouseButton.LeftButton)
    assert not gallery.alike.isVisible()
    assert (cells(gallery), gallery.controls.order) == (before, order)
    assert gallery.controls.sort.findData(LIKENESS) < 0


def test_several_are_asked_about_and_only_some_are_shown(gallery: Any, qtbot: Any) -> None:
    ask(gallery, qtbot, 2, 7)
    assert gallery.alike.said.text() == "Most like cell 2 and 1 more"
    assert cells(gallery) == nearest(gallery, 2, 7)
    gallery.alike.number.setValue(3)
    qtbot.waitUntil(lambda: len(cells(gallery)) == 5)
    assert cells(gallery) == nearest(gallery, 2, 7)[:5]
    gallery.controls.reviewed.setCurrentIndex(1)  # filters choose first
    gallery.session.relabel([2], "monocyte")
    gallery.arrange()
    assert cells(gallery) == [7, *nearest(gallery, 2, 7)[2:5]]


def test_they_are_labeled_together_and_undo_takes_it_back(gallery: Any, qtbot: Any) -> None:
    session = gallery.session
    ask(gallery, qtbot, 5)
    gallery.alike.number.setValue(3)
    qtbot.waitUntil(lambda: len(cells(gallery)) == 4)
    shown = cells(gallery)
    before = session.case.labels(shown)
    QTest.keyClick(gallery.grid, "A", Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(gallery.grid, "R")
    assert session.case.labels(shown) == dict.fromkeys(shown, "erythroblast")
    assert cells(gallery) == shown
    QTest.keyClick(gallery.grid, "Z", Qt.KeyboardModifier.ControlModifier)
    assert session.case.labels(shown) == before
    assert cells(gallery) == shown


def test_the_cell_under_the_mouse_is_meant_by_the_menu_too(gallery: Any, qtbot: Any) -> None:
    cell = cells(gallery)[2]
    place = gallery.grid._rect(2).center()
    QTest.mouseMove(gallery.grid.viewport(), place + QPoint(3, 3))
    QTest.mouseMove(gallery.grid.viewport(), place)
    QApplication.processEvents()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, gallery.grid.viewport().mapToGlobal(place))
    QApplication.sendEvent(gallery.grid.viewport(), event)
    (menu,) = gallery.findChildren(QMenu)
    (action,) = menu.actions()
    assert action.text() == "More like this (F)"
    action.trigger()
    done(gallery, qtbot)
    assert cells(gallery)[0] == cell


def test_the_cells_layer_asks_too(viewer: Any, gallery: Any, qtbot: Any, notes: list[str]) -> None:
    session = gallery.session
    session.cells.selected_data = set()
    more_like_this(viewer)
    assert "No cell is meant" in notes[-1]
    session.cells.selected_data = {8}
    (key,) = [key for key in session.cells.keymap if str(key) == "F"]
    session.cells.keymap[key](session.cells)
    done(gallery, qtbot)
    assert cells(gallery)[0] == 9


def test_edited_outlines_are_compared_anew(gallery: Any, qtbot: Any) -> None:
    session = gallery.session
    ask(gallery, qtbot, 4)
    case, slide = session.case, session.slide.metadata["leukoscope"]["slide"]
    outline = case.outlines([6])[6][0]
    (row,) = reclassify(case, slide, [scale(outline, 0.7, 0.7)], "cpu")
    row = replace(row, probabilities=dict.fromkeys(CLASSES, 0.25), label="blast")  # the case knows four of them
    case.edit_outlines([6], [Drawn(row, (6,))], "mk")
    new = case.last_id
    qtbot.waitUntil(lambda: new in cells(gallery), timeout=60_000)
    done(gallery, qtbot)
    assert 6 not in cells(gallery)
    assert cells(gallery) == nearest(gallery, 4)
    session.undo()
    qtbot.waitUntil(lambda: 6 in cells(gallery), timeout=60_000)
    done(gallery, qtbot)
    assert new not in cells(gallery)


def test_a_first_search_can_be_stopped(
    gallery: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    began = threading.Event()

    def endless(case: Any, slide: Any, device: str, progress: Any, cancel: Any) -> Any:
        progress(3, 12)
        began.set()
        while not cancel():
            threading.Event().wait(0.01)
        raise CanceledError("stopped", "Ask again: what is done is kept.")

    before = cells(gallery)
    monkeypatch.setattr(searching, "embed_case", endless)
    choose(gallery, 4)
    gallery.more.click()
    qtbot.waitUntil(lambda: began.is_set() and gallery.alike.progress.maximum() == 12)
    assert gallery.alike.progress.value() == 3
    assert gallery.alike.back.text() == "Cancel"
    job = gallery.alike.job
    with qtbot.waitSignal(job.canceled):
        QTest.mouseClick(gallery.alike.back, Qt.MouseButton.LeftButton)
    assert not gallery.alike.isVisible()
    assert cells(gallery) == before
    began.clear()
    gallery.more.click()
    qtbot.waitUntil(began.is_set)
    gallery.session.close_case()  # a search of a case that is closed ends without a word
    assert gallery.alike.job is None
    assert notes == []


def test_napari_bar_stops_it_too(gallery: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari.utils import progress

    def endless(case: Any, slide: Any, device: str, report: Any, cancel: Any) -> Any:
        while not cancel():
            threading.Event().wait(0.01)
        raise CanceledError("stopped", "Ask again.")

    monkeypatch.setattr(searching, "embed_case", endless)
    choose(gallery, 4)
    gallery.more.click()
    (bar,) = [bar for bar in progress._all_instances if bar.desc == "Looking for cells alike"]
    bar.cancel()
    done(gallery, qtbot)
    assert bar not in progress._all_instances


def test_what_is_missing_is_said_in_one_line(
    viewer: Any, gallery: Any, case_dir: Path, qtbot: Any, notes: list[str]
) -> None:
    session = gallery.session
    gallery.grid.clearSelection()
    gallery.more_like_this()
    assert "No cell is meant" in notes[-1]
    session.read_blinded("al", hide_model=True)
    gallery.more_like_this([1])
    assert "kept from this reader" in notes[-1]
    session.end_reading()
    session.busy = True
    gallery.more_like_this([1])
    assert "an analysis is running" in notes[-1]
    session.busy = False
    viewer.layers.remove(session.slide)
    gallery.more_like_this([1])
    assert "slide is not shown" in notes[-1]
    session.close_case()
    gallery.more_like_this([1])
    assert "there are no cells" in notes[-1]
    session.open(case_dir)  # its model is called "drawn", and there is none of that name
    gallery.more_like_this([1])
    done(gallery, qtbot)
    assert "drawn" in notes[-1]
    assert not gallery.alike.isVisible()


def test_likeness_is_not_kept_as_the_order(gallery: Any, qtbot: Any, kept: dict[str, Any]) -> None:
    ask(gallery, qtbot, 4)
    gallery.controls.backward.click()
    assert cells(gallery)[-1] == 4
    qtbot.waitUntil(lambda: "sort" in kept)
    assert kept["sort"] == "uncertainty"
    gallery.controls.sort.setCurrentIndex(gallery.controls.sort.findData("size"))
    assert gallery.controls.order["by"] == "size"
    gallery.show_all()
    assert gallery.controls.order["by"] == "size"
    assert len(cells(gallery)) == 12
