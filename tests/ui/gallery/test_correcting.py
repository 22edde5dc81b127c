"""The Cells dock shows every cell, and relabels those that are meant, by key or by drag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from leukoscope import open_case
from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.ui.commands import show_counts
from leukoscope.ui.gallery.grid import MIME
from leukoscope.ui.overlay import rgba

from ..conftest import claims
from .conftest import cells, center, choose, chosen, label, picture


def test_every_cell_is_there_with_its_class_color_and_picture(gallery: Any) -> None:
    table = gallery.session.case.cells
    assert sorted(cells(gallery)) == list(table["cell_id"])
    for cell in cells(gallery):
        image = picture(gallery, cell)
        expected = rgba(TAXONOMY.color(table["label"][cell - 1]))
        np.testing.assert_allclose(image.pixelColor(1, 20).getRgbF(), expected, atol=0.01)
        known, thumbnail = gallery.thumbnails.get(cell)
        assert known
        assert thumbnail is not None


def test_a_thumbnail_has_its_cell_in_the_middle(gallery: Any, smear: Path) -> None:
    from leukoscope import open_slide

    row = gallery.session.case.cells.iloc[4]
    _, image = gallery.thumbnails.get(5)
    slide = open_slide(smear)
    x, y = int(row["x"]), int(row["y"])
    around = slide.read((y - 2, x - 2, 5, 5)).reshape(-1, 3).mean(axis=0)
    middle = image.width() // 2
    here = [image.pixelColor(middle + i, middle + j).getRgb()[:3] for i in range(-2, 3) for j in range(-2, 3)]
    np.testing.assert_allclose(np.mean(here, axis=0), around, atol=12)


def test_a_key_gives_the_selection_its_class_and_nothing_else_changes_place(gallery: Any, case_dir: Path) -> None:
    before = cells(gallery)
    choose(gallery, 2, 5)
    QTest.keyClick(gallery.grid, "R")
    assert [label(gallery, cell) for cell in (2, 5)] == ["erythroblast"] * 2
    assert cells(gallery) == before, "nothing jumps"
    assert gallery.chips.chips["erythroblast"].count == 2
    assert gallery.session.cells.features["label"][1] == "erythroblast"
    np.testing.assert_allclose(
        picture(gallery, 2).pixelColor(1, 20).getRgbF(), rgba(TAXONOMY.color("erythroblast")), atol=0.01
    )
    assert gallery.refresh.isEnabled()
    QTest.mouseClick(gallery.refresh, Qt.MouseButton.LeftButton)
    assert cells(gallery) != before, "sorted by class again"
    assert sorted(chosen(gallery)) == [2, 5], "still selected, in their new places"
    gallery.session.close_case()
    with open_case(case_dir) as case:
        assert list(case.cells["label"][[1, 4]]) == ["erythroblast"] * 2


def test_only_the_changed_rows_are_told(gallery: Any, qtbot: Any) -> None:
    told: list[int] = []
    gallery.model.dataChanged.connect(lambda a, b, *_: told.extend(range(a.row(), b.row() + 1)))
    with qtbot.assertNotEmitted(gallery.model.modelReset):
        gallery.session.relabel([3, 4, 9], "smudge")
    assert sorted(told) == sorted(gallery.model.places([3, 4, 9]).tolist())


def test_without_a_selection_in_sight_the_cell_under_the_mouse_is_meant(gallery: Any) -> None:
    gallery.grid.clearSelection()
    cell = cells(gallery)[3]
    QTest.mouseMove(gallery.grid.viewport(), center(gallery, cell) + QPoint(3, 3))
    QTest.mouseMove(gallery.grid.viewport(), center(gallery, cell))
    QApplication.processEvents()
    assert gallery.target_cells() == [cell]
    QTest.keyClick(gallery.grid, "E")
    assert label(gallery, cell) == "eosinophil"
    assert len(gallery.session.case.events) == 1


def test_a_selection_scrolled_away_is_left_alone(gallery: Any, notes: list[str]) -> None:
    gallery.controls.zoom.setValue(256)
    choose(gallery, cells(gallery)[0])
    gallery.grid.verticalScrollBar().setValue(gallery.grid.verticalScrollBar().maximum())
    QTest.keyClick(gallery.grid, "E")
    assert gallery.session.case.events == ()
    assert "No cell is meant" in notes[-1]


def test_undo_and_redo_work_here_too_and_the_tick_follows(gallery: Any) -> None:
    row = cells(gallery)[0] - 1
    before, was = label(gallery, row + 1), picture(gallery, row + 1)
    choose(gallery, row + 1)
    QTest.keyClick(gallery.grid, "X")
    assert gallery.model.table.reviewed[row]
    assert np.isnan(gallery.model.table.probability[row]), "the model does not know the class"
    QTest.keyClick(gallery.grid, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert label(gallery, row + 1) == before
    assert not gallery.model.table.reviewed[row]
    assert picture(gallery, row + 1) == was
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(gallery.grid, Qt.Key.Key_Z, both)
    assert label(gallery, row + 1) == "artefact"


def test_the_key_of_its_own_class_marks_a_cell_as_reviewed(gallery: Any) -> None:
    row = int(np.flatnonzero(gallery.session.case.cells["label"] == "blast")[0])
    choose(gallery, row + 1)
    QTest.keyClick(gallery.grid, "B")
    assert gallery.model.table.reviewed[row]
    assert label(gallery, row + 1) == "blast"


def test_the_counts_follow_keys_pressed_here(viewer: Any, gallery: Any) -> None:
    counts = show_counts(viewer)
    blasts = counts.differential.blasts
    other = next(cell for cell in cells(gallery) if label(gallery, cell) != "blast")
    choose(gallery, other)
    QTest.keyClick(gallery.grid, "B")
    assert counts.differential.blasts == blasts + 1


def drop(target: Any, data: QMimeData) -> None:
    """Do what Qt does at the end of a drag, which a test cannot make."""
    copy, left, held = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), copy, data, left, held)
    enter.ignore()
    target.dragEnterEvent(enter)
    if enter.isAccepted():
        target.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, held))


def test_a_selection_dropped_on_a_chip_gets_its_class(gallery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dragged: list[QMimeData] = []

    class Drag:
        def __init__(self, *_: Any) -> None: ...
        def setMimeData(self, data: QMimeData) -> None:  # noqa: N802
            dragged.append(data)

        def setPixmap(self, _: Any) -> None: ...  # noqa: N802
        def exec(self, *_: Any) -> None:
            drop(gallery.chips.chips["monocyte"], dragged[0])

    monkeypatch.setattr("leukoscope.ui.gallery.grid.QDrag", Drag)
    order, port = cells(gallery), gallery.grid.viewport()
    choose(gallery, order[0], order[3])
    start = center(gallery, order[3])
    QTest.mousePress(port, Qt.MouseButton.LeftButton, pos=start)
    for step in (QPoint(6, 6), QPoint(40, 5)):  # QTest's moves hold no button
        at, left, held = QPointF(start + step), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        move = QMouseEvent(QEvent.Type.MouseMove, at, QPointF(port.mapToGlobal(start + step)), left, left, held)
        QApplication.sendEvent(port, move)
    assert bytes(dragged[0].data(MIME)).decode() == f"{order[0]},{order[3]}"
    assert {label(gallery, order[0]), label(gallery, order[3])} == {"monocyte"}
    assert len(gallery.session.case.events) == 1


def test_other_drops_are_refused(gallery: Any) -> None:
    data = QMimeData()
    data.setText("blast")
    assert not data.hasFormat(MIME)
    drop(gallery.chips.chips["monocyte"], data)
    assert gallery.session.case.events == ()


def test_our_keys_are_claimed_only_here(gallery: Any) -> None:
    assert claims(gallery.grid, Qt.Key.Key_B)
    assert claims(gallery.grid, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not claims(gallery.grid, Qt.Key.Key_3)
    assert not claims(gallery.grid, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)


def test_enter_confirms_what_is_selected(gallery: Any, notes: list[str]) -> None:
    before = label(gallery, 3)
    choose(gallery, 3)
    QTest.keyClick(gallery.grid, Qt.Key.Key_Return)
    assert label(gallery, 3) == before
    assert gallery.session.cells.features["source"][2] == "reviewer"
    choose(gallery)
    QTest.keyClick(gallery.grid, Qt.Key.Key_Enter)
    assert "No cell is meant" in notes[-1]


def test_undo_says_where_there_is_nothing_to_take_back(gallery: Any, notes: list[str]) -> None:
    QTest.keyClick(gallery.grid, "Z", Qt.KeyboardModifier.ControlModifier)
    assert "no correction to take back" in notes[-1]
    show_counts(gallery.session.viewer).redo.click()
    assert "No correction was taken back" in notes[-1]


def test_choosing_an_order_gives_the_keys_back_to_the_thumbnails(gallery: Any) -> None:
    # typed into the box, the key of a class would choose another order
    for chosen_or_typed in (lambda: gallery.controls.sort.activated.emit(0), gallery.controls.ids.returnPressed.emit):
        gallery.controls.ids.setFocus()
        chosen_or_typed()
        assert gallery.focusWidget() is gallery.grid
    assert not gallery.controls.by_class.focusPolicy() & Qt.FocusPolicy.ClickFocus
