from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from leukotrain.metrics import auroc, balanced_accuracy, bootstrap, calibration_error, macro_f1, share


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
