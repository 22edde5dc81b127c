"""From reviewed cases to a new bundle, through the gate."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from smears import small_smear, write_ome_tiff

from leukoscope import analyze, open_case, open_slide
from leukoscope.cases import Case
from leukoscope.classification import load_model
from leukoscope.classification.bundle import read_bundle
from leukoscope.classification.taxonomy import CellClass
from leukoscope.errors import CaseError, LeukoscopeError, SettingsError
from leukoscope.pipeline import embed_case, embed_cells
from leukotrain.cli import main
from leukotrain.guards import GuardError
from leukotrain.retrain import (
    CanceledError,
    GateRefusedError,
    RetrainPlan,
    RetrainProgress,
    Stage,
    retrain,
    retrain_plan,
)
from leukotrain.retraining import writing

MIX = (("blast", 0.4), ("lymphocyte", 0.3), ("monocyte", 0.3))


def truth_of(case: Case, table) -> list[str]:
    """What the renderer drew where a cell was found; nothing drawn there: an artefact."""
    names = {"smudge": "smudge", "platelet_clump": "platelet_clump"}
    drawn = table[["x", "y"]].to_numpy(float)
    out = []
    for x, y in case.cells[["x", "y"]].to_numpy(float):
        away = np.hypot(*(drawn - (x, y)).T)
        label = str(table["label"].iloc[int(away.argmin())])
        out.append(names.get(label, label) if away.min() < 15 and label in {*names, *dict(MIX)} else "artefact")
    return out


@pytest.fixture(scope="session")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Three cases, every cell confirmed or corrected."""
    folder, out = tmp_path_factory.mktemp("retrain"), []
    for seed in (1, 2, 3):
        smear = small_smear(seed=seed, size=1000, mpp=0.25, white_cells=18, mix=MIX, clumping=0.0)
        slide = write_ome_tiff(folder / f"smear{seed}.ome.tiff", smear.rgb, mpp=0.25, levels=2)
        with analyze(slide, folder, segmenter="watershed", workers=1) as case:
            for cell, label in enumerate(truth_of(case, smear.table), 1):
                case.relabel(cell, label, reviewer="mk" if cell % 2 else "ab")
            with open_slide(slide) as pixels:
                embed_case(case, pixels, "cpu")  # copies of the case have it, too
            out.append(case.path)
    return tuple(out)


@pytest.fixture
def cases(reviewed: tuple[Path, ...], tmp_path: Path) -> list[Path]:
    """Copies to play with."""
    return [Path(shutil.copytree(path, tmp_path / "cases" / path.name)) for path in reviewed]


@pytest.fixture(scope="session")
def done(reviewed: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory):
    """A retrained head, what was said meanwhile, and the plan."""
    said: list[RetrainProgress] = []
    plan = retrain_plan(reviewed)
    out = tmp_path_factory.mktemp("models") / "mine"
    return plan, retrain(plan, out, device="cpu", overrule="Dr. K", progress=said.append), said


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


def test_a_full_disk_is_told_in_one_line(cases, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "write_bundle", full)
    with pytest.raises(SettingsError, match="the model cannot be written"):
        retrain(retrain_plan(cases), tmp_path / "m", device="cpu", flips=False, overrule="Dr. K")


def shutil_twin(path: Path, folder: Path) -> Path:
    """Another case of the same slide."""
    import sqlite3

    twin = Path(shutil.copytree(path, folder / "twin.leuko"))
    with sqlite3.connect(twin / "case.sqlite") as db:
        db.execute("UPDATE meta SET value = '00000000-0000-0000-0000-000000000000' WHERE key = 'id'")
    db.close()
    return twin


def test_locked_cases_are_measured_on_and_not_learned_from(cases, tmp_path):
    plan = retrain_plan(cases[:2], [cases[2]])
    result = retrain(plan, tmp_path / "m", device="cpu", overrule="K")
    assert result.gate.on == "the reviewed cells of locked cases"
    assert result.gate.cells == len(plan.locked[0])
    bundle, _ = read_bundle(result.folder)
    assert plan.locked[0].group not in bundle.training["groups"]["cases"]
    assert bundle.training["retrained"][-1]["locked"][0]["group"] == plan.locked[0].group


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


def test_one_slide_is_parted_into_blocks_and_that_is_said(cases, tmp_path):
    plan = retrain_plan(cases[:1])
    result = retrain(plan, tmp_path / "m", device="cpu", flips=False, overrule="K")
    assert "block by block" in result.gate.on
    assert result.gate.groups == 5
    assert any("One slide" in note for note in result.gate.notes)


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


