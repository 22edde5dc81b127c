"""On numbers: what the gate lets pass, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from leukotrain.retraining.gate import FEWEST_TO_JUDGE, MARGIN, GateRefusedError, compare

CLASSES = ("blast", "lymphocyte", "monocyte")


def answers(labels: list[str], wrong: list[int], classes=CLASSES) -> np.ndarray:
    out = np.zeros((len(labels), len(classes)))
    for i, label in enumerate(labels):
        at = classes.index(label)
        out[i, (at + 1) % len(CLASSES) if i in wrong else at] = 1
    return out


LABELS = [CLASSES[i % 3] for i in range(90)]
GROUPS = [f"slide-{i % 6}" for i in range(90)]


def test_a_better_model_passes():
    gate = compare(LABELS, GROUPS, answers(LABELS, list(range(30))), answers(LABELS, []), CLASSES)
    assert gate.passed
    assert "refused" not in gate.table()
    value = {f.name: (f.before[0], f.after[0]) for f in gate.figures}
    assert value["macro-F1"] == (pytest.approx(2 / 3, abs=0.01), 1)
    assert "accuracy of the majority, blast" in value
    assert {m.name for m in gate.metrics()} >= {"macro-F1", "sensitivity, blast", "F1, monocyte"}


def test_the_same_model_passes():
    gate = compare(LABELS, GROUPS, answers(LABELS, [3, 4]), answers(LABELS, [3, 4]), CLASSES)
    assert gate.passed
    assert all(f.change[0] == 0 for f in (*gate.figures, *gate.by_class) if np.isfinite(f.change[0]))


def test_more_than_the_margin_is_refused():
    missed = [0, 3]  # 2 of 30 blasts
    gate = compare(LABELS, GROUPS, answers(LABELS, []), answers(LABELS, missed), CLASSES)
    assert MARGIN < 2 / 30
    assert any("sensitivity, blast" in reason for reason in gate.reasons)
    assert "worse" in gate.table()
    assert "sensitivity" in str(GateRefusedError(gate))


def test_less_than_the_margin_is_refused_where_it_is_certain():
    labels = [CLASSES[i % 2] for i in range(2000)]
    groups = [str(i) for i in range(2000)]
    missed = list(range(0, 60, 2))  # 30 of 1000 blasts: 0.03
    few = list(range(0, 30, 2))  # 15 of 1000: 0.015, below the margin, but every one of them is lost
    assert not compare(labels, groups, answers(labels, []), answers(labels, missed), CLASSES).passed
    gate = compare(labels, groups, answers(labels, []), answers(labels, few), CLASSES)
    assert any("sensitivity" in reason for reason in gate.reasons)
    one = compare(labels, groups, answers(labels, [0]), answers(labels, [2, 4]), CLASSES)
    assert one.passed  # one cell more in a thousand, and chance could have it otherwise


def test_new_classes_do_not_pay_for_what_is_lost():
    classes = (*CLASSES, "plasma_cell")
    labels = LABELS + ["plasma_cell"] * 30
    groups = [*GROUPS, *(f"slide-{i % 6}" for i in range(30))]
    before = answers(labels, list(range(90, 120)), classes)
    before[90:, 3] = 5  # the old model has no say about a class that it does not know
    gate = compare(labels, groups, before, answers(labels, list(range(1, 20, 3)), classes), classes, ["plasma_cell"])
    values = {f.name: f for f in gate.figures}
    assert values["macro-F1, with new classes"].change[0] > 0
    assert values["macro-F1"].change[0] < 0
    assert not gate.passed
    recall = next(f for f in gate.by_class if f.name == "recall, plasma_cell")
    assert (recall.before[0], recall.after[0]) == (0, 1)


def test_too_few_cells_are_no_proof():
    n = FEWEST_TO_JUDGE - 1
    gate = compare(LABELS[:n], GROUPS[:n], answers(LABELS[:n], []), answers(LABELS[:n], []), CLASSES)
    assert not gate.passed
    nothing = compare([], [], np.empty((0, 3)), np.empty((0, 3)), CLASSES)
    assert not nothing.passed
    assert nothing.table()


def test_labels_that_say_several_classes_count_for_blasts_alone():
    classes = ("blast", "neutrophil_band", "neutrophil_segmented")
    labels = ["neutrophil"] * 30 + ["blast"] * 30
    given = np.zeros((60, 3))
    given[:30, 2] = given[30:, 0] = 1
    gate = compare(labels, [str(i) for i in range(60)], given, given, classes)
    cells = {f.name: f.cells for f in gate.figures}
    assert cells["specificity, blast"] == 30
    assert cells["accuracy"] == 30
