"""The Counts dock shows the case's differential as it is, whatever the profile, and writes it to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from leukoscope.hematology import cells_to_decide, differential
from leukoscope.ui import session_of
from leukoscope.ui.commands import show_counts
from leukoscope.ui.counts_table import CountsModel
from leukoscope.ui.export import ExportDialog, export
from leukoscope.ui.interval_bar import IntervalBar

from .conftest import close_for_good


@pytest.fixture
def counts(viewer: Any, case_dir: Path) -> Any:
    session_of(viewer).open(case_dir)
    return show_counts(viewer)


def test_the_blasts_stand_there_with_their_interval_and_verdict(counts: Any) -> None:
    expected = session_of(counts.session.viewer).case.differential("blood")
    low, high = expected.blast_interval()
    assert counts.percent.text() == f"{expected.blast_percent:.1f} %"
    assert f"{low:.1f}–{high:.1f}" in counts.interval.text()
    assert counts.verdict.text() == expected.verdict
    assert counts.bar.scale_end >= high


def test_it_says_how_many_more_to_count_while_that_is_open(counts: Any) -> None:
    found = counts.differential
    marks = [threshold.percent for threshold in found.profile.thresholds]
    more = cells_to_decide(found.blasts, found.denominator, marks, min_cells=found.profile.min_cells)
    assert f"Count about {more:,} more" in counts.decide.text()
    assert more >= found.profile.min_cells - found.denominator
    counts._show(differential({"blast": 900, "lymphocyte": 100}, "blood"))
    assert counts.decide.text() == ""
    counts._show(differential({"blast": 50, "lymphocyte": 200}, "blood"))
    assert "does not decide" in counts.decide.text()


def test_the_profile_changes_the_denominator(counts: Any) -> None:
    session = counts.session
    session.relabel([1, 2], "erythroblast")
    counts.profile.setCurrentText("blood")
    in_blood = counts.differential.denominator
    assert "erythroblast" in counts.ledger.text()
    counts.profile.setCurrentText("marrow")
    assert counts.differential.denominator == in_blood + 2
    assert "erythroblast" not in counts.ledger.text()


def test_it_is_empty_without_a_case(viewer: Any) -> None:
    dock = show_counts(viewer)
    assert dock.percent.text() == "–"
    assert dock.model.rowCount() == 0
    assert not dock.export.isEnabled()
    assert not dock.undo.isEnabled()


def test_a_dock_that_is_closed_no_longer_listens(viewer: Any, session: Any, qapp: Any) -> None:
    dock = show_counts(viewer)
    assert dock.refresh in session.relabeled
    close_for_good(viewer, dock, qapp)
    assert dock.refresh not in session.relabeled
    assert dock._on_case not in session.case_changed
    session.relabel([1], "blast")


def test_a_row_shows_class_color_key_and_figures(qapp: Any) -> None:
    model = CountsModel()
    model.show_differential(differential({"blast": 30, "lymphocyte": 70, "smudge": 5}, "blood"))
    rows = {row.label: i for i, row in enumerate(model.rows)}
    text = [model.data(model.index(rows["blast"], column)) for column in range(model.columnCount())]
    assert text[:5] == ["B", "Blast", "30", "", "30.0"]
    assert text[5] == "21.2–40.0"  # Clopper-Pearson: 21.24 to 39.98
    assert model.data(model.index(rows["blast"], 1), Qt.ItemDataRole.DecorationRole) == QColor("#e8001c")
    assert model.data(model.index(rows["smudge"], 3)) == "5"
    assert model.data(model.index(rows["smudge"], 4)) == ""
    assert {"monocyte", "artefact"} <= set(rows), "every class with a key is listed"


def test_new_figures_do_not_reset_the_table(qapp: Any, qtbot: Any) -> None:
    model = CountsModel()
    model.show_differential(differential({"blast": 1, "lymphocyte": 1}, "blood"))
    with qtbot.waitSignal(model.dataChanged), qtbot.assertNotEmitted(model.modelReset):
        model.show_differential(differential({"blast": 2, "lymphocyte": 1}, "blood"))


@pytest.mark.parametrize(("percent", "high", "end"), [(1.0, 3.0, 5.0), (22.0, 30.0, 50.0), (90.0, 97.0, 100.0)])
def test_the_scale_of_the_bar_holds_the_interval(qapp: Any, percent: float, high: float, end: float) -> None:
    bar = IntervalBar("#e8001c")
    bar.set_values(percent, 0.5, high)
    assert bar.scale_end == end


def test_the_interval_is_drawn_where_it_is(qapp: Any) -> None:
    bar = IntervalBar("#e8001c")
    bar.resize(400, 46)
    bar.set_values(50.0, 40.0, 60.0, [20.0])
    image = bar.grab().toImage()
    ratio = image.width() / 400

    def red(percent: float) -> bool:
        color = image.pixelColor(int((12 + 376 * percent / 100) * ratio), int(22 * ratio))
        return color.red() > color.green() + 40

    assert [red(p) for p in (35.0, 42.0, 58.0, 65.0)] == [False, True, True, False]


def test_export_says_where_the_files_went(counts: Any, notes: list[str]) -> None:
    case = counts.session.case
    dialog = ExportDialog(case)
    dialog.boxes["report"].setChecked(False)
    export(case, **dialog.chosen())
    assert (case.path / "cells.csv").is_file()
    assert (case.path / "cells.geojson").is_file()
    assert not (case.path / "report.html").exists()
    assert "cells.csv" in notes[-1]
    assert str(case.path) in notes[-1]
    dialog.deleteLater()


def test_without_a_case_it_says_how_to_get_one(viewer: Any) -> None:
    assert "No case is open" in show_counts(viewer).interval.text()


def test_nothing_chosen_is_nothing_to_export(viewer: Any, case_dir: Path) -> None:
    session_of(viewer).open(case_dir)
    dialog = ExportDialog(session_of(viewer).case)
    for box in dialog.boxes.values():
        box.setChecked(False)
    assert not dialog.ok.isEnabled()
    dialog.boxes["pdf"].setChecked(True)
    assert dialog.ok.isEnabled()
