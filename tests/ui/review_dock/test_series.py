"""Cases of one patient by date: what has changed, and the day that is proposed where nobody has said it."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path
from typing import Any

import tifffile
from qtpy.QtCore import QDate

from leukoscope import open_case
from leukoscope.hematology import change
from leukoscope.ui.review_dock.series_counts import count_case

from ..conftest import drawn_case


def test_a_series_says_what_has_changed(dock: Any, session: Any, case_dir: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(case_dir, tmp_path / "later.leuko"))
    with open_case(other) as case:
        case.relabel([int(i) for i in case.cells["cell_id"]], "lymphocyte")
        later = case.differential()
    now = session.case.differential()
    dock.show_tab(dock.series)
    series = dock.series
    series._add_here()
    series.add(other)
    assert all(row[0].endswith("(file)") for row in series.model.rows)
    series.model.setData(series.model.index(0, 0), QDate(2024, 5, 1))
    row = next(i for i, count in enumerate(series._rows) if count.path != other)
    series.set_day(row, series._rows[row].day.replace(year=2023, month=2, day=3))
    expected = change((now.blasts, now.denominator), (later.blasts, later.denominator))
    assert [count.path.name for count in series._rows] == [case_dir.name, "later.leuko"]
    assert series.model.rows[0][0] == "2023-02-03"
    assert series.model.rows[1][0].endswith("(file)")
    series.set_day(1, series._rows[1].day.replace(year=2024, month=5, day=1))
    assert [row[0] for row in series.model.rows] == ["2023-02-03", "2024-05-01"]
    assert str(session.case.taken) == "2023-02-03"  # kept in the case, not in the dock
    with open_case(other, readonly=True) as case:
        assert str(case.taken) == "2024-05-01"
    assert series.model.rows[0][2] == "–"
    said = f"{expected.points:+.1f} ({expected.low:+.1f}…{expected.high:+.1f})".replace("-", "−")
    assert series.model.rows[1][3].startswith(said)
    low, high = series.plot.place(0, 0.0), series.plot.place(0, series.plot.top)
    assert low.y() > high.y()
    assert not series.plot.grab().isNull()
    series.table.setCurrentIndex(series.model.index(1, 0))
    series.remove.click()
    assert len(series.model.rows) == 1


def test_what_is_no_case_is_refused(dock: Any, tmp_path: Path, notes: list[str]) -> None:
    dock.series.add(tmp_path)
    assert str(tmp_path) in notes[-1]
    assert dock.series.paths == []


def say_scanned(slide: Path) -> None:
    said = "<AcquisitionDate>2024-02-01T09:00:00</AcquisitionDate><Pixels "
    tifffile.tiffcomment(slide, tifffile.tiffcomment(slide).replace("<Pixels ", said).encode())


def test_the_day_of_the_scan_is_proposed_and_never_said(smear: Path, tmp_path: Path) -> None:
    slide = Path(shutil.copy(smear, tmp_path / "scanned.ome.tiff"))
    say_scanned(slide)
    case = drawn_case(slide, tmp_path / "scanned.leuko", model="drawn")
    found = count_case(case, "blood")
    assert (found.day, found.day_of) == (datetime.date(2024, 2, 1), "scan")
    with open_case(case) as opened:
        assert opened.taken is None
        opened.set_taken(datetime.date(2024, 1, 30), "mk")
    found = count_case(case, "blood")
    assert (found.day, found.day_of) == (datetime.date(2024, 1, 30), "smear")


def test_another_slide_in_its_place_says_nothing(smear: Path, tmp_path: Path) -> None:
    slide = Path(shutil.copy(smear, tmp_path / "a.ome.tiff"))
    case = drawn_case(slide, tmp_path / "a.leuko", model="drawn")
    assert count_case(case, "blood").day_of == "file"
    say_scanned(slide)
    assert count_case(case, "blood").day_of == "file"
