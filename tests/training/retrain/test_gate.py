"""Through the gate: on what a new model is measured, and what lets it pass."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leukoscope import analyze, open_case, open_slide
from leukoscope.classification import load_model
from leukoscope.classification.bundle import read_bundle
from leukoscope.pipeline import embed_cells
from leukotrain.guards import GuardError
from leukotrain.retrain import GateRefusedError, RetrainPlan, retrain, retrain_plan


def test_the_gate_measures_slide_by_slide_on_cells_left_out(done):
    plan, result, _ = done
    gate = result.gate
    assert gate.on == "cells left out of the fit, slide by slide"
    assert (gate.cells, gate.groups) == (plan.cells, 3)
    assert {"macro-F1", "sensitivity, blast"} <= {f.name for f in gate.figures}
    text = gate.table()
    assert "| macro-F1 |" in text
    assert "verdict:" in text
    with open_case(plan.cases[0].path, readonly=True) as case:
        change = gate.changes[0]
        assert change.cells == len(case)
        assert change.unreviewed == ()  # every cell of these was reviewed
        assert change.verdict_before == change.verdict_after == case.differential().verdict


def test_flips_are_what_the_new_model_says(done, reviewed):
    _, result, _ = done
    new = load_model(result.folder, "cpu")
    with open_case(reviewed[0], readonly=True) as case:
        with open_slide(case.slide.address) as slide:
            ids = range(1, len(case) + 1)
            layer = new._network.get_classifier()
            seen = embed_cells(case, slide, ids, load_model("blood", "cpu"))
        logits = seen @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    raised = np.exp((logits - logits.max(1, keepdims=True)) / new.bundle.temperature)
    named = new.labels(raised / raised.sum(1, keepdims=True))
    for flip in result.gate.changes[0].flips:
        assert flip.after == named[flip.cell - 1]
        assert flip.before != flip.after


def test_locked_cases_are_measured_on_and_not_learned_from(cases, tmp_path):
    plan = retrain_plan(cases[:2], [cases[2]])
    result = retrain(plan, tmp_path / "m", device="cpu", overrule="K")
    assert result.gate.on == "the reviewed cells of locked cases"
    assert result.gate.cells == len(plan.locked[0])
    bundle, _ = read_bundle(result.folder)
    assert plan.locked[0].group not in bundle.training["groups"]["cases"]
    assert bundle.training["retrained"][-1]["locked"][0]["group"] == plan.locked[0].group


def test_one_slide_is_parted_into_blocks_and_that_is_said(cases, tmp_path):
    plan = retrain_plan(cases[:1])
    result = retrain(plan, tmp_path / "m", device="cpu", flips=False, overrule="K")
    assert "block by block" in result.gate.on
    assert result.gate.groups == 5
    assert any("One slide" in note for note in result.gate.notes)


def spoiled(plan: RetrainPlan) -> RetrainPlan:
    """A plan whose reviewers call blasts lymphocytes and the other way round, but in the locked case."""
    swap = {"blast": "lymphocyte", "lymphocyte": "blast"}
    worse = tuple(replace(c, labels=tuple(swap.get(label, label) for label in c.labels)) for c in plan.cases)
    true = tuple(replace(c, labels=tuple(c.called)) for c in plan.locked)  # of which the model has all right
    return replace(plan, cases=worse, locked=true)


def test_a_worse_model_is_refused_unless_overruled_by_name(cases, tmp_path):
    plan = spoiled(retrain_plan(cases[:2], [cases[2]]))
    with pytest.raises(GateRefusedError) as refused:
        retrain(plan, tmp_path / "worse", device="cpu", flips=False)
    assert not (tmp_path / "worse").exists()
    assert refused.value.gate.reasons
    assert "macro-F1" in str(refused.value)
    assert "| before | after |" in refused.value.gate.table()
    with pytest.raises(GateRefusedError):
        retrain(plan, tmp_path / "worse", device="cpu", flips=False, overrule="  ")
    result = retrain(plan, tmp_path / "worse", device="cpu", flips=False, overrule="Dr. Maria K")
    assert result.overruled_by == "Dr. Maria K"
    entry = read_bundle(result.folder)[0].training["retrained"][-1]
    assert entry["overruled_by"] == "Dr. Maria K"
    assert entry["gate"]["passed"] is False
    assert "Overruled by Dr. Maria K" in (result.folder / "README.md").read_text()


def shutil_twin(path: Path, folder: Path) -> Path:
    """Another case of the same slide."""
    import sqlite3

    twin = Path(shutil.copytree(path, folder / "twin.leuko"))
    with sqlite3.connect(twin / "case.sqlite") as db:
        db.execute("UPDATE meta SET value = '00000000-0000-0000-0000-000000000000' WHERE key = 'id'")
    db.close()
    return twin


def test_slides_that_trained_a_model_never_measure_it(done, cases, tmp_path):
    _, result, _ = done
    with pytest.raises(GuardError, match="guard 14"):
        retrain_plan(cases[:2], [cases[2]], model=str(result.folder))
    with pytest.raises(GuardError, match="guard 14"):
        retrain_plan(cases[:2], [shutil_twin(cases[1], tmp_path)])
    again = retrain_plan(cases, model=str(result.folder))
    assert again.unseen == ()
    assert any("trained on some of these slides" in note for note in again.notes)
    with pytest.raises(GateRefusedError, match="only 0 cells"):
        retrain(again, tmp_path / "again", device="cpu", flips=False)
    assert not (tmp_path / "again").exists()


def test_a_renamed_slide_that_trained_a_model_does_not_measure_it(done, reviewed, tmp_path):
    _, result, _ = done
    with open_case(reviewed[0], readonly=True) as first:
        copy = shutil.copy(first.slide.address, tmp_path / "another name.ome.tiff")
        with open_slide(copy) as slide:
            assert first.is_of(slide)
    with analyze(copy, tmp_path, segmenter="watershed", workers=1) as case:
        case.confirm(case.ids, "mk")
    with pytest.raises(GuardError, match="guard 14"):
        retrain_plan(reviewed[1:], [case.path], model=str(result.folder))
    with pytest.raises(GuardError, match="guard 14"):
        retrain_plan(reviewed, [case.path])
    moved = retrain_plan(reviewed[:1], slides={reviewed[0].name: copy})
    assert moved.cases[0].slide == str(copy)
