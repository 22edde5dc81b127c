"""The Review dock: regions, map and sample follow the case, and what is done there is done to the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from leukoscope.hematology import density_map
from leukoscope.ui import session_of
from leukoscope.ui.commands import show_review
from leukoscope.ui.review_dock.density_layer import density_layer
from leukoscope.ui.review_dock.places import counted_cells, square_name


@pytest.fixture
def session(viewer: Any, case_dir: Path) -> Any:
    session = session_of(viewer)
    session.open(case_dir)
    return session


@pytest.fixture
def dock(viewer: Any, session: Any) -> Any:
    """The dock, in a window of its own: those of the tests' viewers stay hidden."""
    dock = show_review(viewer)
    window = dock.parent()
    window.setFloating(True)
    window.resize(520, 760)
    window.show()
    QApplication.processEvents()
    return dock


def test_it_opens_without_a_case(viewer: Any) -> None:
    dock = show_review(viewer)
    for tab in dock.all:
        dock.show_tab(tab)
        tab.compute()
    assert not dock.sample.draw_button.isEnabled()


def test_a_dock_that_is_closed_no_longer_listens(viewer: Any, session: Any, qapp: Any) -> None:
    dock = show_review(viewer)
    assert dock._on_change in session.logged
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    qapp.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
    qapp.processEvents()
    assert dock._on_change not in session.logged
    session.relabel([1], "blast")
    viewer.layers.remove(session.overlay)


# -- regions ------------------------------------------------------------------------------------------------------


def test_regions_add_up_to_the_count(dock: Any, session: Any) -> None:
    dock.show_tab(dock.regions)
    dock.regions.compute()
    counts = session.case.differential()
    rows = dock.regions.model.rows
    assert sum(int(row[1]) for row in rows) == counts.denominator
    assert sum(int(row[2]) for row in rows) == counts.blasts
    assert "chance" in dock.regions.dispersion.text()


def test_one_square_leaves_nothing_to_compare(dock: Any) -> None:
    dock.show_tab(dock.regions)
    dock.regions.side.setValue(5.0)
    dock.regions.compute()
    assert len(dock.regions.model.rows) == 1
    assert "one square" in dock.regions.dispersion.text()


def test_a_region_that_drives_the_count_is_named_and_found(viewer: Any, dock: Any, session: Any) -> None:
    cells = session.case.cells
    left = list(cells["cell_id"][cells["x"] < cells["x"].median()])
    session.relabel(left, "blast")
    session.relabel(sorted(set(cells["cell_id"]) - set(left)), "lymphocyte")
    dock.show_tab(dock.regions)
    dock.regions.side.setValue(0.11)
    dock.regions.compute()
    assert dock.regions.regions.dispersion.p < 1
    row = next(i for i, text in enumerate(dock.regions.model.rows) if int(text[2]))
    dock.regions.table.clicked.emit(dock.regions.model.index(row, 0))
    center = np.asarray(viewer.scene.camera.center)[-2:] / 0.25
    assert (np.abs(cells[["y", "x"]].to_numpy() - center).max(axis=1) <= 440).any()


def test_squares_are_named_as_on_a_chessboard() -> None:
    assert [square_name(*at) for at in ((0, 0), (1, 2), (25, 9), (26, 0))] == ["A1", "B3", "Z10", "AA1"]


def test_the_map_lies_where_the_cells_are_and_goes_when_switched_off(viewer: Any, dock: Any, session: Any) -> None:
    dock.show_tab(dock.regions)
    dock.regions.kind.setCurrentIndex(dock.regions.kind.findData("per_mm2"))
    QTest.mouseClick(dock.regions.map, Qt.MouseButton.LeftButton, pos=dock.regions.map.rect().center() * 0.1)
    dock.regions.map.setChecked(True)
    layer = density_layer(session)
    case = session.case
    table = case.cells
    inside = table["label"] != "smudge"
    blasts = (table["label"] == "blast")[inside]
    expected = density_map(table["x_um"][inside], table["y_um"][inside], blasts)
    row, column = (round(at / 50) for at in np.subtract(np.add(layer.translate, 0.125), expected.origin))
    height, width = layer.data.shape
    assert (height, width) == (5, 5), "what lies beside the slide of 225 µm is cut off"
    np.testing.assert_allclose(layer.data, expected.per_mm2[row : row + height, column : column + width])
    densest = np.unravel_index(np.argmax(layer.data), layer.data.shape)
    at = np.asarray(layer.data_to_world(densest))
    middle = np.median(table[["y_um", "x_um"]].to_numpy(), axis=0)
    assert np.abs(at - middle).max() < 150
    assert viewer.layers.selection.active is session.cells
    before = np.nanmax(layer.data)
    session.relabel([1, 2, 3, 4], "smudge")
    dock.regions.compute()
    assert np.nanmax(density_layer(session).data) < before
    dock.regions.map.setChecked(False)
    assert density_layer(session) is None


