"""What a plan finds in reviewed cases, and what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leukoscope import open_case
from leukotrain.retrain import retrain, retrain_plan


def test_a_plan_tells_what_the_cases_hold(reviewed):
    plan = retrain_plan(reviewed[:2], [reviewed[2]])
    with open_case(reviewed[0], readonly=True) as first, open_case(reviewed[1], readonly=True) as second:
        total = len(first) + len(second)
    assert plan.cells == total == plan.corrected + plan.confirmed == sum(plan.by_class.values())
    assert set(plan.by_reviewer) == {"ab", "mk"}
    assert plan.slides == 2
    assert len(plan.locked[0]) > 0
    assert plan.classes[: len(plan.bundle.classes)] == plan.bundle.classes
    assert "| smear3.leuko |" in plan.table()
    assert plan.table().count("locked") == 1


def test_too_few_cells_of_a_new_class_are_left_out_and_said(cases):
    with open_case(cases[0]) as case:
        case.relabel([1, 2], "plasma_cell", reviewer="mk")
    before = sum(map(cells_in, cases))
    plan = retrain_plan(cases)
    assert plan.new_classes == ()
    assert plan.cells == before - 2
    assert any("plasma_cell" in note for note in plan.notes)


def cells_in(path: Path) -> int:
    with open_case(path, readonly=True) as case:
        return len(case)


def test_cells_left_unidentified_teach_nothing(cases):
    with open_case(cases[0]) as case:
        case.relabel([1, 2, 3], "unidentified", reviewer="mk")
    plan = retrain_plan(cases)
    assert plan.cases[0].unidentified == 3
    assert any("unidentified" in note for note in plan.notes)


@pytest.mark.parametrize("other", [False, True])
def test_removed_cells_are_neither_learned_from_nor_flipped(cases, tmp_path, other):
    with open_case(cases[0]) as case:
        count = len(case)
        case.edit_outlines([1, 3], [], reviewer="mk")
        ids = case.ids
    plan = retrain_plan(cases)
    assert plan.cases[0].cells == count - 2
    assert set(plan.cases[0].ids.tolist()) <= set(ids)
    if other:  # a case that another model classified is embedded anew
        plan = replace(plan, bundle=replace(plan.bundle, fingerprint="0" * 16))
    result = retrain(plan, tmp_path / "m", device="cpu", overrule="K")
    assert result.gate.changes[0].cells == count - 2
    assert {flip.cell for flip in result.gate.changes[0].flips} <= set(ids)
