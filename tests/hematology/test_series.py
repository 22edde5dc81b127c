"""Changes between counts, held against published examples."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.errors import SettingsError
from leukoscope.hematology import change, clopper_pearson, series

COUNT = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.mark.parametrize(
    ("later", "earlier", "low", "high"),
    # Newcombe RG (1998), Stat Med 17, 873-890, Table II, method 10.
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_published_intervals(later, earlier, low, high):
    found = change(earlier, later)
    assert (found.low, found.high) == pytest.approx((100 * low, 100 * high), abs=0.00501)
    assert found.points == pytest.approx(100 * (later[0] / later[1] - earlier[0] / earlier[1]))


@settings(deadline=None, max_examples=60)
@given(COUNT, COUNT)
def test_back_is_the_same_with_the_other_sign(one, other):
    there, back = change(one, other), change(other, one)
    assert (there.low, there.points, there.high) == pytest.approx((-back.high, -back.points, -back.low), abs=1e-9)
    assert -100 <= there.low <= there.points + 1e-9
    assert there.points - 1e-9 <= there.high <= 100
    assert change(one, other, 0.99).low <= there.low
    assert not change(one, one).certain


def test_a_series_is_sorted_and_compared_with_first_and_previous():
    days = [date(2026, 3, 1), date(2026, 1, 1), date(2026, 2, 1)]
    rows = series(zip(days, [10, 120, 30], [500, 200, 200], strict=True))
    assert [row.day.month for row in rows] == [1, 2, 3]
    assert [row.percent for row in rows] == [60, 15, 2]
    assert (rows[0].since_first, rows[0].since_previous) == (None, None)
    assert rows[2].since_first == change((120, 200), (10, 500))
    assert rows[2].since_previous == change((30, 200), (10, 500))
    assert rows[1].since_first == rows[1].since_previous
    assert (rows[1].low, rows[1].high) == clopper_pearson(30, 200)
    assert rows[1].since_first.certain
    assert series([]) == ()


@pytest.mark.parametrize("bad", [(3, 2), (0, 0), (-1, 5)])
def test_no_count_is_refused(bad):
    with pytest.raises(SettingsError, match="no count"):
        change((1, 10), bad)
    with pytest.raises(SettingsError, match="no count"):
        series([(date(2026, 1, 1), *bad)])
