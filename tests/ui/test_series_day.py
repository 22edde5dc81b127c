"""The day that a series proposes for a smear whose day nobody has said."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import tifffile

from leukoscope import open_case
from leukoscope.ui.review_dock.series_counts import count_case

from .conftest import drawn_case


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
