"""What is asked is held against what the cases hold, before any work."""

from __future__ import annotations

import shutil

import pytest
from safetensors import SafetensorError

from leukoscope import open_case
from leukoscope.classification.taxonomy import CellClass
from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain.guards import GuardError
from leukotrain.retrain import retrain, retrain_plan

from .test_gate import shutil_twin


@pytest.mark.parametrize("mapping", [{"blast": "lymphocite"}, {"blastt": "lymphocyte"}, {"blastt": ""}])
def test_a_slip_in_a_map_is_no_new_class(reviewed, mapping):
    with pytest.raises(SettingsError, match=r"no class '(lymphocite|blastt)' to map"):
        retrain_plan(reviewed, mapping=mapping)


def test_a_class_of_a_case_may_be_mapped_and_mapped_onto(cases):
    with open_case(cases[1]) as case:
        case.add_class(CellClass("sezary", "Sézary cell", "#123456"))
    assert retrain_plan(cases, mapping={"monocyte": "sezary"}).new_classes == ("sezary",)
    with pytest.raises(SettingsError, match=r"of your own: sezary"):
        retrain_plan(cases, mapping={"monocyte": "sezarry"})


def test_a_slide_is_given_for_a_case_that_is_there(reviewed):
    with pytest.raises(SettingsError, match=r"none of the cases.*smear1\.leuko"):
        retrain_plan(reviewed, slides={"smear9.leuko": "a.tiff"})


def test_a_slide_teaches_once(cases, tmp_path):
    twin = shutil_twin(cases[1], tmp_path)
    for learned, locked in (([*cases, twin], []), (cases[:1], [cases[1], twin])):
        with pytest.raises(SettingsError, match=r"same slide as .*smear2\.leuko"):
            retrain_plan(learned, locked)
    with pytest.raises(GuardError, match=r"the slide of smear2\.leuko"):
        retrain_plan(cases, [twin])


def test_what_two_readers_call_differently_is_told(cases):
    with open_case(cases[0]) as case:
        first, second, third, *_ = case.cells.loc[case.cells["label"] == "blast", "cell_id"].tolist()
        case.relabel([first, second, third], "lymphocyte", reviewer="zz")
        for name in ("mk", "ab"):
            case.relabel(third, "lymphocyte", reviewer="dr", adjudicates=(name, "zz"))
    plan = retrain_plan(cases)
    assert plan.by_class["lymphocyte"] > 0
    assert any(note.startswith("2 cells that two readers call differently") for note in plan.notes)


def test_one_class_alone_is_told_and_does_not_pass(cases, tmp_path):
    for path in cases:
        with open_case(path) as case:
            table = case.cells
            case.relabel(table.loc[table["label"] != "blast", "cell_id"].tolist(), "unidentified", reviewer="mk")
    plan = retrain_plan(cases)
    assert any("All reviewed cells are of one class, blast" in note for note in plan.notes)
    with pytest.raises(LeukoscopeError, match="all cells to measure on are blast"):
        retrain(plan, tmp_path / "m", device="cpu", flips=False)
    with pytest.raises(SettingsError, match="of one class, blast"):
        retrain_plan(cases, mode="full")


def test_no_room_and_no_folder_are_told_before_the_work(reviewed, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    plan = retrain_plan(reviewed)
    monkeypatch.setattr("leukotrain.retraining.by_head.by_head", None)
    with pytest.raises(LeukoscopeError, match="is a file"):
        retrain(plan, tmp_path / "file" / "m")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))
    with pytest.raises(LeukoscopeError, match="are free"):
        retrain(plan, tmp_path / "m")


def test_a_full_work_folder_is_told_before_cells_are_cut(reviewed, tmp_path, monkeypatch):
    plan = retrain_plan(reviewed, mode="full")
    room = shutil._ntuple_diskusage(10**8, 10**8 - 9_000_000, 9_000_000)  # for the new model, for no checkpoint
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    with pytest.raises(LeukoscopeError, match="the checkpoints take"):
        retrain(plan, tmp_path / "m", work=tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_disk_that_fills_meanwhile_is_told_in_one_line(reviewed, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("leukotrain.retraining.by_fit.save_file", full)
    with pytest.raises(LeukoscopeError, match="No space left"):
        retrain(retrain_plan(reviewed, mode="full"), tmp_path / "m", work=tmp_path / "work")


def test_balance_is_of_the_head_alone(reviewed, tmp_path):
    with pytest.raises(SettingsError, match="balance"):
        retrain(retrain_plan(reviewed, mode="full"), tmp_path / "m", balance=True)
