from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from leukotrain.curves import (
    Threshold,
    choose_threshold,
    precision_recall_points,
    reliability_points,
    roc_points,
)
from leukotrain.metrics import (
    auroc,
    average_precision,
    balanced_accuracy,
    bootstrap,
    bootstrap_all,
    calibration_error,
    confusion,
    macro_f1,
    per_class,
    share,
)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_figures_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    positive = np.r_[True, False, rng.random(40) < 0.4]
    score = rng.integers(0, 8, 42) / 8
    assert auroc(positive, score) == pytest.approx(roc_auc_score(positive, score))
    truth, given_ = np.r_[0, 1, 2, rng.integers(0, 3, 40)], rng.integers(0, 3, 43)
    assert macro_f1(truth, given_) == pytest.approx(f1_score(truth, given_, average="macro"))
    assert balanced_accuracy(truth, given_) == pytest.approx(balanced_accuracy_score(truth, given_))


def test_an_honest_forecast_has_no_calibration_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.3, 1, 50_000)
    right = rng.random(50_000) < confidence
    assert calibration_error(right, confidence) < 0.01
    assert calibration_error(right, np.minimum(confidence + 0.2, 1)) > 0.1


def test_cells_of_few_patients_give_a_wider_interval_than_as_many_of_many():
    rng = np.random.default_rng(0)
    per_patient = np.repeat(rng.uniform(0.2, 0.9, 6), 100)
    hits = rng.random(600) < per_patient
    few = np.array([f"p{i // 100}" for i in range(600)])
    many = np.array([f"p{i}" for i in range(600)])
    low, high = bootstrap(lambda i: float(hits[i].mean()), few, np.zeros(600, int))
    narrow_low, narrow_high = bootstrap(lambda i: float(hits[i].mean()), many, np.zeros(600, int))
    assert high - low > 2 * (narrow_high - narrow_low)
    assert low < hits.mean() < high


def test_a_share_of_none_still_has_an_upper_bound():
    value, low, high = share(np.zeros(50, bool), np.array([f"f{i}" for i in range(50)]))
    assert (value, low) == (0.0, 0.0)
    assert high == pytest.approx(0.0711, abs=1e-3)  # exact, one-sided 97.5 %


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_curves_and_figures_by_class_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    positive = np.r_[True, False, rng.random(40) < 0.3]
    score = rng.integers(0, 9, 42) / 9
    assert average_precision(positive, score) == pytest.approx(average_precision_score(positive, score))
    x, y = roc_points(positive, score)
    fpr, tpr, _ = roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose((x, y), (fpr, tpr))
    recall, precision = precision_recall_points(positive, score)
    p, r, _ = precision_recall_curve(positive, score)
    np.testing.assert_allclose((recall, precision), (r[-2::-1], p[-2::-1]))

    truth, given_ = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    assert np.array_equal(confusion(truth, given_, 6), confusion_matrix(truth, given_, labels=range(6)))
    wanted = precision_recall_fscore_support(truth, given_, labels=range(6), zero_division=np.nan)[:3]
    np.testing.assert_allclose(per_class(truth, given_, 6), wanted)


def test_without_a_positive_cell_average_precision_is_undefined():
    assert np.isnan(average_precision(np.zeros(3, bool), np.array([0.1, 0.2, 0.3])))
    assert np.isnan(average_precision(np.zeros(0, bool), np.zeros(0)))


def test_the_threshold_is_the_best_one_and_lies_in_the_gap():
    positive = np.array([True, True, False, True, False, False])
    score = np.array([0.9, 0.8, 0.5, 0.7, 0.2, 0.1])
    chosen = choose_threshold(positive, score)
    assert chosen == Threshold(pytest.approx(0.6), 1.0, 1.0, 3, 3)
    assert choose_threshold(positive, np.full(6, 0.4)) is not None
    assert choose_threshold(np.ones(4, bool), score[:4]) is None


def test_reliability_bins_give_the_calibration_error_back():
    rng = np.random.default_rng(0)
    confidence = np.r_[rng.random(500), 1.0]
    right = rng.random(501) < confidence**2
    points = reliability_points(right, confidence)
    assert points[:, 2].sum() == 501
    gap = (np.abs(points[:, 0] - points[:, 1]) * points[:, 2]).sum() / 501
    assert gap == pytest.approx(calibration_error(right, confidence))


def test_a_figure_that_no_draw_defines_has_no_interval():
    groups = np.array([f"g{i}" for i in range(20)])
    low, high = bootstrap_all(lambda i: np.array([np.nan, i.mean()]), groups, np.zeros(20, int), rounds=20)
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert low[1] < 9.5 < high[1]
