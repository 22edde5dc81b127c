"""Agreement of two readers, held against published tables, statsmodels' figures and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.errors import SettingsError
from leukoscope.hematology import agreement, clopper_pearson, cohen_kappa

TABLES = st.integers(2, 5).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 60), min_size=k, max_size=k), min_size=k, max_size=k)
)


@pytest.mark.parametrize(
    ("table", "kappa", "error"),
    [
        # Landis and Koch (1977): two pathologists grade 118 slides; as in Agresti, Categorical Data Analysis, 2nd ed.
        # (2002), section 10.5.
        ([[22, 2, 2, 0], [5, 7, 14, 0], [0, 2, 36, 0], [0, 1, 17, 10]], 0.493, 0.057),
        # Bonett, statpsych::ci.kappa, the example of its manual, after Fleiss and Paik (2003).
        ([[31, 12], [4, 58]], 0.6756757, 0.07344761),
    ],
)
def test_published_examples(table, kappa, error):
    digits = 10.0 ** -(len(str(kappa)) - 2)
    found = cohen_kappa(table)
    assert found.value == pytest.approx(kappa, abs=digits / 2)
    assert found.error == pytest.approx(error, abs=digits / 2)


@pytest.mark.parametrize(
    ("table", "expected"),
    # statsmodels 0.15.0, stats.inter_rater.cohens_kappa: kappa, std_kappa, kappa_low, kappa_upp.
    [
        (
            [[75, 1, 4], [5, 4, 1], [0, 0, 10]],
            (0.676470588235294, 0.08770295347521254, 0.5045759580860855, 0.8483652183845026),
        ),
        (
            [[53, 5, 2], [11, 14, 5], [1, 6, 3]],
            (0.4285714285714285, 0.0759588315346638, 0.27969485445574205, 0.5774480026871149),
        ),
        (
            [[44, 5, 1], [7, 20, 3], [9, 5, 6]],
            (0.49152542372881347, 0.07212745929334068, 0.35015820121748686, 0.6328926462401401),
        ),
    ],
)
def test_as_statsmodels_has_it(table, expected):
    found = cohen_kappa(table)
    assert (found.value, found.error, found.low, found.high) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(TABLES)
def test_as_scikit_learn_has_it_and_within_bounds(table):
    from sklearn.metrics import cohen_kappa_score

    counts = np.array(table)
    found = cohen_kappa(counts)
    if math.isnan(found.value):
        assert np.count_nonzero(counts) <= 1
        return
    rows, columns = np.nonzero(counts)
    expected = cohen_kappa_score(rows, columns, sample_weight=counts[rows, columns])
    assert found.value == pytest.approx(expected, abs=1e-9)
    if not math.isnan(found.low):
        assert -1 <= found.low <= found.value <= found.high <= 1
        assert cohen_kappa(counts.T).low == pytest.approx(found.low)


def test_the_interval_holds_kappa_as_often_as_it_says():
    rng = np.random.default_rng(3)
    p = np.array([[0.5, 0.05, 0.02], [0.04, 0.2, 0.03], [0.01, 0.05, 0.1]])
    rows, columns = p.sum(1), p.sum(0)
    true = (np.trace(p) - rows @ columns) / (1 - rows @ columns)
    found = [cohen_kappa(table) for table in rng.multinomial(300, p.ravel(), 1000).reshape(-1, 3, 3)]
    assert np.mean([k.low <= true <= k.high for k in found]) == pytest.approx(0.95, abs=0.02)


def test_without_a_disagreement_the_interval_still_has_a_width():
    found = cohen_kappa([[10, 0], [0, 10]])
    assert (found.value, found.high, found.error) == (1, 1, 0)
    assert found.low == pytest.approx((clopper_pearson(20, 20)[0] / 100 - 0.5) / 0.5)
    assert cohen_kappa([[100, 0], [0, 100]]).low > found.low


def test_what_tells_nothing_has_no_interval():
    alone = cohen_kappa([[95, 5], [0, 0]])
    assert alone.value == pytest.approx(0)
    assert math.isnan(alone.low)
    assert math.isnan(alone.error)
    assert math.isnan(cohen_kappa([[20, 0], [0, 0]]).value)
    assert math.isnan(cohen_kappa([[0, 0], [0, 0]]).value)


def test_two_readers():
    first = ["blast"] * 40 + ["lymphocyte"] * 50 + ["monocyte"] * 10
    second = ["blast"] * 35 + ["lymphocyte"] * 60 + ["monocyte"] * 5
    found = agreement(first, second)
    assert found.labels == ("blast", "lymphocyte", "monocyte")
    assert found.table.tolist() == [[35, 5, 0], [0, 50, 0], [0, 5, 5]]
    assert (found.cells, found.agreed, found.percent) == (100, 90, 90)
    assert found.interval == clopper_pearson(90, 100)
    assert found.kappa == cohen_kappa(found.table)
    assert found.per_class["blast"] == cohen_kappa([[35, 5], [0, 60]])
    assert found.per_class["monocyte"] == cohen_kappa([[5, 5], [0, 90]])
    assert not found.table.flags.writeable


def test_a_class_that_one_reader_never_gives_has_a_kappa_of_zero_and_no_interval():
    found = agreement(["blast", "blast", "monocyte"], ["blast", "blast", "promonocyte"])
    assert found.labels == ("blast", "monocyte", "promonocyte")  # what the taxonomy does not know comes last
    assert found.per_class["promonocyte"].value == pytest.approx(0)
    assert math.isnan(found.per_class["promonocyte"].low)
    assert found.per_class["blast"].value == 1


def test_no_cells_and_bad_input():
    empty = agreement([], [])
    assert (empty.cells, empty.interval, dict(empty.per_class)) == (0, (0, 100), {})
    assert math.isnan(empty.percent)
    assert math.isnan(empty.kappa.value)
    with pytest.raises(SettingsError, match="both labeled"):
        agreement(["blast"], [])
    for table in ([[1, 2]], [[1, -1], [0, 1]], [1, 2]):
        with pytest.raises(SettingsError, match="no table"):
            cohen_kappa(table)
    with pytest.raises(ValueError, match="confidence level"):
        cohen_kappa([[1, 0], [0, 1]], 95)
