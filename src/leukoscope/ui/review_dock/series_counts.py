"""The counts of several cases, and how far they have changed, without Qt."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from leukoscope.cases import Case, open_case
from leukoscope.errors import CaseError, LeukoscopeError
from leukoscope.hematology import DatedCount, series
from leukoscope.slides import open_slide

__all__ = ["CaseCount", "count_case", "counted_series"]


@dataclass(frozen=True)
class CaseCount:
    """What a series needs of a case.

    Parameters
    ----------
    path : Path
        The case's folder.
    name : str
        The slide's.
    day : datetime.date
        When the smear was taken; where nobody has said it, a proposal: the day of the scan, or of the slide's file.
    day_of : str
        Where it is from: "smear" where somebody has said it, else "scan" or "file".
    profile : str
        How it was counted.
    blasts, cells : int
        Blasts, and all counted cells.
    signed : bool
        Whether the count is signed.
    """

    path: Path
    name: str
    day: datetime.date
    day_of: str
    profile: str
    blasts: int
    cells: int
    signed: bool


def count_case(path: str | os.PathLike[str], profile: str) -> CaseCount:
    """Count a case's cells; it is opened for reading only.

    Raises
    ------
    CaseError
        If it is no case, or counts no cell.
    SettingsError
        If there is no such profile.
    """
    with open_case(path, readonly=True) as case:
        counts = case.differential(profile)
        if not counts.denominator:
            raise CaseError(f"no cell is counted as {profile} counts", "Leave this case out", path)
        day, day_of = _day(case)
        return CaseCount(
            path=case.path,
            name=case.slide.name,
            day=day,
            day_of=day_of,
            profile=profile,
            blasts=counts.blasts,
            cells=counts.denominator,
            signed=case.signed is not None,
        )


def counted_series(counts: Sequence[CaseCount]) -> list[tuple[CaseCount, DatedCount]]:
    """Put counts in order of time, each with what has changed; those of one day stay in the order given."""
    ordered = sorted(counts, key=lambda count: count.day)
    found = series((count.day, count.blasts, count.cells) for count in ordered)
    return list(zip(ordered, found, strict=True))


def _day(case: Case) -> tuple[datetime.date, str]:
    if case.taken is not None:
        return case.taken, "smear"
    with suppress(LeukoscopeError, OSError):
        modified = Path(case.slide.address).stat().st_mtime_ns
        if scanned := _scanned(case.slide.address, case.slide.fingerprint, modified):
            return scanned, "scan"
    return _day_of_file(case), "file"


@lru_cache(maxsize=64)
def _scanned(address: str, fingerprint: str, modified: int) -> datetime.date | None:
    with open_slide(address) as slide:  # its headers; another slide may lie there by now
        return slide.acquired if slide.fingerprint == fingerprint else None


def _day_of_file(case: Case) -> datetime.date:
    for file in (Path(case.slide.address), case.path / "case.sqlite"):
        if file.exists():
            return datetime.date.fromtimestamp(file.stat().st_mtime)
    return datetime.date.today()
