from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.errors import SettingsError
from leukotrain.data.manifest import Manifest, Row, groups_hash
from leukotrain.data.splits import HOLDOUT, assign, holdout, kfold, leave_one_group_out

CELLS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 11).map(lambda i: f"g{i}")), min_size=12, max_size=80)
quick = settings(max_examples=40, deadline=None)


def enough(cells, parts):
    return len({group for _, group in cells}) >= parts


@quick
@given(CELLS, st.sampled_from([HOLDOUT, (0.5, 0.5), (0.2,) * 5]), st.integers(0, 3))
def test_no_group_is_cut_and_no_part_is_empty(cells, fractions, seed):
    if not enough(cells, len(fractions)):
        return
    labels, groups = zip(*cells, strict=True)
    part = assign(labels, groups, fractions, seed)
    for group in set(groups):
        assert len(set(part[np.array(groups) == group])) == 1
    assert set(part) == set(range(len(fractions)))


@quick
@given(CELLS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_same_seed_gives_the_same_split_whatever_the_order_of_the_cells(cells, seed, random):
    if not enough(cells, 3):
        return
    shuffled = list(cells)
    random.shuffle(shuffled)
    first, second = (
        {c[1]: int(p) for c, p in zip(some, assign(*zip(*some, strict=True), HOLDOUT, seed), strict=True)}
        for some in (cells, shuffled)
    )
    assert first == second


@quick
@given(st.lists(st.integers(1, 9), min_size=3, max_size=9), st.lists(st.integers(1, 9), min_size=3, max_size=9))
def test_each_part_has_each_class_that_has_a_group_for_it(first, second):
    cells = [("a", f"a{i}") for i, n in enumerate(first) for _ in range(n)]
    cells += [("b", f"b{i}") for i, n in enumerate(second) for _ in range(n)]
    labels, groups = (np.array(x) for x in zip(*cells, strict=True))
    part = assign(labels, groups, HOLDOUT)
    for label in "ab":
        assert set(part[labels == label]) == {0, 1, 2}


def test_fractions_are_met_in_every_class_where_groups_are_small():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 300, 3000)
    labels = np.where(rng.random(3000) < 0.2, "rare", "common")
    part = assign(labels.tolist(), [str(g) for g in groups], HOLDOUT)
    for label in ("rare", "common"):
        found = np.bincount(part[labels == label], minlength=3) / np.sum(labels == label)
        np.testing.assert_allclose(found, HOLDOUT, atol=0.01)


def test_two_donors_of_a_class_go_to_train_and_test():
    # The lot of C-NMC: patients of one class, and too few donors for three parts.
    cells = [("blast", f"p{i}") for i in range(7) for _ in range(200)] + [("normal", f"d{i}") for i in range(2)] * 300
    labels, groups = (np.array(x) for x in zip(*cells, strict=True))
    part = assign(labels, groups, HOLDOUT)
    assert set(part[labels == "normal"]) == {0, 2}
    assert set(part[labels == "blast"]) == {0, 1, 2}


def test_another_seed_may_split_otherwise():
    groups = [f"g{i}" for i in range(60)]
    found = {tuple(assign(["a"] * 60, groups, HOLDOUT, seed)) for seed in range(5)}
    assert len(found) > 1


def test_folds_are_of_one_size_and_cover_all():
    groups = [f"g{i // 4}" for i in range(100)]
    fold = kfold(["a", "b"] * 50, groups, 5, seed=3)
    assert np.bincount(fold).tolist() == [20] * 5


def test_each_group_is_left_out_once():
    groups = ["p2", "p1", "p2", "p3"]
    left = list(leave_one_group_out(groups))
    assert [name for name, _ in left] == ["p1", "p2", "p3"]
    assert np.sum([mask for _, mask in left], axis=0).tolist() == [1, 1, 1, 1]
    assert left[1][1].tolist() == [True, False, True, False]


ROW = Row("", "", "blast", "", "here", 0.1, "test")
MADE = replace(ROW, synthetic=True, generator="g", generator_groups=groups_hash(["p1"]))


def test_rows_get_their_splits_and_synthetic_ones_stay_in_training():
    rows = [replace(ROW, image=f"{i}.png", group=f"p{i % 10}", label=("blast", "monocyte")[i % 2]) for i in range(60)]
    rows.insert(7, replace(MADE, image="s.png", group="made"))
    split = holdout(rows, seed=1)
    assert [r.image for r in split] == [r.image for r in rows]
    assert split[7].split == "train"
    Manifest(split).check_classes()
    assert {r.split for r in split} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: assign(["a"], ["g", "h"], (0.5, 0.5)), "labels for"),
        (lambda: assign(["a"] * 2, ["g", "h"], (0.5, 0.6)), "no shares"),
        (lambda: assign(["a"] * 2, ["g", "h"], (1.0, 0.0)), "no shares"),
        (lambda: assign(["a"] * 9, ["g", "h", "h"] * 3, HOLDOUT), "2 groups cannot be shared out to 3"),
        (lambda: kfold(["a"], ["g"], 1), "folds"),
        (lambda: list(leave_one_group_out(["g", "g"])), "one group"),
        (lambda: holdout([replace(ROW, group="p"), replace(MADE, group="p")]), "real and synthetic"),
        (lambda: holdout([ROW], (0.5, 0.5)), "three"),
    ],
)
def test_what_cannot_be_split_is_said(call, words):
    with pytest.raises(SettingsError, match=words):
        call()
