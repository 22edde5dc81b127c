"""Our docks in napari's window: one of each, in front when asked for, and no window that outgrows the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from npe2 import PluginManifest
from qtpy.QtCore import QSize
from qtpy.QtTest import QTest

from leukoscope.ui import session_of
from leukoscope.ui.commands import show_counts
from leukoscope.ui.docks import DOCKS, open_dock, tabify_if_tight
from leukoscope.ui.marks import HOLDS, marked


def test_every_dock_of_the_manifest_can_be_opened() -> None:
    manifest = PluginManifest.from_distribution("leukoscope")
    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    assert {
        widget.display_name: commands[widget.command].removeprefix("leukoscope.ui.")
        for widget in manifest.contributions.widgets
    } == DOCKS


def test_the_menu_and_we_mean_the_same_dock(viewer: Any) -> None:
    from napari._qt._qplugins._qnpe2 import _toggle_or_get_widget

    counts = show_counts(viewer)
    assert show_counts(viewer) is counts
    (title,) = viewer.window.dock_widgets
    assert title == "Counts (Leukoscope)", "as napari's menu calls it"
    assert _toggle_or_get_widget("leukoscope", "Counts", title) is None, "the menu makes no second one"
    counts.parent().hide()
    show_counts(viewer)
    assert not counts.parent().isHidden()


@pytest.mark.parametrize(("height", "tabs"), [(800, True), (3000, False)])
def test_a_dock_without_room_below_the_others_becomes_a_tab(viewer: Any, height: int, tabs: bool) -> None:
    analyze, counts = open_dock(viewer, "Analyze"), open_dock(viewer, "Counts")
    assert tabify_if_tight(counts, height) is tabs
    window = viewer.window._qt_window
    assert (analyze.parent() in window.tabifiedDockWidgets(counts.parent())) is tabs


def test_a_small_window_keeps_its_height_and_what_is_in_front_stays_there(viewer: Any) -> None:
    window = viewer.window._qt_window
    window.resize(1280, 800)
    window.show()
    QTest.qWait(100)
    try:
        analyze, counts = open_dock(viewer, "Analyze"), open_dock(viewer, "Counts", front=False)
        QTest.qWait(200)
        assert analyze.parent() in window.tabifiedDockWidgets(counts.parent())
        assert counts.visibleRegion().isEmpty(), "behind Analyze"
        open_dock(viewer, "Counts")
        QTest.qWait(50)
        assert not counts.visibleRegion().isEmpty()
        assert window.height() == 800
    finally:
        window.hide()


def test_a_bar_marks_a_text_which_keeps_the_themes_color(viewer: Any, case_dir: Path) -> None:
    session = session_of(viewer)
    session.open(case_dir)
    counts = show_counts(viewer)
    assert counts.case_name.styleSheet() == ""
    for cell, label in session.case.labels(session.case.ids).items():
        session.case.relabel([cell], label, reviewer="mk")
    session.case.sign("mk")
    assert "✓ signed by mk" in counts.case_name.text()
    assert counts.case_name.styleSheet() == marked(HOLDS)
    assert " color:" not in marked(HOLDS)


def test_a_dock_is_not_taller_than_a_small_screen(viewer: Any, case_dir: Path) -> None:
    session_of(viewer).open(case_dir)
    for name in DOCKS:
        size: QSize = open_dock(viewer, name).minimumSizeHint()
        assert size.height() < 700, name
