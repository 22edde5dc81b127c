"""Several counts of one patient: how far the blasts have changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ..errors import SettingsError
from ._intervals import clopper_pearson, square_and_add, wilson

__all__ = ["Change", "DatedCount", "change", "series"]


@dataclass(frozen=True)
class Change:
    """A difference of two percentages, later less earlier.

    Parameters
    ----------
    points : float
        Percentage points, -100 to 100.
    low, high : float
        Its interval.
    """

    points: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out no change."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class DatedCount:
    """One count of a series.

    Parameters
    ----------
    day : datetime.date
        When the smear was taken.
    blasts, cells : int
        Blasts, and all counted cells.
    percent : float
        Of blasts.
    low, high : float
        Its exact interval, in percent.
    since_first, since_previous : Change or None
        What has changed; None for the first.
    """

    day: date
    blasts: int
    cells: int
    percent: float
    low: float
    high: float
    since_first: Change | None = None
    since_previous: Change | None = None


def change(earlier: tuple[int, int], later: tuple[int, int], level: float = 0.95) -> Change:
    """Return the change in blast percentage between two counts, with its interval.

    Newcombe, R. G. (1998), "Interval estimation for the difference between independent proportions: comparison of
    eleven methods", Stat Med 17, 873-890, method 10: Wilson's score limits of each, by square-and-add. It takes each
    count for a random sample; it does not know of differences between smears, stains or readers.

    Parameters
    ----------
    earlier, later : tuple of int
        Blasts, and all counted cells, of each.
    level : float
        The confidence.

    Returns
    -------
    Change
        In percentage points.

    Raises
    ------
    SettingsError
        If a count has no cells, or more blasts than cells.
    """
    for blasts, cells in (earlier, later):
        _check(blasts, cells)
    limits = [wilson(blasts, cells, level) for blasts, cells in (earlier, later)]
    before, after = earlier[0] / earlier[1], later[0] / later[1]
    low, high = square_and_add(
        after - before, (-limits[0][1], -before, -limits[0][0]), (limits[1][0], after, limits[1][1])
    )
    return Change(100 * (after - before), max(100 * low, -100.0), min(100 * high, 100.0))


def series(counts: Iterable[tuple[date, int, int]], level: float = 0.95) -> tuple[DatedCount, ...]:
    """Return counts of one patient in order of time, each with what has changed since the first and the previous one.

    Each interval is of its own comparison. Of many comparisons some will leave out no change by chance: one in twenty
    at 95 %.

    Parameters
    ----------
    counts : iterable of (datetime.date, int, int)
        Day, blasts and all counted cells, in any order; those of one day stay in the order given.
    level : float
        The confidence.

    Returns
    -------
    tuple of DatedCount

    Raises
    ------
    SettingsError
        If a count has no cells, or more blasts than cells.
    """
    rows: list[DatedCount] = []
    for day, blasts, cells in sorted(counts, key=lambda count: count[0]):
        _check(blasts, cells)
        now = (blasts, cells)
        first = change((rows[0].blasts, rows[0].cells), now, level) if rows else None
        previous = change((rows[-1].blasts, rows[-1].cells), now, level) if rows else None
        low, high = clopper_pearson(blasts, cells, level)
        rows.append(DatedCount(day, blasts, cells, 100 * blasts / cells, low, high, first, previous))
    return tuple(rows)


def _check(blasts: int, cells: int) -> None:
    if not 0 <= blasts <= cells or not cells:
        raise SettingsError(f"{blasts} blasts of {cells} cells are no count", "Leave out counts without cells.")
