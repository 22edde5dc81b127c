"""A day that the slide's file proposes is marked in the series, until somebody sets the day of the smear."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from qtpy.QtCore import QDate, Qt

from ..conftest import drawn_case
from .test_series import say_scanned


def test_a_scan_is_marked_until_the_day_is_set(dock: Any, smear: Path, tmp_path: Path) -> None:
    slide = Path(shutil.copy(smear, tmp_path / "scanned.ome.tiff"))
    say_scanned(slide)
    series = dock.series
    series.add(drawn_case(slide, tmp_path / "scanned.leuko", model="drawn"))
    day = series.model.index(0, 0)

    def told() -> str:
        return str(series.model.data(day, Qt.ItemDataRole.ToolTipRole))

    assert series.model.rows[0][0] == "2024-02-01 (scan)"
    assert told().startswith("Proposed: the day on which the slide was scanned. Double-click")
    assert series.model.data(day, Qt.ItemDataRole.EditRole) == QDate(2024, 2, 1)  # where the editor begins
    assert series.model.setData(day, QDate(2024, 1, 30))
    assert series.model.rows[0][0] == "2024-01-30"
    assert "Proposed" not in told()
