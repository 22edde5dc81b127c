"""The slide's prevalence corrected by review: what it estimates, and that its interval holds the truth."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from leukoscope.errors import SettingsError
from leukoscope.hematology import Prevalence, cells_to_review, clopper_pearson, corrected_prevalence, draw_sample
from leukoscope.hematology._intervals import hypergeometric


@st.composite
def reviews(draw):
    """Draw the counts of some review."""
    called, others = draw(st.integers(0, 300)), draw(st.integers(0, 300))
    seen, seen_others = draw(st.integers(0, called)), draw(st.integers(0, others))
    known = draw(st.integers(0, 50))
    false, missed = draw(st.integers(0, seen)), draw(st.integers(0, seen_others))
    return Prevalence(
        called + others,
        called,
        seen + seen_others,
        seen,
        false,
        missed,
        known,
        draw(st.integers(0, known)),
        draw(st.integers(0, false)),
        draw(st.integers(0, seen_others - missed)),
    )


def test_it_is_ppi_plus_plus():
    rng = np.random.default_rng(1)
    for _ in range(20):
        truth = rng.random(2000) < 0.2
        called = np.where(truth, rng.random(2000) < 0.85, rng.random(2000) < 0.06)
        sample = rng.permutation(2000)[:150]
        reviewed = np.isin(np.arange(2000), sample)
        y, f = truth[sample].astype(float), called[sample].astype(float)
        power = np.cov(y, f)[0, 1] / f.var(ddof=1)
        found = corrected_prevalence(called, truth, reviewed)
        assert found.power == pytest.approx(power)
        assert found.percent == pytest.approx(100 * (y.mean() + power * (called.mean() - f.mean())))
        assert found.model_percent == pytest.approx(100 * called.mean())
        # Where errors are many, the interval is PPI's normal one with the finite population correction, and wider.
        error = np.sqrt((y - power * f).var(ddof=1) / 150 * (1 - 150 / 2000))
        low, high = found.interval()
        assert 1 < (high - low) / (2 * 196 * error) < 1.7


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 25), st.integers(0, 25), st.integers(0, 40), st.sampled_from([0.81, 0.95]))
def test_finite_limits_invert_the_tests(count, more, left, level):
    sample, population = count + more, count + more + left
    assume(population)
    low, high = hypergeometric(count, sample, population, level)
    tail, marked = (1 - level) / 2, np.arange(count, count + left + 1)
    assert high == marked[hypergeom.cdf(count, population, marked, sample) > tail].max()
    assert low == marked[hypergeom.sf(count - 1, population, marked, sample) > tail].min()


def test_a_large_population_gives_clopper_and_pearsons_limits():
    low, high = hypergeometric(7, 200, 1_000_000, 0.95)
    assert (low / 1e4, high / 1e4) == pytest.approx(clopper_pearson(7, 200), rel=2e-3)


@settings(deadline=None, max_examples=80)
@given(reviews())
def test_whatever_was_reviewed(found):
    low, high = found.interval()
    assert 0 <= low <= high <= 100
    if not found.total:
        assert math.isnan(found.percent)
        return
    assert 0 < found.total <= found.cells + found.known
    assert low - 1e-9 <= found.percent <= high + 1e-9
    wide = found.interval(0.99)
    assert wide[0] <= low + 1e-9
    assert high <= wide[1] + 1e-9
    # What has been seen for sure is never left out.
    seen_blasts = found.known_blasts + found.reviewed_called - found.false_blasts + found.missed_blasts
    seen = found.known + found.reviewed - found.uncounted_called - found.uncounted_others
    assert high >= 100 * seen_blasts / found.total - 1e-9
    assert low <= 100 * (1 - (seen - seen_blasts) / found.total) + 1e-9
    of_patient = found.patient_interval()
    assert of_patient[0] <= low + 1e-9
    assert high <= of_patient[1] + 1e-9


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 80), st.integers(0, 80), st.data())
def test_with_every_cell_reviewed_the_truth_is_known(called, others, data):
    false, missed = data.draw(st.integers(0, called)), data.draw(st.integers(0, others))
    found = Prevalence(called + others, called, called + others, called, false, missed)
    if found.total:
        truth = called - false + missed
        assert found.percent == pytest.approx(100 * truth / found.total)
        assert found.interval() == pytest.approx((found.percent, found.percent))
        assert found.patient_interval() == pytest.approx(clopper_pearson(truth, found.total))
        assert cells_to_review(found, [5, 20, 25]) == 0


def test_no_error_found_is_not_certainty():
    found = Prevalence(cells=5000, called=500, reviewed=100, reviewed_called=10, false_blasts=0, missed_blasts=0)
    low, high = found.interval()
    assert found.percent == 10
    assert (low, high) == pytest.approx((10 - 10 * 0.308, 10 + 90 * 0.0402), abs=0.15)  # 0 of 10, 0 of 90
    assert found.interval()[1] - found.interval()[0] < clopper_pearson(10, 100)[1] - clopper_pearson(10, 100)[0]


@pytest.mark.parametrize(
    ("called", "others", "seen", "seen_others"),
    [(30, 170, 8, 32), (20, 60, 5, 15), (5, 295, 1, 49), (9, 90, 0, 20), (15, 12, 12, 10)],
)
def test_coverage_for_every_number_of_errors(called, others, seen, seen_others):
    # All outcomes of the review, each with its probability: no luck of a simulation in it.
    errors = list(itertools.product(range(seen + 1), range(seen_others + 1)))
    cells, n = called + others, seen + seen_others
    limits = np.array([Prevalence(cells, called, n, seen, a, b).interval() for a, b in errors]) * cells / 100
    a, b = np.array(errors).T
    for false in {0, 1, called // 10, called // 4, called // 2, called}:
        for missed in {0, 1, others // 100, others // 30, others // 10, others // 3}:
            chance = hypergeom.pmf(a, called, false, seen) * hypergeom.pmf(b, others, missed, seen_others)
            truth = called - false + missed
            holds = (limits[:, 0] <= truth + 1e-6) & (truth - 1e-6 <= limits[:, 1])
            assert chance[holds].sum() >= 0.95, (false, missed)


def test_cells_that_somebody_picked_count_as_what_they_are_and_teach_nothing():
    called = np.array([True] * 20 + [False] * 80)
    truth = called.copy()
    truth[:5] = False  # found by looking for them
    reviewed, chosen = np.zeros(100, bool), np.zeros(100, bool)
    chosen[:5] = True
    reviewed[[2, 30, 31, 10]] = True  # one of them was drawn, too
    found = corrected_prevalence(called, truth, reviewed, chosen)
    assert found == Prevalence(95, 15, 3, 1, 0, 0, 5, 0)
    assert found.percent == 15
    assert corrected_prevalence(called, truth, reviewed).false_blasts == 1


def test_cells_that_do_not_count_leave_the_denominator():
    kinds = np.array(["blast"] * 20 + ["other"] * 60 + ["smudge"] * 20)
    called = np.arange(100) % 7 == 0
    everything = np.ones(100, bool)
    found = corrected_prevalence(called, kinds == "blast", everything, counted=kinds != "smudge")
    assert found.total == pytest.approx(80)
    assert found.percent == pytest.approx(25)
    assert found.interval() == pytest.approx((25, 25))
    assert found.patient_interval() == pytest.approx(clopper_pearson(20, 80))
    chosen = corrected_prevalence(called, kinds == "blast", ~everything, everything, kinds != "smudge")
    assert (chosen.known, chosen.known_blasts, chosen.percent) == (80, 20, 25)
    with pytest.raises(SettingsError, match="contradict"):
        Prevalence(10, 5, 4, 2, 1, 0, uncounted_called=2)


@pytest.mark.parametrize(
    ("called", "others"),  # blasts, cells that do not count, other cells
    [((60, 25, 15), (40, 90, 770)), ((300, 0, 0), (0, 200, 500)), ((20, 80, 0), (0, 0, 900))],
)
def test_coverage_with_cells_that_do_not_count(called, others):
    rng = np.random.default_rng(2)
    blasts, counted = called[0] + others[0], 1000 - called[1] - others[1]
    held = 0
    for _ in range(400):
        seen = rng.hypergeometric(sum(called), sum(others), 150)
        a, b = rng.multivariate_hypergeometric(called, seen), rng.multivariate_hypergeometric(others, 150 - seen)
        low, high = Prevalence(1000, sum(called), 150, seen, a[1] + a[2], b[0], 0, 0, a[1], b[1]).interval()
        held += low <= 100 * blasts / counted <= high
    assert held / 400 > 0.94


def test_a_draw_is_the_same_everywhere():
    # Worked out with Python's own integers: the order must not hang on numpy's version.
    assert draw_sample(range(10), 10, seed=0).tolist() == [1, 4, 5, 7, 6, 9, 0, 3, 2, 8]
    assert draw_sample([3, 1, 2], 3).tolist() == draw_sample([1, 2, 3], 3).tolist()
    assert draw_sample(range(1000), 5, 1).tolist() != draw_sample(range(1000), 5, 2).tolist()
    assert draw_sample(range(100), 5, -1).dtype == np.int64


@settings(deadline=None, max_examples=40)
@given(st.sets(st.integers(0, 10**9), max_size=200), st.integers(0, 250), st.integers(0, 2**70))
def test_a_draw_can_be_extended_and_outlives_other_cells(ids, n, seed):
    drawn = draw_sample(ids, n, seed).tolist()
    assert len(set(drawn)) == len(drawn) == min(n, len(ids))
    assert set(drawn) <= ids
    assert draw_sample(ids, n + 10, seed).tolist()[:n] == drawn
    fewer = [i for i in sorted(ids) if i % 3]
    assert [i for i in draw_sample(ids, len(ids), seed) if i % 3] == draw_sample(fewer, len(ids), seed).tolist()


def test_every_cell_is_drawn_as_often():
    times = np.zeros(200)
    for seed in range(3000):
        times[draw_sample(range(200), 20, seed)] += 1
    assert ((times - 300) ** 2 / 270).sum() == pytest.approx(200, abs=60)  # three standard deviations
    both = [{3, 4} <= set(draw_sample(range(200), 100, seed).tolist()) for seed in range(2000)]
    assert np.mean(both) == pytest.approx(100 * 99 / (200 * 199), abs=0.03)


def test_the_plan_comes_true_when_errors_go_on_as_before():
    found = Prevalence(20_000, 3400, 100, 17, 2, 1)
    assert found.percent == pytest.approx(16, abs=0.1)
    more = cells_to_review(found, [5, 20, 25])
    factor = (found.reviewed + more) / found.reviewed

    def then(factor):
        seen, others = round(17 * factor), round(83 * factor)
        return Prevalence(20_000, 3400, seen + others, seen, round(2 * factor), round(factor)).interval()

    assert then(1.15 * factor)[1] < 20
    assert then(0.85 * factor)[1] >= 20


def test_plans_at_the_ends():
    clear = Prevalence(20_000, 12_000, 100, 60, 1, 1)
    assert cells_to_review(clear, [5, 20, 25]) == 0
    assert cells_to_review(clear, []) == 0
    assert clear.planned_interval(100) == clear.planned_interval(0) == clear.interval()
    assert clear.planned_interval(30_000) == pytest.approx((clear.percent, clear.percent))
    assert cells_to_review(Prevalence(1000, 190, 0, 0, 0, 0), [20]) is None  # nothing is known of the model's errors
    assert cells_to_review(Prevalence(1000, 200, 50, 10, 0, 0), [20]) is None  # at the threshold
    near = cells_to_review(Prevalence(1000, 201, 50, 10, 0, 0), [20])
    assert 850 < near <= 950
    assert cells_to_review(Prevalence(1000, 0, 50, 0, 0, 0), [5]) in range(1, 60)


def test_nothing_reviewed_leaves_all_open():
    found = Prevalence(100, 30, 0, 0, 0, 0)
    assert (found.percent, found.interval(), found.power) == (30, (0, 100), 1)
    empty = corrected_prevalence([], [], [])
    assert (empty.interval(), empty.patient_interval()) == ((0, 100), (0, 100))


def test_bad_input():
    with pytest.raises(SettingsError, match="contradict"):
        Prevalence(10, 5, 4, 2, 3, 0)
    with pytest.raises(SettingsError, match="not of the same cells"):
        corrected_prevalence([True], [True, False], [True])
    with pytest.raises(SettingsError, match="twice"):
        draw_sample([1, 1], 1)
    with pytest.raises(SettingsError, match="cannot be drawn"):
        draw_sample([1], -1)
    with pytest.raises(ValueError, match="confidence level"):
        Prevalence(10, 5, 4, 2, 1, 0).interval(95)
    with pytest.raises(ValueError, match="not possible"):
        hypergeometric(5, 4, 10, 0.95)


@settings(deadline=None, max_examples=80)
@given(reviews(), st.integers(1, 50))
def test_no_percentage_leaves_its_scale(found, more):
    numbers = [*found.interval(), *found.patient_interval(), *found.planned_interval(found.reviewed + more)]
    assert all(0 <= number <= 100 for number in numbers)
    assert not found.percent > 100
    left = cells_to_review(found, [5, 20, 25])
    assert left is None or 0 <= left <= found.cells - found.reviewed


def test_numbers_of_a_percentage_that_float_arithmetic_would_lift_over_100():
    found = Prevalence(32, 4, 27, 0, 0, 19, uncounted_others=8)
    assert found.percent == 100
    assert Prevalence(14, 11, 3, 3, 2, 0, 2, 2, 1).planned_interval(4)[1] == 100


def test_a_draw_takes_whole_numbers_of_any_kind():
    assert list(draw_sample([1, 2, 3], np.int64(2), np.uint8(5))) == list(draw_sample([1, 2, 3], 2, 5))
    assert list(draw_sample([1, 2, 3], 2, np.int64(5))) == list(draw_sample([1, 2, 3], 2, 5))
    for n, seed in ((1.5, 0), (1, 0.5), ("1", 0)):
        with pytest.raises(SettingsError, match="no whole numbers"):
            draw_sample([1, 2, 3], n, seed)
