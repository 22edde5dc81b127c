"""On numbers: the fit near the old layer, and its strength."""

from __future__ import annotations

import numpy as np
import pytest

from leukoscope.errors import SettingsError
from leukotrain.retraining.head import Head, Problem, loss_of
from leukotrain.retraining.search import search
from leukotrain.settings import CanceledError


def cells(count: int = 60, width: int = 8, seed: int = 0, shift: float = 1.5):
    """Cells of which an old layer, right in another laboratory, gets a part wrong."""
    rng = np.random.default_rng(seed)
    centers = 2.0 * np.eye(3, width)
    truth = np.arange(count) % 3
    seen = rng.normal(size=(count, width)) * 0.7 + centers[truth]
    seen[:, 0] += shift * (truth != 0)  # this laboratory's look: others' cells look like blasts
    old = Head(centers.copy(), np.zeros(3))
    return seen, np.eye(3, dtype=bool)[truth], old, truth


def test_the_fit_is_the_least_of_loss_and_distance():
    seen, allowed, old, _ = cells()
    problem = Problem(seen, allowed, old, temperature=1.3)
    rows = np.arange(len(seen))
    head = problem.head(problem.fit(rows, 0.5, precision=1e-13))

    def total(weight, bias):
        moved = ((weight - old.weight) ** 2).sum() + ((bias - old.bias) ** 2).sum()
        return loss_of(Head(weight, bias).logits(seen) / 1.3, allowed) + 0.5 * moved

    least = total(head.weight, head.bias)
    rng = np.random.default_rng(1)
    for _ in range(30):
        step = 1e-3 * rng.normal(size=(3, 9))
        assert total(head.weight + step[:, :-1], head.bias + step[:, -1]) > least


def test_fewer_cells_than_features_give_the_same_as_solving_in_full():
    seen, allowed, old, _ = cells(12, 30)
    small = Problem(seen, allowed, old)
    twice = Problem(np.concatenate([seen] * 4), np.concatenate([allowed] * 4), old)  # 48 cells: no smaller basis
    few = small.head(small.fit(np.arange(12), 0.1, precision=1e-14))
    many = twice.head(twice.fit(np.arange(48), 0.1, precision=1e-14))
    np.testing.assert_allclose(few.weight, many.weight, atol=1e-4)
    np.testing.assert_allclose(few.bias, many.bias, atol=1e-4)


def test_strength_holds_to_the_old_layer_and_weakness_lets_go():
    seen, allowed, old, truth = cells()
    problem = Problem(seen, allowed, old)
    rows = np.arange(len(seen))
    strong, weak = (problem.head(problem.fit(rows, s)) for s in (problem.strengths[0] * 100, problem.strengths[-1]))
    np.testing.assert_allclose(strong.weight, old.weight, atol=1e-2)
    assert (old.logits(seen).argmax(1) == truth).mean() < 0.8
    assert (weak.logits(seen).argmax(1) == truth).mean() > 0.95


def test_a_label_that_says_a_part_only_asks_for_that():
    seen, allowed, old, truth = cells()
    partial = allowed | (truth != 0)[:, None] & np.array([False, True, True])
    head = Problem(seen, partial, old)
    fitted = head.head(head.fit(np.arange(len(seen)), 0.01))
    called = fitted.logits(seen).argmax(1)
    assert partial[np.arange(len(seen)), called].mean() > 0.9


def test_a_new_class_begins_as_the_mean_of_the_others():
    head = Head(np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0, 3.0])).extended(2)
    np.testing.assert_array_equal(head.weight[3:], [[2, 3], [2, 3]])
    np.testing.assert_array_equal(head.bias[3:], [2, 2])


def test_a_fit_can_be_stopped():
    seen, allowed, old, _ = cells()
    problem = Problem(seen, allowed, old, cancel=lambda: True)
    with pytest.raises(CanceledError):
        problem.fit(np.arange(len(seen)), 1.0)


def test_no_cells_and_numbers_that_are_none_are_refused():
    seen, allowed, old, _ = cells()
    seen[3, 2] = np.nan
    with pytest.raises(SettingsError):
        Problem(seen, allowed, old)
    with pytest.raises(SettingsError):
        Problem(seen[:0], allowed[:0], old)


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_cells_left_out_have_no_say_in_what_is_said_of_them(folds):
    seen, allowed, old, truth = cells(90)
    fold = np.arange(90) // 3 % folds
    finer = fold * 10 + np.arange(90) // 30
    first = search(Problem(seen, allowed, old), fold, finer)
    changed = allowed.copy()
    changed[fold == 1] = changed[fold == 1][:, [1, 2, 0]]  # guard 13: their labels must not matter to themselves
    second = search(Problem(seen, changed, old), fold, finer)
    np.testing.assert_array_equal(second.left_out[fold == 1], first.left_out[fold == 1])
    assert np.abs(second.left_out[fold == 0] - first.left_out[fold == 0]).max() > 1e-3
    assert (first.left_out.argmax(1) == truth).mean() > (old.logits(seen).argmax(1) == truth).mean()
    assert min(first.losses) < first.before
    assert first.chosen == first.strengths[int(np.argmin(first.losses))]


def test_labels_without_sense_leave_the_old_layer_as_it_was():
    seen, allowed, old, _ = cells(90, shift=0.0)
    rng = np.random.default_rng(0)
    found = search(Problem(seen, allowed[rng.permutation(90)], old), np.arange(90) % 5, np.arange(90) % 5)
    wild = search(Problem(seen, allowed, old), np.arange(90) % 5, np.arange(90) % 5)
    assert min(wild.losses) <= wild.before
    assert found.chosen > found.strengths[-1]


def test_one_fold_is_refused():
    seen, allowed, old, _ = cells()
    with pytest.raises(SettingsError, match="one place"):
        search(Problem(seen, allowed, old), np.zeros(60, int), np.zeros(60, int))
