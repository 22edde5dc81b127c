"""From reviewed cases to a new bundle: the last layer fitted, or the whole network."""

from __future__ import annotations

import threading

import pytest

from leukoscope import open_case
from leukoscope.classification import load_model
from leukoscope.classification.bundle import read_bundle
from leukoscope.classification.taxonomy import CellClass
from leukoscope.errors import SettingsError
from leukotrain.retrain import CanceledError, RetrainProgress, Stage, retrain, retrain_plan


def test_the_head_is_fitted_measured_and_written(done):
    plan, result, said = done
    bundle, weights = read_bundle(result.folder)
    old = read_bundle(plan.bundle.folder)[1]
    changed = {key for key in old if old[key].shape != weights[key].shape or not bool((old[key] == weights[key]).all())}
    assert changed <= {"fc.weight", "fc.bias"}
    assert bundle.classes == plan.classes
    assert load_model(result.folder, "cpu").classes == plan.classes
    assert result.strength in [strength for strength, _ in result.curve]
    assert result.losses[-1] < result.losses[0]
    assert list(dict.fromkeys(at.stage for at in said)) == list(Stage)
    assert all(0 <= at.done <= at.total for at in said if at.stage is not Stage.FIT)
    assert any(at.left_out is not None and at.strength for at in said)
    assert [at.loss for at in said if at.stage is Stage.FIT] == list(result.losses)


def test_the_bundle_says_where_it_comes_from(done, reviewed):
    plan, result, _ = done
    bundle, _ = read_bundle(result.folder)
    (entry,) = bundle.training["retrained"]
    assert entry["parent"] == {"name": "blood", "fingerprint": plan.bundle.fingerprint}
    assert entry["cells"] == plan.cells
    assert entry["corrected"] + entry["confirmed"] == plan.cells
    assert entry["mode"] == "head"
    assert entry["fit"]["strength"] == result.strength
    assert bundle.training["groups"]["cases"] == sorted(case.group for case in plan.cases)
    assert set(plan.bundle.training["groups"]) < set(bundle.training["groups"])
    assert {m["name"] for m in bundle.metrics} >= {"macro-F1"}
    assert (bundle.temperature, bundle.threshold) == (plan.bundle.temperature, plan.bundle.threshold)
    text = (result.folder / "README.md").read_text()
    assert "## Retrained" in text
    assert plan.bundle.fingerprint in text
    stored = (result.folder / "model.json").read_text()
    assert '"mk"' not in stored  # reviewers' names stay in the case
    assert len(entry["cases"][0]["reviewers"]) == 2
    if result.gate.passed:
        assert entry["overruled_by"] == ""
    else:
        assert entry["overruled_by"] == "Dr. K"
        assert "Dr. K" in text


def test_a_class_of_ones_own_becomes_an_output(cases, tmp_path):
    for path in cases:
        with open_case(path) as case:
            case.add_class(CellClass("sezary", "Sézary cell", "#123456"))
            cells = case.cells
            case.relabel(cells.loc[cells["label"] == "monocyte", "cell_id"].tolist(), "sezary", reviewer="mk")
    plan = retrain_plan(cases)
    assert plan.new_classes == ("sezary",)
    result = retrain(plan, tmp_path / "m", device="cpu", overrule="K")
    model = load_model(result.folder, "cpu")
    assert model.classes == (*plan.bundle.classes, "sezary")
    recall = next(f for f in result.gate.by_class if f.name == "recall, sezary")
    assert recall.before[0] == 0
    mapped = retrain_plan(cases, mapping={"sezary": "lymphocyte"})
    assert mapped.new_classes == ()
    assert retrain_plan(cases, mapping={"sezary": ""}).cells < plan.cells
    with pytest.raises(SettingsError, match="class of one's own"):
        retrain_plan(cases, mode="full")


def test_a_case_that_is_open_already_is_used_as_it_is(cases, tmp_path):
    (cases[0] / "embeddings.npy").unlink()
    with open_case(cases[0]) as first, open_case(cases[1]) as second:
        plan = retrain_plan([first, second])
        result = retrain(plan, tmp_path / "m", device="cpu", overrule="K", ready=[first, second])
        assert not first.readonly
    assert (cases[0] / "embeddings.npy").is_file()
    assert result.folder.is_dir()


def test_it_can_be_stopped_and_nothing_is_written(cases, tmp_path):
    stop = threading.Event()

    def told(at: RetrainProgress) -> None:
        if at.stage is Stage.SEARCH and at.done >= 2:
            stop.set()

    with pytest.raises(CanceledError):
        retrain(retrain_plan(cases), tmp_path / "m", device="cpu", progress=told, cancel=stop.is_set)
    assert not (tmp_path / "m").exists()
    (cases[0] / "embeddings.npy").unlink()
    with pytest.raises(CanceledError):
        retrain(retrain_plan(cases), tmp_path / "m", device="cpu", cancel=lambda: True)


@pytest.mark.slow
def test_the_whole_network_is_fitted_and_goes_on(cases, tmp_path):
    plan = retrain_plan(cases[:2], [cases[2]], mode="full")
    said: list[RetrainProgress] = []
    settings = {"device": "cpu", "epochs": 2, "threads": 1, "work": tmp_path / "work", "overrule": "K"}
    stop = threading.Event()

    def told(at: RetrainProgress) -> None:
        said.append(at)
        if at.left_out is not None:
            stop.set()

    with pytest.raises(CanceledError):
        retrain(plan, tmp_path / "m", flips=False, progress=told, cancel=stop.is_set, **settings)
    result = retrain(plan, tmp_path / "m", **settings)
    bundle, weights = read_bundle(result.folder)
    assert bundle.training["retrained"][-1]["mode"] == "full"
    assert len(bundle.training["retrained"][-1]["fit"]["history"]) == 2
    assert len(result.curve) == 2
    assert result.gate.cells == len(plan.locked[0])
    assert plan.locked[0].group not in bundle.training["groups"]["cases"]
    assert bundle.training["groups"]["cases"] == sorted(case.group for case in plan.cases)
    assert any(at.stage is Stage.FIT and at.loss is not None for at in said)
    old = read_bundle(plan.bundle.folder)[1]
    assert weights.keys() == old.keys()
    assert any(not bool((old[key] == weights[key]).all()) for key in old if not key.startswith("fc."))
    assert load_model(result.folder, "cpu").classes == plan.classes


@pytest.mark.slow
def test_without_locked_cases_the_whole_network_keeps_some_out(cases, tmp_path):
    plan = retrain_plan(cases, mode="full")
    settings = {"device": "cpu", "epochs": 1, "threads": 1, "flips": False, "overrule": "K"}
    result = retrain(plan, tmp_path / "m", **settings)
    assert result.gate.on == "slides that were not trained on"
    assert 0 < result.gate.cells < plan.cells
    trained = read_bundle(result.folder)[0].training["groups"]["cases"]
    assert len(trained) == 2
    alone = retrain(retrain_plan(cases[:1], mode="full"), tmp_path / "one", **settings)
    assert alone.gate.on.startswith("blocks of the slides")
    assert any("Few slides" in note for note in alone.gate.notes)
    assert len(read_bundle(alone.folder)[0].training["groups"]["cases"]) == 1
