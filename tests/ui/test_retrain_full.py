"""What the Retrain dock draws and says of a full retraining, and of many cases."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from qtpy.QtWidgets import QApplication

from leukoscope.ui.commands import show_retrain
from leukoscope.ui.retrain_dock import widget as docked
from leukotrain.retrain import CaseChange, RetrainProgress
from leukotrain.retraining.told import Stage
from leukotrain.settings import CanceledError

from .conftest import in_own_window


@pytest.fixture
def dock(viewer: Any, session: Any, tmp_path: Path) -> Any:
    dock = in_own_window(show_retrain(viewer), 560, 800)
    dock.choices.folder.setText(str(tmp_path / "models"))
    dock.choices.mode.setCurrentIndex(dock.choices.mode.findData("full"))
    return dock


def test_a_cancel_says_what_is_kept(dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def perform(wish: Any, ready: Any, plan: Any, overrule: str, report: Any, canceled: Any) -> Any:
        while not canceled():
            threading.Event().wait(0.01)
        raise CanceledError("retraining was stopped", "Start it again.")

    monkeypatch.setattr(docked, "perform", perform)
    dock.start()
    assert dock.fit.along == "steps; dots: cells left out"
    dock.cancel.click()
    qtbot.waitUntil(lambda: dock.job is None)
    assert "Finished epochs are kept" in dock.status.text()


def test_an_epochs_mean_is_no_step(dock: Any) -> None:
    for step, loss, left_out in ((1, 2.0, None), (2, 1.5, None), (2, 1.75, 0.9)):
        dock._on_advanced([(step, 4, RetrainProgress(Stage.FIT, step, 4, loss=loss, left_out=left_out))])
    assert dock.fit.lines == [[(1, 2.0), (2, 1.5)]]
    assert dock.fit.marks == [(2, 0.9)]


def test_many_other_cases_are_scrolled_a_line_each(dock: Any, session: Any, tmp_path: Path) -> None:
    paths = [session.whole.path, *(tmp_path / f"{i}.leuko" for i in range(30))]
    changes = [CaseChange(path.name, 12, (), "as before", "as before") for path in paths]
    plan = SimpleNamespace(every=[SimpleNamespace(path=path) for path in paths])
    dock.flips.show_outcome(SimpleNamespace(plan=plan, gate=SimpleNamespace(changes=changes)))
    dock.tabs.setCurrentWidget(dock.flips)
    QApplication.processEvents()
    assert len(dock.flips.others.text().splitlines()) == 30
    assert dock.flips.others.height() >= 30 * dock.flips.others.fontMetrics().height()  # none is cut
    assert dock.flips.rest.height() < 200
    assert dock.flips.rest.verticalScrollBar().maximum() > 0