def test_too_few_cells_of_a_new_class_are_left_out_and_said(cases):
    with open_case(cases[0]) as case:
        case.relabel([1, 2], "plasma_cell", reviewer="mk")
    before = sum(len(open_and_close(path)) for path in cases)
    plan = retrain_plan(cases)
    assert plan.new_classes == ()
    assert plan.cells == before - 2
    assert any("plasma_cell" in note for note in plan.notes)


def open_and_close(path: Path) -> list[int]:
    with open_case(path, readonly=True) as case:
        return case.cells["cell_id"].tolist()


def test_cells_left_unidentified_teach_nothing(cases):
    with open_case(cases[0]) as case:
        case.relabel([1, 2, 3], "unidentified", reviewer="mk")
    plan = retrain_plan(cases)
    assert plan.cases[0].unidentified == 3
    assert any("unidentified" in note for note in plan.notes)


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


def test_a_case_that_is_open_already_is_used_as_it_is(cases, tmp_path):
    (cases[0] / "embeddings.npy").unlink()
    with open_case(cases[0]) as first, open_case(cases[1]) as second:
        plan = retrain_plan([first, second])
        result = retrain(plan, tmp_path / "m", device="cpu", overrule="K", ready=[first, second])
        assert not first.readonly
    assert (cases[0] / "embeddings.npy").is_file()
    assert result.folder.is_dir()


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


def test_a_case_that_changed_since_the_plan_is_refused(cases, tmp_path):
    plan = retrain_plan(cases)
    other = replace(plan, cases=(replace(plan.cases[0], cells=plan.cases[0].cells + 1), *plan.cases[1:]))
    with pytest.raises(CaseError, match="changed since"):
        retrain(other, tmp_path / "m", device="cpu", flips=False)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda c, t: retrain_plan(c, mode="half"), "no mode 'half'"),
        (lambda c, t: retrain_plan([c[0], c[0]]), "named twice"),
        (lambda c, t: retrain_plan([]), "too few"),
        (lambda c, t: retrain_plan(c, model="nothing"), "no such model"),
        (lambda c, t: retrain_plan([t / "none.leuko"]), "none.leuko"),
        (lambda c, t: retrain(retrain_plan(c), t / "m", name="No Name"), "no name of a model"),
        (lambda c, t: retrain(retrain_plan(c), retrain_plan(c).bundle.folder), "take the place"),
        (lambda c, t: retrain(retrain_plan(c), c[0]), "holds something that is no bundle"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(reviewed, tmp_path, ask: Callable[..., object], words):
    with pytest.raises(LeukoscopeError, match=words):
        ask(list(reviewed), tmp_path)


@pytest.fixture
def leukotrain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command line, in this process: importing torch anew takes longer than all that it is asked to do."""
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["leukotrain", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


def test_the_command_prints_before_and_after(leukotrain, cases, tmp_path):
    given = [word for path in cases for word in ("--case", path)]
    out = tmp_path / "m"
    code, text, said = leukotrain("retrain", *given, "--out", out, "--device", "cpu", "--overrule", "K", "--list-flips")
    assert code == 0, said
    assert "| case | cells | reviewed |" in text
    assert "| figure | before | after | change | cells | gate |" in text
    assert "| case | cell | before | after | reviewer |" in text
    assert json.loads((out / "model.json").read_text())["name"] == "blood-retrained"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--case", "none.leuko"], "none.leuko"),
        (["--case", "{0}", "--locked", "{0}"], "named twice"),
        (["--case", "{0}", "--map", "nonsense"], "NAME=VALUE"),
    ],
)
def test_the_command_fails_in_one_line(leukotrain, reviewed, tmp_path, arguments, words):
    code, _, said = leukotrain("retrain", *(a.format(reviewed[0]) for a in arguments), "--out", tmp_path / "m")
    assert code == 2, said
    assert len(said.strip().splitlines()) == 1, said
    assert words in said
    assert "Traceback" not in said


def test_a_refusal_prints_the_table_and_ends_in_one_line(leukotrain, reviewed, tmp_path, monkeypatch):
    monkeypatch.setattr("leukotrain.retraining.gate.FEWEST_TO_JUDGE", 10_000)
    given = [word for path in reviewed for word in ("--case", path)]
    code, text, said = leukotrain("retrain", *given, "--out", tmp_path / "m", "--device", "cpu", "--no-flips")
    assert code == 2
    assert "| figure | before | after |" in text
    assert len(said.strip().splitlines()) == 1, said
    assert not (tmp_path / "m").exists()


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
