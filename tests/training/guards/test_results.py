"""Guards 9 to 14: figures, test sets, seeds, baselines and choices."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from leukotrain import guards
from leukotrain.data.manifest import Manifest
from leukotrain.guards import GuardError
from leukotrain.metrics import Metric

from .cohort import groups_of, made


def test_guard_9_refuses_an_area_under_hard_labels():
    guards.scores_are_graded([0.1, 0.7, 0.4])
    for hard in ([0, 1, 1, 0], [True, False], [0.5, 0.5]):
        with pytest.raises(GuardError, match=r"guard 9"):
            guards.scores_are_graded(hard)


def test_guard_9_refuses_a_specificity_called_precision():
    truth = np.array([1] * 20 + [0] * 80, bool)
    called = np.array([1] * 10 + [0] * 10 + [1] * 8 + [0] * 72, bool)
    right = {
        "precision": 10 / 18,
        "specificity": 0.9,
        "recall": 0.5,
        "sensitivity": 0.5,
        "accuracy": 0.82,
        "auroc": 0.1,
    }
    guards.figures_follow(truth, called, right)
    with pytest.raises(GuardError, match=r"guard 9 .*precision is given as 0.900, and is 0.556"):
        guards.figures_follow(truth, called, right | {"precision": right["specificity"]})
    guards.figures_follow(truth, np.zeros(100, bool), {"precision": float("nan"), "recall": 0.0})


def test_guard_10_refuses_another_test_set_for_an_arm(cohort):
    _, rows = cohort
    real = Manifest(rows)
    with_gan = Manifest([*rows, made(rows[0], "syn.png", groups_of(rows, "train"))])
    guards.same_test_set({"real": real, "gan": with_gan})
    fewer = Manifest(r for i, r in enumerate(rows) if r.split != "test" or i % 2)
    with pytest.raises(GuardError, match=r"guard 10 .*easy has another test set than real"):
        guards.same_test_set({"real": real, "gan": with_gan, "easy": fewer})


@pytest.mark.parametrize(
    "seed",
    [None, "7", 7.0, True, int(time.time()), int(time.time() * 1000), time.time_ns()],
    ids=["none", "text", "fraction", "bool", "seconds", "milliseconds", "nanoseconds"],
)
def test_guard_11_refuses_no_seed_and_the_clock(seed):
    with pytest.raises(GuardError, match=r"guard 11"):
        guards.seed_given(seed)


def test_guard_11_refuses_a_run_that_its_seed_does_not_repeat():
    guards.seed_given(0, lambda seed: np.random.default_rng(seed).normal(size=3))
    unseeded = np.random.default_rng()
    with pytest.raises(GuardError, match=r"guard 11 .*two runs with seed 3 differ"):
        guards.seed_given(3, lambda seed: unseeded.normal(size=3))


def test_guard_12_refuses_an_accuracy_that_stands_alone():
    labels = ["blast"] * 58 + ["lymphocyte"] * 42
    accuracy = Metric("accuracy", "made", 0.6, None, None, 100, 10)
    majority = replace(accuracy, name="accuracy: majority class (blast)", value=0.58)
    guards.majority_beside([accuracy, majority, replace(accuracy, name="macro-F1", data="other")], {"made": labels})
    with pytest.raises(GuardError, match=r"guard 12 .*stands alone"):
        guards.majority_beside([accuracy, replace(majority, data="other")])
    with pytest.raises(GuardError, match=r"guard 12 .*is not 0.500"):
        guards.majority_beside([accuracy, replace(majority, value=0.5)], {"made": labels})


def test_guard_13_refuses_a_choice_by_test_cells(cohort):
    _, rows = cohort
    manifest = Manifest(rows)
    guards.selected_without_test(manifest, [r.image for r in rows if r.split == "val"])
    test = next(r.image for r in rows if r.split == "test")
    for used in (test, "unknown.png"):
        with pytest.raises(GuardError, match=f"guard 13 .*{used}"):
            guards.selected_without_test(manifest, [used])


def test_guard_14_refuses_to_measure_on_a_corrected_slide():
    trained = ["slide-f00d", "cnmc-11"]
    guards.slides_not_seen(trained, ["slide-beef"])
    with pytest.raises(GuardError, match=r"guard 14 .*slide-f00d"):
        guards.slides_not_seen(trained, ["slide-beef", "slide-f00d"])
