"""A second reader reads blinded; then both are compared, and what they differ on is decided."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from leukoscope.hematology import agreement
from leukoscope.ui.commands import show_gallery
from leukoscope.ui.gallery.cells import parse_ids
from leukoscope.ui.review_dock.in_gallery import spans


@pytest.fixture
def readers(dock: Any) -> Any:
    dock.show_tab(dock.readers)
    return dock.readers


def begin(readers: Any, name: str = "al") -> None:
    readers.name.setText(name)
    readers.begin.click()


def test_a_reading_begins_goes_from_cell_to_cell_and_ends(dock: Any, readers: Any, session: Any) -> None:
    whole = session.case
    whole.draw_sample(5, 3)
    begin(readers)
    assert "al is reading" in readers.state.text()
    assert [dock.tabs.isTabEnabled(i) for i, tab in enumerate(dock.all) if tab is not readers] == [False] * 5
    cells = whole.sample.cells
    assert readers.stepper.current == cells[0]
    QTest.keyClick(readers.stepper, "R")
    QTest.keyClick(readers.stepper, Qt.Key.Key_Return)
    assert readers.stepper.current == cells[2]
    assert "2 of 5" in readers.progress.text()
    readers.end.click()
    assert session.case is whole
    assert whole.read_by("al")[cells[0]] == "erythroblast"
    assert all(dock.tabs.isTabEnabled(i) for i in range(len(dock.all)))
    assert not readers.stepper.isVisible()


def test_a_reader_from_whom_the_model_is_hidden_cannot_confirm_it(readers: Any, session: Any, notes: list[str]) -> None:
    readers.hide_model.setChecked(True)
    begin(readers)
    assert "Unidentified" in readers.stepper.what.text()
    QTest.keyClick(readers.stepper, Qt.Key.Key_Return)
    assert "not been read" in notes[-1]
    assert readers.stepper.current == 1


def test_a_nameless_reader_is_refused(readers: Any, session: Any, notes: list[str]) -> None:
    begin(readers, " ")
    assert "needs a name" in notes[-1]
    assert session.reading is None


@pytest.fixture
def read_twice(readers: Any, session: Any) -> tuple[str, str]:
    """Eight cells read by two, two of them not alike."""
    case = session.case
    case.confirm(range(1, 9), "mk")
    reader = case.second_reader("al")
    reader.confirm(range(1, 9))
    reader.relabel([2, 7], "monocyte")
    readers.compute()
    return "mk", "al"


def test_agreement_is_that_of_the_library(readers: Any, session: Any, read_twice: tuple[str, str]) -> None:
    view = readers.agreement
    view.first.setCurrentText("mk")
    view.second.setCurrentText("al")
    found = session.case.compare("mk", "al")
    expected = agreement(found.labels_a, found.labels_b)
    assert f"κ {expected.kappa.value:.2f} ({expected.kappa.low:.2f}–{expected.kappa.high:.2f})" in view.summary.text()
    assert "6 of 8" in view.summary.text()
    assert "differ on 2, 2 not decided" in view.differ.text()
    names = [session.case.taxonomy.name(one) for one in expected.labels]
    assert [row[0] for row in view.classes.rows] == names
    assert [row[0].split("  ")[1] for row in view.confusion.rows] == names
    figures = [[0 if text == "·" else int(text) for text in row[1:]] for row in view.confusion.rows]
    assert figures == expected.table.tolist()


def test_differences_are_decided_one_by_one(readers: Any, session: Any, read_twice: tuple[str, str]) -> None:
    view = readers.agreement
    kappa = view.summary.text()
    view.decide.click()
    assert view.stepper.current == 2
    assert "Monocyte" in view.said.text()
    QTest.keyClick(view.stepper, "C")
    assert view.stepper.current == 7
    QTest.keyClick(view.stepper, Qt.Key.Key_Return)
    found = session.case.compare("mk", "al")
    assert found.undecided == ()
    assert found.adjudicated[2] == "plasma_cell"
    assert session.case.labels([2]) == {2: "plasma_cell"}
    assert view.summary.text() == kappa, "deciding is nobody's reading"
    assert "0 not decided" in view.differ.text()


def test_the_gallery_shows_the_disagreements_only(
    viewer: Any, readers: Any, read_twice: tuple[str, str], qtbot: Any
) -> None:
    readers.agreement.gallery.click()
    gallery = show_gallery(viewer)
    qtbot.waitUntil(lambda: gallery.model.rowCount() == 2)
    assert sorted(gallery.model.cell(i) for i in range(2)) == [2, 7]


def test_the_gallery_shows_all_of_them_where_it_showed_cells_alike(
    viewer: Any, readers: Any, read_twice: tuple[str, str], qtbot: Any
) -> None:
    gallery = show_gallery(viewer)
    gallery.alike.number.setValue(1)
    gallery.alike.asked = (5,)
    gallery.alike.found.emit(np.linspace(0, 1, len(gallery.model.table)))
    assert gallery.model.rowCount() == 1
    readers.agreement.gallery.click()
    qtbot.waitUntil(lambda: sorted(gallery.model.cells(np.arange(gallery.model.rowCount()))) == [2, 7])
    assert not gallery.alike.asked


def test_labels_given_to_them_in_the_gallery_decide(
    viewer: Any, session: Any, readers: Any, read_twice: tuple[str, str], qtbot: Any, notes: list[str]
) -> None:
    view = readers.agreement
    kappa, before = view.summary.text(), session.case.compare("mk", "al").pairs
    view.gallery.click()
    assert "decides between al and mk" in notes[-1]
    gallery = show_gallery(viewer)
    qtbot.waitUntil(lambda: gallery.model.rowCount() == 2)
    gallery.relabel("plasma_cell", [2])
    session.confirm([7])
    found = session.case.compare("mk", "al")
    assert found.pairs == before, "deciding is nobody's reading"
    assert found.undecided == ()
    assert found.adjudicated[2] == "plasma_cell"
    assert view.summary.text() == kappa
    session.relabel([3], "eosinophil")  # they did not differ there
    assert session.case.events[-1].detail.get("adjudicates") is None
    gallery.controls.clear_filters()
    session.relabel([2], "eosinophil")
    assert session.case.events[-1].detail.get("adjudicates") is None


def test_ids_are_written_as_the_gallery_reads_them() -> None:
    assert spans([5, 3, 17, 4, 18, 30]) == "3-5, 17-18, 30"
    assert parse_ids(spans([5, 3, 17, 4])) == [(3, 5), (17, 17)]
    assert spans([]) == ""