def test_a_map_that_is_deleted_or_left_behind_is_switched_off(viewer: Any, dock: Any, session: Any) -> None:
    dock.show_tab(dock.regions)
    dock.regions.map.setChecked(True)
    viewer.layers.remove(density_layer(session))
    assert not dock.regions.map.isChecked()
    dock.regions.map.setChecked(True)
    session.close_case()
    assert density_layer(session) is None
    assert not dock.regions.map.isChecked()


def test_counted_cells_are_those_of_the_profile(session: Any) -> None:
    session.relabel([1, 2], "erythroblast")
    for name in ("blood", "marrow"):
        counts = session.case.differential(name)
        cells = counted_cells(session, counts.profile)
        assert (len(cells.x), int(cells.is_blast.sum())) == (counts.denominator, counts.blasts)


# -- sample -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sample(dock: Any) -> Any:
    dock.show_tab(dock.sample)
    dock.sample.number.setValue(6)
    dock.sample.seed.setValue(7)
    dock.sample.draw_button.click()
    return dock.sample


def test_a_sample_is_drawn_and_begins_at_its_first_cell(viewer: Any, sample: Any, session: Any) -> None:
    drawn = session.case.sample
    assert (len(drawn.cells), drawn.seed) == (6, 7)
    assert sample.stepper.current == drawn.cells[0]
    assert set(session.cells.selected_data) == {drawn.cells[0] - 1}
    np.testing.assert_allclose(
        np.asarray(viewer.scene.camera.center)[-2:],
        session.cells.data_to_world(session.cells.data[drawn.cells[0] - 1]),
    )
    assert sample.progress.text() == "0 of 6 reviewed"
    assert "Nothing reviewed" in sample.verdict.text()


def test_enter_confirms_and_a_class_key_corrects_the_cell_at_hand(viewer: Any, sample: Any, session: Any) -> None:
    cells = session.case.sample.cells
    before = session.case.labels(cells)
    viewer.cursor.position = session.cells.data_to_world(session.cells.data[cells[3] - 1])  # the mouse is elsewhere
    QTest.keyClick(sample.stepper, Qt.Key.Key_Return)
    assert sample.stepper.current == cells[1]
    QTest.keyClick(sample.stepper, "R")
    assert sample.stepper.current == cells[2]
    after = session.case.sample.labels
    assert after == {cells[0]: before[cells[0]], cells[1]: "erythroblast"}
    assert sample.progress.text() == "2 of 6 reviewed"
    QTest.keyClick(sample.stepper, Qt.Key.Key_Left)
    assert sample.stepper.current == cells[1]
    QTest.keyClick(sample.stepper, "Z", Qt.KeyboardModifier.ControlModifier)
    assert session.case.sample.reviewed == (cells[0],)


def test_the_corrected_percentage_is_the_cases(sample: Any, session: Any) -> None:
    for cell in session.case.sample.cells[:4]:
        session.confirm([cell])
    found = session.case.prevalence
    low, high = found.patient_interval()
    assert f"{low:.1f}–{high:.1f}" in sample.texts["patient"].text()
    assert f"{low:.1f}–{high:.1f}" in sample.verdict.text()
    assert "too few cells" in sample.verdict.text()
    alone = session.case.count(session.case.sample.population)
    assert sample.texts["model"].text().startswith(f"{alone.blast_percent:.1f} %")
    assert len({bar.scale_end for bar in sample.bars.values()}) == 1
    assert "4 reviewed in order, 0 called wrongly" in sample.more.text()


def test_what_is_reviewed_out_of_order_is_said(sample: Any, session: Any) -> None:
    session.confirm([session.case.sample.cells[3]])
    assert "1 reviewed out of order" in sample.more.text()


def test_a_sample_that_is_too_large_is_refused_in_one_line(dock: Any, notes: list[str], session: Any) -> None:
    dock.sample.number.setValue(5000)
    dock.sample.draw_button.click()
    assert "cannot be drawn" in notes[-1]
    assert session.case.sample is None


def test_number_and_seed_are_there_again(viewer: Any, sample: Any, session: Any, case_dir: Path) -> None:
    session.close_case()
    session.open(case_dir)
    assert (sample.number.value(), sample.seed.value()) == (6, 7)
    sample.stepper.next()
    assert sample.stepper.current == session.case.sample.remaining[0]
