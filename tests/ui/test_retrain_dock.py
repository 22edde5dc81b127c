"""The Retrain dock: what cases hold, a retraining with its curve, the gate, who overrules it, what would change."""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from smears import write_ome_tiff

from leukoscope import open_case, open_slide
from leukoscope.classification import load_model
from leukoscope.errors import SettingsError
from leukoscope.pipeline import embed_case
from leukoscope.ui import session_of
from leukoscope.ui.commands import show_gallery, show_retrain
from leukoscope.ui.retrain_dock import widget as docked
from leukoscope.ui.retrain_dock.bench import free_name
from leukoscope.ui.retrain_dock.gate_view import HOLDS
from leukoscope.ui.settings import prefer_model, user_settings
from leukotrain.retraining.gate import Figure, Gate
from leukotrain.settings import CanceledError

from .conftest import MPP, drawn, drawn_case, in_own_window


@pytest.fixture(scope="module")
def made(smear: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two cases whose cells are what was drawn, each confirmed; the shipped model takes the lymphocytes for others."""
    folder, model = tmp_path_factory.mktemp("retrain"), load_model("blood", device="cpu")
    other = write_ome_tiff(folder / "other.ome.tiff", drawn(5).rgb, mpp=MPP, levels=2)
    out = []
    for slide, seed in ((smear, 3), (other, 5)):
        path = folder / f"{slide.name.split('.')[0]}.leuko"
        drawn_case(slide, path, seed, model="blood", model_fingerprint=model.fingerprint)
        with open_case(path) as case, open_slide(slide) as pixels:
            case.confirm(case.ids, "mk")
            embed_case(case, pixels, "cpu")  # copies of the case have it, too
        out.append(path)
    return tuple(out)


@pytest.fixture
def cases(made: tuple[Path, ...], tmp_path: Path) -> list[Path]:
    return [Path(shutil.copytree(path, tmp_path / "cases" / path.name)) for path in made]


@pytest.fixture
def session(viewer: Any, cases: list[Path]) -> Any:
    session = session_of(viewer)
    session.open(cases[0])
    return session


@pytest.fixture
def dock(viewer: Any, session: Any, tmp_path: Path) -> Any:
    dock = in_own_window(show_retrain(viewer), 560, 800)
    dock.choices.folder.setText(str(tmp_path / "models"))
    yield dock
    prefer_model(Path("blood"))


def run(dock: Any, qtbot: Any) -> None:
    QTest.mouseClick(dock.retrain, Qt.MouseButton.LeftButton)
    ended(dock, qtbot)


def ended(dock: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: dock.job is None, timeout=120_000)


def test_it_opens_without_a_case(viewer: Any, notes: list[str]) -> None:
    dock = show_retrain(viewer)
    assert "No case chosen yet" in dock.cases.of.text()
    dock.start()
    assert "no case to learn from" in notes[-1]
    dock.cases.add_here()
    assert "No case is open" in notes[-1]


def test_it_says_what_cases_hold(dock: Any, session: Any, cases: list[Path], qtbot: Any, notes: list[str]) -> None:
    (row,) = dock.cases.model.rows
    assert row[:3] == ("smear.leuko", "learn from", "12 of 12")
    assert int(row[3]) + int(row[4]) == 12
    table = session.case.cells
    likeliest = table[[f"p_{c}" for c in session.case.settings.classes]].to_numpy().argmax(1)
    called = np.array(session.case.settings.classes)[likeliest]
    for name, corrected, confirmed in dock.cases.classes.rows:
        same = session.case.taxonomy.name
        mine = [same(label) == name for label in table["label"]]
        kept = sum(m and label == c for m, label, c in zip(mine, table["label"], called, strict=True))
        assert (int(corrected), int(confirmed)) == (sum(mine) - kept, kept)
    dock.cases.add(cases[1])
    assert len(dock.cases.model.rows) == 2
    dock.cases.add(cases[1])
    assert "chosen already" in notes[-1]
    dock.cases.add(cases[1].parent)
    assert len(dock.cases.model.rows) == 2
    dock.cases.table.selectRow(1)
    QTest.mouseClick(dock.cases.lock, Qt.MouseButton.LeftButton)
    assert dock.cases.model.rows[1][1] == "measure on only"
    assert dock.wish().locked == (cases[1],)
    session.relabel([1], "plasma_cell")
    qtbot.waitUntil(lambda: dock.cases.held[cases[0]].by_class.get("plasma_cell") == 1)
    dock.cases.table.selectRow(0)
    assert ("Plasma cell", "1", "0") in dock.cases.classes.rows
    session.open(cases[1])  # the open case goes when another takes its place; one added by hand stays
    assert list(dock.cases.uses) == [cases[1]]


def test_a_new_model_passes_the_gate_and_is_chosen(
    viewer: Any, dock: Any, session: Any, cases: list[Path], qtbot: Any, tmp_path: Path
) -> None:
    _, analyze = viewer.window.add_plugin_dock_widget("leukoscope", "Analyze")
    dock.cases.add(cases[1])
    dock.choices.name.setText("mine")
    run(dock, qtbot)
    outcome = dock.outcome
    assert outcome.gate.passed, outcome.gate.reasons
    assert outcome.folder == tmp_path / "models" / "mine"
    assert "Passed" in dock.gate.verdict.text()
    assert not dock.gate.overruling.isVisible()
    rows = {row[0]: row for row in dock.gate.model.rows}
    figure = next(f for f in outcome.gate.figures if f.name == "macro-F1")
    assert rows["macro-F1"][1].startswith(f"{100 * figure.before[0]:.0f} (")
    color = dock.gate.model.data(dock.gate.model.index(list(rows).index("macro-F1"), 0), Qt.ItemDataRole.DecorationRole)
    assert color.name() == HOLDS
    assert any(name.startswith("recall, ") for name in rows)
    assert "slide by slide" in dock.gate.on.text()
    assert len(dock.search.lines) > 2
    assert all(len(line) == len(dock.search.lines[0]) for line in dock.search.lines)
    assert len(dock.fit.lines[0]) > 1
    assert dock.fit.grab().toImage().width() > 0
    stored = json.loads((outcome.folder / "model.json").read_text())["training"]["retrained"][-1]
    assert stored["cells"] == 24
    assert len(stored["cases"]) == 2
    assert user_settings().model == analyze.choices.model.currentText() == str(outcome.folder)
    assert "Chosen for the next analysis" in dock.status.text()
    assert dock.choices.name.text() == "mine"
    assert load_model(outcome.folder, "cpu").bundle.name == "mine"

    QTest.mouseClick(dock.retrain, Qt.MouseButton.LeftButton)  # once more under the same name
    ended(dock, qtbot)
    assert "a model of that name already" in dock.status.text()


def test_a_refused_model_is_written_for_somebody_who_says_their_name(
    dock: Any, session: Any, qtbot: Any, tmp_path: Path
) -> None:
    run(dock, qtbot)
    assert "Refused, and not written: only 12 cells to measure on" in dock.gate.verdict.text()
    assert "nothing was written" in dock.status.text()
    assert not (tmp_path / "models").exists()
    assert user_settings().model == "blood"
    assert dock.gate.overruling.isVisible()
    assert not dock.gate.overrule.isEnabled()
    dock.gate.name.setText("  ")
    assert not dock.gate.overrule.isEnabled()
    session.relabel([1], "artefact")  # what was refused is written, not another model
    QTest.keyClicks(dock.gate.name, "Dr. Kern")
    QTest.mouseClick(dock.gate.overrule, Qt.MouseButton.LeftButton)
    ended(dock, qtbot)
    folder = tmp_path / "models" / "blood-retrained"
    assert dock.outcome.folder == folder
    assert "overruled by Dr. Kern" in dock.gate.verdict.text()
    stored = json.loads((folder / "model.json").read_text())["training"]["retrained"][-1]
    assert stored["overruled_by"] == "Dr. Kern"
    assert "artefact" not in stored["cases"][0]["labels"] or session.case.labels([1])[1] == "artefact"
    assert dock.choices.name.text() == "blood-retrained-2"


def test_a_row_leads_to_the_cell_that_would_change(
    viewer: Any, dock: Any, session: Any, cases: list[Path], qtbot: Any
) -> None:
    gallery = show_gallery(viewer)
    others = {cell: "basophil" if cell % 2 else "plasma_cell" for cell in session.case.ids}
    for cell, label in others.items():  # what the model has never heard of, so that there is something to change
        session.relabel([cell], label)
    run(dock, qtbot)
    change = dock.outcome.gate.changes[0]
    assert change.flips
    assert [row[0] for row in dock.flips.model.rows] == [str(flip.cell) for flip in change.flips]
    assert f"{len(change.flips)} of 12 cells would change class" in dock.flips.said.text()
    dock.tabs.setCurrentWidget(dock.flips)
    row = len(change.flips) - 1
    cell = change.flips[row].cell
    rect = dock.flips.table.visualRect(dock.flips.model.index(row, 0))
    QTest.mouseClick(dock.flips.table.viewport(), Qt.MouseButton.LeftButton, pos=rect.center())
    assert session.cells.selected_data == {cell - 1}
    goal = session.cells.data_to_world(session.cells.data[cell - 1])
    np.testing.assert_allclose(np.asarray(viewer.scene.camera.center)[-2:], goal)
    assert gallery.model.cells(gallery.grid.chosen()) == [cell]
    dock.flips.gallery.click()
    qtbot.waitUntil(lambda: gallery.model.rowCount() == len(change.flips))
    session.open(cases[1])
    assert "was not compared" in dock.flips.said.text()
    assert dock.flips.model.rows == []


def test_a_case_that_nobody_reviewed_is_told_what_would_change(
    dock: Any, session: Any, cases: list[Path], smear: Path, qtbot: Any, tmp_path: Path
) -> None:
    for cell in session.case.ids:  # what the model has never heard of, so that there is something to change
        session.relabel([cell], "basophil" if cell % 2 else "plasma_cell")
    unseen = drawn_case(smear, tmp_path / "unseen.leuko", model="blood")
    dock.cases.add(unseen)
    run(dock, qtbot)
    plan, changes = dock.outcome.plan, dock.outcome.gate.changes
    assert [case.path for case in plan.cases] == [cases[0]]
    assert [change.case for change in changes] == ["smear.leuko", "unseen.leuko"]
    assert "unseen.leuko" in dock.flips.others.text()
    session.open(unseen)
    assert f"{len(changes[1].flips)} of 12 cells would change class" in dock.flips.said.text()
    assert len(dock.flips.model.rows) == len(changes[1].flips) > 0


def test_the_gate_can_be_read_at_any_width(dock: Any, qtbot: Any) -> None:
    figures = tuple(
        Figure(f"recall, {label}", (0.934, 0.891, 0.972), (0.951, 0.9, 0.98), (0.017, -0.121, 0.14), 1234, True)
        for label in ("blast", "neutrophil_segmented", "erythroblast")
    )
    gate = Gate("cells left out of the fit, slide by slide", 1234, 7, figures)
    dock.gate.show_outcome(SimpleNamespace(gate=gate, folder=Path("new"), overruled_by=""))
    dock.tabs.setCurrentWidget(dock.gate)
    table, window, heights = dock.gate.table, dock.parent(), {}
    for width in (300, 460, 700):
        window.resize(width, 800)
        QApplication.processEvents()
        assert table.horizontalScrollBar().maximum() == 0
        assert sum(table.columnWidth(i) for i in range(5)) <= table.viewport().width()
        words = table.fontMetrics().horizontalAdvance
        for column in range(5):
            longest = max((word for row in dock.gate.model.rows for word in row[column].split(" ")), key=words)
            assert table.columnWidth(column) > words(longest), (width, longest)
        heights[width] = table.rowHeight(1)
    assert heights[300] > heights[700]  # intervals stand below their values, and come up again


def test_a_locked_slide_that_trained_the_model_is_refused(
    dock: Any, session: Any, cases: list[Path], qtbot: Any, notes: list[str], tmp_path: Path
) -> None:
    dock.cases.add(cases[1])
    dock.choices.name.setText("mine")
    run(dock, qtbot)
    dock.choices.model.setCurrentText(str(tmp_path / "models" / "mine"))
    dock.choices.name.setText("again")
    dock.cases.table.selectRow(1)
    QTest.mouseClick(dock.cases.lock, Qt.MouseButton.LeftButton)
    run(dock, qtbot)
    assert "guard 14" in notes[-1]
    assert "guard 14" in dock.status.text()
    assert dock.outcome is None


@pytest.mark.slow
def test_the_whole_network_is_retrained_too(dock: Any, cases: list[Path], qtbot: Any, tmp_path: Path) -> None:
    dock.cases.add(cases[1])
    dock.choices.mode.setCurrentIndex(dock.choices.mode.findData("full"))
    QTest.mouseClick(dock.retrain, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dock.job is None, timeout=280_000)
    assert dock.outcome is not None, dock.status.text()
    assert not dock.search.isVisibleTo(dock)
    assert dock.fit.lines[0]
    assert dock.fit.marks
    written = tmp_path / "models" / "blood-retrained"
    assert written.exists() == (dock.outcome.folder is not None)
    assert written.with_name(".blood-retrained.work").exists() == (dock.outcome.folder is None)


def endless(began: threading.Event) -> Any:
    def perform(wish: Any, ready: Any, plan: Any, overrule: str, report: Any, canceled: Any) -> Any:
        began.set()
        while not canceled():
            threading.Event().wait(0.01)
        raise CanceledError("retraining was stopped", "Start it again.")

    return perform


def test_it_can_be_canceled(
    dock: Any, session: Any, cases: list[Path], qtbot: Any, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    began = threading.Event()
    monkeypatch.setattr(docked, "perform", endless(began))
    QTest.mouseClick(dock.retrain, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(began.is_set)
    assert not dock.retrain.isEnabled()
    assert not dock.choices.isEnabled()
    QTest.mouseClick(dock.cancel, Qt.MouseButton.LeftButton)
    ended(dock, qtbot)
    assert "Canceled; nothing was written" in dock.status.text()
    assert dock.retrain.isEnabled()
    began.clear()
    dock.start()
    qtbot.waitUntil(began.is_set)
    session.open(cases[1])  # the case that is read is closed
    ended(dock, qtbot)
    assert "Canceled" in dock.status.text()
    assert notes == []


def test_without_the_training_package_it_says_what_to_do(
    viewer: Any, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "leukotrain.retraining.reviewed", None)
    dock = show_retrain(viewer)
    assert "training package cannot be loaded" in dock.notice.text()
    assert "pip install 'leukoscope[train]'" in dock.notice.text()
    assert not dock.body.isVisibleTo(dock)


def test_a_blinded_reader_is_told_nothing(dock: Any, session: Any) -> None:
    session.read_blinded("al")
    assert "blinded reading" in dock.notice.text()
    assert not dock.body.isVisible()
    session.end_reading()
    assert dock.body.isVisible()
    session.busy = True
    with pytest.raises(SettingsError, match="an analysis is running"):
        dock.wish()
    session.busy = False


def test_names_are_free(tmp_path: Path) -> None:
    assert free_name(tmp_path, "blood") == "blood-retrained"
    (tmp_path / "blood-retrained").mkdir()
    assert free_name(tmp_path, "blood") == "blood-retrained-2"
    assert free_name(tmp_path, str(tmp_path / "blood-retrained")) == "blood-retrained-2"
