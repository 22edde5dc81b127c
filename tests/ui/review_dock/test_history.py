"""The log of the case, newest first."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt


@pytest.fixture
def history(dock: Any) -> Any:
    dock.show_tab(dock.history)
    dock.history.compute()
    return dock.history


def texts(history: Any, row: int) -> list[str]:
    return [history.model.data(history.model.index(row, column)) for column in range(history.model.columnCount())]


def test_events_stand_there_newest_first(history: Any, session: Any, qtbot: Any) -> None:
    was = session.case.labels([3])[3]
    session.relabel([3], "smudge")
    session.relabel([4, 5], "blast")
    qtbot.waitUntil(lambda: history.model.rowCount() == 2)
    assert texts(history, 0)[2:4] == ["relabel", "2"]
    name = session.case.taxonomy.name
    assert texts(history, 1)[2:] == ["relabel", "1", f"{name(was)} → {name('smudge')}"]
    session.confirm([3])
    qtbot.waitUntil(lambda: history.model.rowCount() == 3)
    assert texts(history, 0)[4] == f"✓ {name('smudge')}"
    session.undo()
    session.undo()
    qtbot.waitUntil(lambda: history.model.rowCount() == 5)
    assert texts(history, 0)[2:4] == ["undo", "2"]
    struck = [history.model.data(history.model.index(row, 0), Qt.ItemDataRole.FontRole) for row in range(5)]
    assert [font is not None and font.strikeOut() for font in struck] == [False, False, True, True, False]


def test_a_click_selects_the_cells_of_an_event(history: Any, session: Any) -> None:
    session.relabel([3], "smudge")
    session.relabel([4, 5], "blast")
    session.undo()
    history.compute()
    for row, rows in ((0, {3, 4}), (1, {3, 4}), (2, {2})):
        history.table.clicked.emit(history.model.index(row, 0))
        assert set(session.cells.selected_data) == rows


def test_rows_in_sight_stay_when_the_log_grows(history: Any, session: Any, qtbot: Any) -> None:
    session.relabel([3], "smudge")
    history.compute()
    with qtbot.assertNotEmitted(history.model.modelReset), qtbot.waitSignal(history.model.rowsInserted):
        session.relabel([4], "smudge")
