"""A random sample is drawn, reviewed cell by cell, and corrects the model's count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from ..conftest import claims


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


def test_our_keys_are_claimed_only_here(sample: Any) -> None:
    assert claims(sample.stepper, Qt.Key.Key_B)
    assert claims(sample.stepper, Qt.Key.Key_Return)
    assert claims(sample.stepper, Qt.Key.Key_Right)
    assert claims(sample.stepper, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not claims(sample.stepper, Qt.Key.Key_3)
    assert not claims(sample.stepper, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)


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
