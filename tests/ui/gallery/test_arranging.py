"""The Cells dock shows cells in the order, under the filters and at the size asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from leukoscope.classification.taxonomy import TAXONOMY

from .conftest import cells, choose


def test_chips_filter_by_class_one_or_several(gallery: Any) -> None:
    table = gallery.session.case.cells
    chips, left = gallery.chips.chips, Qt.MouseButton.LeftButton
    of = {name: set(table["cell_id"][table["label"] == name]) for name in set(table["label"])}
    QTest.mouseClick(chips["blast"], left)
    assert set(cells(gallery)) == of["blast"]
    QTest.mouseClick(chips["lymphocyte"], left)
    assert set(cells(gallery)) == of["lymphocyte"]
    QTest.mouseClick(chips["lymphocyte"], left)
    assert len(cells(gallery)) == len(table), "a second click shows all"
    assert {name: chip.count for name, chip in chips.items() if chip.count} == {n: len(ids) for n, ids in of.items()}
    assert list(chips)[: len(TAXONOMY.by_key())] == list(TAXONOMY.by_key().values())


def test_filters_by_review_probability_and_id(gallery: Any, qtbot: Any) -> None:
    gallery.session.relabel([4], "blast")
    gallery.controls.reviewed.setCurrentIndex(2)
    assert cells(gallery) == [4]
    gallery.controls.reviewed.setCurrentIndex(1)
    assert sorted(cells(gallery)) == [c for c in range(1, len(gallery.session.case) + 1) if c != 4]
    QTest.mouseClick(gallery.all, Qt.MouseButton.LeftButton)
    table = gallery.session.case.cells
    gallery.controls.low.setValue(70)
    wanted = set(table["cell_id"][table["probability"] >= 0.7])
    qtbot.waitUntil(lambda: set(cells(gallery)) == wanted)
    QTest.mouseClick(gallery.all, Qt.MouseButton.LeftButton)
    gallery.controls.ids.setText("2, 5 - 7")
    qtbot.waitUntil(lambda: sorted(cells(gallery)) == [2, 5, 6, 7])
    gallery.controls.ids.setText("five")
    qtbot.waitUntil(lambda: len(cells(gallery)) == len(table))
    assert "Not ids" in gallery.controls.ids.toolTip()


@pytest.mark.parametrize(
    ("order", "column", "largest_first"),
    [("uncertainty", "entropy", True), ("probability", "probability", False), ("size", "area_um2", True)],
)
def test_orders(gallery: Any, order: str, column: str, largest_first: bool) -> None:
    gallery.controls.by_class.setChecked(False)
    gallery.controls.sort.setCurrentIndex(gallery.controls.sort.findData(order))
    values = gallery.session.case.cells[column].to_numpy()[np.array(cells(gallery)) - 1]
    assert (np.diff(values) <= 0).all() if largest_first else (np.diff(values) >= 0).all()
    gallery.controls.backward.setChecked(True)
    values = gallery.session.case.cells[column].to_numpy()[np.array(cells(gallery)) - 1]
    assert (np.diff(values) >= 0).all() if largest_first else (np.diff(values) <= 0).all()
    gallery.controls.by_class.setChecked(True)
    codes = gallery.model.table.codes[gallery.model.order]
    assert (np.diff(codes) >= 0).all()


def test_another_order_begins_at_the_top_sorting_again_stays_where_it_was(gallery: Any) -> None:
    gallery.controls.zoom.setValue(256)
    bar = gallery.grid.verticalScrollBar()
    bar.setValue(bar.maximum())
    gallery.session.relabel([1], "smudge")
    QTest.mouseClick(gallery.refresh, Qt.MouseButton.LeftButton)
    assert bar.value() == bar.maximum() > 0
    gallery.controls.backward.setChecked(True)
    assert bar.value() == 0
    first = cells(gallery)[0]
    choose(gallery, first)
    gallery.controls.backward.setChecked(False)
    (place,) = gallery.model.places([first])
    assert place in gallery.grid.items_in_sight(), "a selected cell is followed"


def test_what_could_flip_the_verdict_comes_first_and_reviewed_cells_last(gallery: Any) -> None:
    from leukoscope.hematology.decide import flip_order

    gallery.controls.by_class.setChecked(False)
    gallery.session.relabel([3], "blast")
    gallery.controls.sort.setCurrentIndex(gallery.controls.sort.findData("verdict"))
    case, table = gallery.session.case, gallery.session.case.cells
    proba = table[[f"p_{name}" for name in case.settings.classes]].to_numpy()
    reviewed = (table["source"] == "reviewer").to_numpy()
    order = flip_order(proba, table["label"], case.settings.classes, case.settings.profile, reviewed=reviewed)
    gallery.arrange()
    assert cells(gallery) == (order + 1).tolist()
    assert cells(gallery)[-1] == 3


def test_ctrl_wheel_and_slider_zoom_and_the_top_stays(gallery: Any, qtbot: Any) -> None:
    grid = gallery.grid
    wheel = QWheelEvent(
        QPointF(50, 50),
        QPointF(50, 50),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.ControlModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    before = gallery.cards.side
    QApplication.sendEvent(grid.viewport(), wheel)
    assert gallery.cards.side > before
    gallery.controls.zoom.setValue(256)
    grid.verticalScrollBar().setValue(2 * gallery.cards.pitch.height())
    top = grid.items_in_sight().start
    gallery.controls.zoom.setValue(250)
    assert grid.items_in_sight().start == top // grid.columns * grid.columns
    seen = cells(gallery)[top]
    qtbot.waitUntil(lambda: gallery.thumbnails.get(seen)[1] is not None)
    _, image = gallery.thumbnails.get(seen)
    assert image.width() >= 90, "24 µm at 0.25 µm per pixel: what the slide has"


def test_size_and_order_are_remembered(gallery: Any, kept: dict[str, Any], qtbot: Any) -> None:
    gallery.controls.zoom.setValue(140)
    gallery.controls.sort.setCurrentIndex(gallery.controls.sort.findData("size"))
    qtbot.waitUntil(lambda: kept == {"thumbnail": 140, "sort": "size", "by_class": True}, timeout=3000)


def test_a_filter_that_nothing_passes_says_so(gallery: Any) -> None:
    QTest.mouseClick(gallery.chips.chips["basophil"], Qt.MouseButton.LeftButton)
    assert gallery.model.rowCount() == 0
    assert "No cell passes" in gallery.grid.message
    assert gallery.all.isEnabled()
