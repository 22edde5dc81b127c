"""From the slide in the viewer to a case: the Analyze widget with the real pipeline."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QMessageBox

from leukoscope.errors import CaseError, SettingsError
from leukoscope.pipeline import run
from leukoscope.ui import session_of
from leukoscope.ui.choices import parse_mpp


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukoscope.pipeline._run.BLOCK_UM", 115)  # four blocks


@pytest.fixture
def widget(viewer: Any, smear: Path, tmp_path: Path) -> Any:
    viewer.open(smear, plugin="leukoscope")
    _, widget = viewer.window.add_plugin_dock_widget("leukoscope", "Analyze")
    widget.choices.segmenter.setCurrentText("watershed")
    widget.choices.model.setCurrentText("none")
    widget.choices.device.setCurrentText("cpu")
    widget.choices.output.setText(str(tmp_path / "out"))
    widget.choices.output.editingFinished.emit()
    return widget


def finish(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: widget.job is None, timeout=60_000)


def test_no_analysis_ends_a_blinded_reading(viewer: Any, widget: Any, case_dir: Path, notes: list[str]) -> None:
    session = session_of(viewer)
    session.open(case_dir)
    session.read_blinded("al", hide_model=True)
    widget.analyze.click()
    assert widget.job is None
    assert "blinded reading is under way" in notes[-1]
    assert session.reading is not None
    session.end_reading()


def test_analyze_makes_a_case_and_shows_it(
    viewer: Any, widget: Any, qtbot: Any, tmp_path: Path, notes: list[str]
) -> None:
    assert widget.analyze.text() == "Analyze"
    assert "from the file" in widget.mpp_source.text()
    widget.analyze.click()
    assert widget.cancel.isEnabled()
    assert not widget.analyze.isEnabled()
    finish(widget, qtbot)
    session = session_of(viewer)
    folder = tmp_path / "out" / "smear.leuko"
    assert session.case.path == folder
    assert session.case.complete
    assert len(session.cells.data) == len(session.case) >= 5
    assert (folder / "cells.csv").is_file()
    assert [layer.name for layer in viewer.layers] == ["smear", "labels", "cells"]
    assert any("leukoscope" in name.lower() and "counts" in name.lower() for name in viewer.window.dock_widgets)
    assert f"{len(session.case)} cells" in notes[-1]
    assert widget.analyze.text() == "Analyze again…"
    assert not widget.cancel.isEnabled()


def test_cells_appear_while_it_runs_and_cancel_keeps_them(
    viewer: Any, widget: Any, qtbot: Any, tmp_path: Path, case_dir: Path
) -> None:
    gate = threading.Semaphore(0)

    def slowly(**arguments: Any) -> Any:
        stream = run(**arguments, workers=1)
        try:
            for event in stream:
                yield event
                gate.acquire(timeout=30)
        finally:
            stream.close()

    arguments = {"slide": widget.slide.address, "out": tmp_path / "out", "segmenter": "watershed", "model": None}
    widget.run(arguments, stream=slowly)
    session = session_of(viewer)
    gate.release(2)
    qtbot.waitUntil(lambda: session.cells is not None and len(session.cells.data) > 0, timeout=30_000)
    qtbot.waitUntil(lambda: widget.progress.value() >= 1)
    shown = len(session.cells.data)
    assert widget.progress.maximum() == 4
    assert 1 <= widget.progress.value() < 4
    assert "cells" in widget.status.text()
    with pytest.raises(CaseError, match="an analysis is running"):
        session.open(case_dir)
    widget.cancel.click()
    gate.release(50)
    finish(widget, qtbot)
    assert len(session.case) >= shown
    assert not session.case.complete
    assert "canceled" in session.case.status
    assert "Canceled" in widget.status.text()
    assert widget.analyze.text() == "Continue"
    kept = session.case.cells
    widget.analyze.click()
    finish(widget, qtbot)
    assert session.case.complete
    assert list(session.case.cells["x"][: len(kept)]) == list(kept["x"])


def test_analyzing_again_asks_and_keeps_a_reviewers_label(
    viewer: Any, widget: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    widget.analyze.click()
    finish(widget, qtbot)
    session = session_of(viewer)
    session.relabel([2], "blast")
    asked: list[str] = []

    def answer(reply: QMessageBox.StandardButton) -> Any:
        return lambda parent, title, text: asked.append(text) or reply

    monkeypatch.setattr(QMessageBox, "question", answer(QMessageBox.StandardButton.No))
    widget.analyze.click()
    assert widget.job is None
    assert "1 labels" in asked[0]
    monkeypatch.setattr(QMessageBox, "question", answer(QMessageBox.StandardButton.Yes))
    widget.analyze.click()
    finish(widget, qtbot)
    assert len(session.case.runs) == 2
    assert list(session.cells.features["label"]).count("blast") == 1
    assert "1 reviewed labels carried over" in notes[-1]


def test_a_case_that_exists_is_offered_and_opens_without_analyzing(
    viewer: Any, widget: Any, qtbot: Any, case_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget.choices.output.setText(str(case_dir.parent))
    widget.choices.output.editingFinished.emit()
    assert "This slide has a case" in widget.existing.text()
    monkeypatch.setattr("leukoscope.ui.analyze.AnalysisJob", None)
    widget.open.click()
    session = session_of(viewer)
    assert session.case.path == case_dir
    assert len(session.cells.data) == len(session.case)
    assert len([layer for layer in viewer.layers if layer.name.startswith("smear")]) == 1, (
        "the slide is not opened twice"
    )


@pytest.mark.parametrize("text", ["abc", "-1", "0", "25"])
def test_an_impossible_scale_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="between"):
        parse_mpp(text)


def test_a_scale_may_be_typed_with_a_comma_and_moves_all_layers(viewer: Any, widget: Any, qtbot: Any) -> None:
    widget.choices.mpp.setText("0,26")
    widget.analyze.click()
    finish(widget, qtbot)
    assert session_of(viewer).case.mpp == 0.26
    assert all(tuple(layer.scale) == (0.26, 0.26) for layer in viewer.layers)


def test_an_error_is_one_notification_and_the_case_before_comes_back(
    viewer: Any, widget: Any, qtbot: Any, case_dir: Path, notes: list[str]
) -> None:
    session = session_of(viewer)
    session.open(case_dir)
    notes.clear()

    def fails(**_: Any) -> Any:
        raise CaseError("the disk is full", "Free some space", "case.sqlite")
        yield

    widget._previous = case_dir
    session.close_case()
    widget.run({}, stream=fails)
    finish(widget, qtbot)
    assert notes == ["case.sqlite: the disk is full. Free some space"] or notes[0].startswith("case.sqlite: the disk")
    assert len(notes) == 1
    assert session.case.path == case_dir
    assert widget.analyze.isEnabled()


def test_a_model_that_does_not_exist_is_named_and_nothing_is_left(
    viewer: Any, widget: Any, qtbot: Any, tmp_path: Path, notes: list[str]
) -> None:
    widget.choices.model.setCurrentText("no-such-model")
    widget.analyze.click()
    finish(widget, qtbot)
    assert "no-such-model" in notes[-1]
    assert "\n" not in notes[-1]
    assert not list((tmp_path / "out").glob("*.leuko"))


def test_without_a_slide_there_is_nothing_to_press(viewer: Any) -> None:
    _, widget = viewer.window.add_plugin_dock_widget("leukoscope", "Analyze")
    assert widget.slide is None
    assert not widget.analyze.isEnabled()
    assert "Open a slide" in widget.mpp_source.text()


def test_a_case_that_is_shown_is_not_offered_again(viewer: Any, widget: Any, case_dir: Path) -> None:
    widget.choices.output.setText(str(case_dir.parent))
    widget.choices.output.editingFinished.emit()
    assert not widget.open.isHidden()
    widget.open.click()
    assert widget.open.isHidden(), "it is open"
    session_of(viewer).close_case()
    assert not widget.open.isHidden(), "it follows the case"
    assert str(case_dir.parent) in widget.choices.output.toolTip(), "which may be longer than the field"
