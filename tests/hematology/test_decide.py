"""How many more cells to count, and in which order to look at those there are."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from leukoscope.errors import SettingsError
from leukoscope.hematology import Profile, Threshold, cells_to_decide, differential, flip_order, load_profile

BLOOD = [5, 20, 25]


def is_open(blasts, total, thresholds):
    low = 0 if not blasts else beta.ppf(0.025, blasts, total - blasts + 1)
    high = 1 if blasts == total else beta.ppf(0.975, blasts + 1, total - blasts)
    return any(100 * low < t <= 100 * high for t in thresholds)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([[5], [20], BLOOD]))
def test_it_is_the_smallest_number_that_decides(others, blasts, thresholds):
    total = blasts + others
    more = cells_to_decide(blasts, total, thresholds, cap=3000)
    tried = range(0, 3001, 50) if more is None else range(max(0, more - 40), more + 40)
    for extra in tried:
        expected = is_open(blasts * ((total + extra) / total), total + extra, thresholds)
        assert expected == (more is None or extra < more), extra


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 400), st.integers(1, 400))
def test_none_are_needed_exactly_where_there_is_a_verdict(blasts, others):
    counted = differential({"blast": blasts, "lymphocyte": others})
    assume(counted.denominator >= counted.profile.min_cells)
    assert (cells_to_decide(blasts, counted.denominator, BLOOD) == 0) == (not counted.crossed)


def test_worked_examples():
    assert cells_to_decide(36, 200, BLOOD) == 1358
    assert cells_to_decide(40, 200, BLOOD) is None  # at the threshold itself
    assert cells_to_decide(36, 200, BLOOD, cap=1000) is None
    assert cells_to_decide(0, 0, BLOOD) is None
    assert cells_to_decide(36, 200, []) == 0
    assert cells_to_decide(50, 50, BLOOD, min_cells=200) == 150  # clear, but the profile asks for 200
    assert cells_to_decide(50, 50, BLOOD, min_cells=200, cap=100) is None


def order(probabilities, labels, classes=("blast", "lymphocyte", "smudge"), **more):
    return flip_order(np.array(probabilities), labels, classes, **more).tolist()


def test_above_the_threshold_doubtful_blasts_come_first():
    # 50 % blasts; the nearest threshold is 25 %.
    p = [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.3, 0.7, 0], [0, 1, 0]]
    assert order(p, ["blast", "blast", "lymphocyte", "lymphocyte"]) == [1, 0, 2, 3]


def test_below_the_threshold_cells_that_might_be_blasts_come_first():
    p = [[0.4, 0.6, 0], [0.1, 0.9, 0], [0.6, 0.4, 0], *[[0, 1, 0]] * 97]
    found = order(p, ["lymphocyte", "lymphocyte", "blast", *["lymphocyte"] * 97])
    assert found[:3] == [0, 1, 2]
    assert found[3:] == list(range(3, 100))  # ties stay in the given order


def test_uncounted_cells_count_for_what_they_might_be():
    # 20.1 % is just above: only fewer blasts, or more of the others, flip it.
    labels = ["unidentified", "unidentified", *["blast"] * 201, *["lymphocyte"] * 799]
    p = [[0.9, 0.1, 0], [0.1, 0.9, 0], *[[1, 0, 0]] * 201, *[[0, 1, 0]] * 799]
    assert order(p, labels)[:2] == [1, 0]
    # Far below, an unidentified cell that is likely a blast comes first.
    labels[2:203] = ["lymphocyte"] * 201
    assert order(p, labels)[202:] != order(p, labels)[:2]
    p[2:203] = [[0.2, 0.8, 0]] * 201
    assert order(p, labels)[0] == 0


def test_what_a_reader_settled_comes_last():
    p = [[0.5, 0.5, 0], [0.8, 0.2, 0], [0, 1, 0], [0, 1, 0]]
    labels = ["blast", "blast", "lymphocyte", "lymphocyte"]
    assert order(p, labels, reviewed=[True, False, False, False]) == [1, 2, 3, 0]


def test_without_thresholds_doubt_to_either_side_counts():
    plain = Profile("plain", "nucleated", 1, ())
    p = [[0.9, 0.1, 0], [0.45, 0.55, 0], [0, 1, 0]]
    assert order(p, ["blast", "lymphocyte", "lymphocyte"], profile=plain)[0] == 1


def test_blast_equivalents_and_roll_ups_are_blasts():
    p = [[0.9, 0.1], [0.6, 0.4]]
    own = Profile("own", "nucleated", 1, (Threshold(20, "AML"),), ("immature_granulocyte",))
    assert order(p, ["myelocyte", "promyelocyte"], ("myelocyte", "lymphocyte"), profile=own) == [1, 0]


def test_a_hundred_thousand_cells_take_no_time():
    rng = np.random.default_rng(0)
    classes = ["blast", "lymphocyte", "monocyte", "eosinophil", "smudge"]
    p = rng.dirichlet(np.ones(5), 100_000).astype(np.float32)
    labels = [classes[i] for i in p.argmax(axis=1)]
    flip_order(p, labels, classes)
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        found = flip_order(p, labels, classes)
        spent.append(time.perf_counter() - start)
    assert sorted(found.tolist()) == list(range(100_000))
    assert min(spent) < 0.25  # 15 ms alone on a core; tests share theirs


def test_bad_input_and_nothing():
    with pytest.raises(SettingsError, match="do not fit"):
        flip_order(np.ones((2, 3)), ["blast"], ["blast", "lymphocyte", "smudge"])
    with pytest.raises(SettingsError, match="no profile"):
        flip_order(np.ones((1, 1)), ["blast"], ["blast"], "urine")
    assert len(flip_order(np.ones((0, 2)), [], ["blast", "lymphocyte"], load_profile("marrow"))) == 0
