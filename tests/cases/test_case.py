"""What a user and an analysis do to a case, and what it shows then."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from leukoscope.cases import Case, RunStatus, open_case
from leukoscope.classification.taxonomy import CellClass
from leukoscope.errors import CaseError, SettingsError

from .on_a_file import reopened

COLUMNS = [
    *("cell_id", "x", "y", "x_um", "y_um", "area_um2", "nucleus_area_um2", "label", "source", "probability", "entropy"),
    *("p_blast", "p_lymphocyte", "p_monocyte", "reviewed_by", "reviewed_at", "model", "segmenter"),
]


def test_cells_have_the_columns_of_cells_csv(case):
    table = case.cells
    assert list(table.columns) == COLUMNS
    assert table["cell_id"].tolist() == [1, 2, 3, 4]
    assert table["label"].tolist() == ["blast", "lymphocyte", "blast", "lymphocyte"]
    assert table["x_um"].tolist() == [25, 50, 75, 100]
    assert table["probability"].tolist() == pytest.approx([0.8, 0.675, 0.8, 0.6])
    p = np.array([0.8, 0.15, 0.05])
    assert table["entropy"][0] == pytest.approx(-(p * np.log2(p)).sum())
    assert set(table["source"]) == {"model"}
    assert table["reviewed_by"].isna().all()


def test_without_a_resolution_there_are_no_micrometers(tmp_path, slide, settings, make_cell):
    with Case.create(tmp_path / "a.leuko", replace(slide, mpp=None), settings) as case:
        case.add_block(case.begin_run(settings, 1), 0, [make_cell(10, 10)])
        assert case.cells[["x_um", "y_um"]].isna().all(axis=None)


def test_a_relabel_survives_the_program(case):
    before = case.cells
    event = case.relabel([2, 4], "monocyte", "mk")
    again = reopened(case)
    table = again.cells
    assert table["label"].tolist() == ["blast", "monocyte", "blast", "monocyte"]
    assert table["source"].tolist() == ["model", "reviewer", "model", "reviewer"]
    assert table["reviewed_by"][1] == "mk"
    assert table["reviewed_at"][1] == event.at
    assert table["probability"][1] == pytest.approx(before["p_monocyte"][1])
    assert again.events[-1] == event
    assert again.counts() == {"blast": 2, "monocyte": 2}
    again.close()


def test_undo_and_redo_are_events_too(case):
    case.relabel(1, "lymphocyte", "mk")
    case.relabel([1, 2], "monocyte", "mk")
    case.undo("mk")
    assert case.labels([1, 2]) == {1: "lymphocyte", 2: "lymphocyte"}
    case = reopened(case)
    case.undo()
    assert case.labels([1]) == {1: "blast"}
    assert case.undo() is None
    case.redo()
    case.redo()
    assert case.redo() is None
    assert case.labels([1, 2]) == {1: "monocyte", 2: "monocyte"}
    assert [event.kind for event in case.events] == ["relabel", "relabel", "undo", "undo", "redo", "redo"]
    case.undo()
    case.relabel(3, "monocyte")
    assert case.redo() is None  # what came after it took its place
    case.close()


def test_what_cannot_be_relabeled(case):
    for ids, label, words in [([9], "blast", "no cell 9"), ([], "blast", "no cell is chosen"), ([1], "blat", "'blat'")]:
        with pytest.raises(CaseError, match=words):
            case.relabel(ids, label, "mk")
    assert case.events == ()


def test_a_class_of_the_laboratorys_own(case):
    case.add_class(CellClass("promonocyte", "Promonocyte", "#123456"))
    case.relabel(1, "promonocyte", "mk")
    case = reopened(case)
    assert case.taxonomy["promonocyte"].name == "Promonocyte"
    assert case.differential().counts["promonocyte"] == 1
    assert np.isnan(case.cells["probability"][0])  # the model gave it none
    with pytest.raises(SettingsError, match="twice"):
        case.add_class(CellClass("promonocyte", "Again", "#123456"))
    case.close()


def test_differential_follows_every_event(case):
    assert case.differential().percent["blast"] == 50
    case.relabel([2, 4], "blast", "mk")
    assert case.differential().percent["blast"] == 100
    case.relabel([1], "artefact", "mk")
    assert case.differential().denominator == 3
    case.undo()
    case.undo()
    assert case.differential("marrow").percent["blast"] == 50
    assert case.differential().counts["monocyte"] == 0  # the model would know one


def test_blocks_come_in_order_once_and_whole(tmp_path, slide, settings, make_cell):
    with Case.create(tmp_path / "a.leuko", slide, settings) as case:
        run = case.begin_run(settings, 3)
        with pytest.raises(CaseError, match=r"block 1 is out of order\. Commit block 0 of 3"):
            case.add_block(run, 1, [])
        assert case.add_block(run, 0, [make_cell(10, 10)]) == range(1, 2)
        with pytest.raises(CaseError, match="out of order"):
            case.add_block(run, 0, [make_cell(10, 10)])
        bad = replace(make_cell(30, 30), probabilities={"blast": 1.0})
        with pytest.raises(CaseError, match="other classes"):
            case.add_block(run, 1, [make_cell(20, 20), bad])
        assert len(case) == len(case.cells) == 1  # not even the good one of the bad block
        with pytest.raises(CaseError, match="only 1 of 3"):
            case.finish_run(run, "completed")
        assert case.add_block(run, 1, []) == range(2, 2)
        assert case.add_block(run, 2, [make_cell(40, 40), make_cell(50, 50)]) == range(2, 4)
        assert case.status == "partial: 3 of 3 blocks, running"
        assert case.finish_run(run, "completed").complete
        assert case.status == "completed"
        with pytest.raises(CaseError, match="not running"):
            case.add_block(run, 3, [])


def test_a_killed_run_goes_on_after_its_last_block(tmp_path, slide, settings, make_cell):
    case = Case.create(tmp_path / "a.leuko", slide, settings)
    case.add_block(case.begin_run(settings, 3), 0, [make_cell(10, 10)])
    case.relabel(1, "monocyte", "mk")
    case = reopened(case)
    assert case.status == "partial: 1 of 3 blocks, running"
    run = case.begin_run(settings, 3)
    assert (run.id, run.done, run.complete) == (1, 1, False)
    case.add_block(run, 1, [make_cell(20, 20)])
    case.finish_run(run, RunStatus.CANCELED)
    assert case.status == "partial: 2 of 3 blocks, canceled"
    run = case.begin_run(settings, 3)
    case.add_block(run, 2, [make_cell(30, 30)])
    case.finish_run(run, "completed")
    assert case.cells["label"].tolist() == ["monocyte", "blast", "blast"]
    done = case.begin_run(settings, 3)
    assert done.complete
    assert done.done == 3
    anew = case.begin_run(settings, 3, resume=False)
    assert (anew.id, anew.done) == (2, 0)
    case.close()


def test_profile_and_notes_do_not_make_another_run(case, settings):
    run = case.begin_run(replace(settings, profile="marrow", notes={"device": "cpu"}), 2)
    assert run.complete
    assert case.differential().profile.name == "marrow"
    assert not case.begin_run(replace(settings, options={"block": 512}), 2).complete


def test_a_new_analysis_keeps_the_reviewers_labels(case, settings, make_cell):
    case.relabel(1, "monocyte", "mk")
    case.relabel(4, "eosinophil", "al")
    run = case.begin_run(replace(settings, segmenter="spike"), 1)
    # Cell 1 again, a little shifted, with an id of its own; 4 is not found; one is new.
    case.add_block(run, 0, [make_cell(600, 500), make_cell(203, 101, 0.1), make_cell(104, 97)])
    assert case.cells["label"].tolist() == [
        "monocyte",
        "lymphocyte",
        "blast",
        "eosinophil",
    ]  # the old view, till the end
    case.finish_run(run, "completed")
    assert case.cells["label"].tolist() == ["blast", "lymphocyte", "monocyte"]
    assert case.cells["reviewed_by"][2] == "mk"
    assert case.carried["cell_id"].isna().tolist() == [False, True]
    orphan = case.orphans.iloc[0]
    assert (orphan["cell"], orphan["label"], orphan["reviewed_by"], orphan["x"]) == (4, "eosinophil", "al", 400)

    case = reopened(case)
    assert len(case.orphans) == 1
    # Undo reaches through the new analysis: first the orphan's label, then the one that was carried.
    case.undo()
    assert case.cells["label"].tolist() == ["blast", "lymphocyte", "monocyte"]
    assert case.orphans.empty
    case.undo()
    assert case.cells["label"].tolist() == ["blast", "lymphocyte", "blast"]
    case.redo()
    case.redo()
    # A third analysis finds the orphan again.
    run = case.begin_run(replace(settings, segmenter="third"), 1)
    case.add_block(run, 0, [make_cell(401, 101), make_cell(104, 97)])
    case.finish_run(run, "completed")
    assert case.cells["label"].tolist() == ["eosinophil", "monocyte"]
    assert case.orphans.empty
    case.close()


def test_two_old_cells_do_not_share_a_new_one(case, settings, make_cell):
    case.relabel([1], "monocyte", "mk")
    case.relabel([2], "eosinophil", "mk")
    run = case.begin_run(replace(settings, segmenter="merging"), 1)
    case.add_block(run, 0, [make_cell(160, 100, radius=70)])  # covers both, the second more nearly centered
    case.finish_run(run, "completed")
    assert case.carried["cell_id"].notna().sum() == 1
    assert len(case.orphans) == 1


@pytest.mark.parametrize("reason", ["canceled", "errored"])
def test_a_new_analysis_that_fails_leaves_the_old_view(case, settings, make_cell, reason):
    before = case.cells
    run = case.begin_run(replace(settings, model="other"), 2)
    case.add_block(run, 0, [make_cell(600, 500)])
    case.finish_run(run, reason, "why")
    pd.testing.assert_frame_equal(case.cells, before)
    assert case.status == "completed"
    assert case.runs[-1].detail == "why"
    again = case.begin_run(replace(settings, model="other"), 2)
    assert (again.id, again.done) == (run.id, 1)


def test_a_partial_view_gives_way_to_the_next_run_unless_it_was_reviewed(tmp_path, slide, settings, make_cell):
    with Case.create(tmp_path / "a.leuko", slide, settings) as case:
        case.add_block(case.begin_run(settings, 2), 0, [make_cell(10, 10)])
        second = case.begin_run(replace(settings, model="second"), 2)
        case.add_block(second, 0, [make_cell(20, 20)])
        assert case.cells["x"].tolist() == [20]
        case.relabel(1, "monocyte", "mk")
        third = case.begin_run(replace(settings, model="third"), 2)
        case.add_block(third, 0, [make_cell(30, 30)])
        assert case.cells["x"].tolist() == [20]
        case.add_block(third, 1, [make_cell(21, 20)])
        case.finish_run(third, "completed")
        assert case.cells["label"].tolist() == ["blast", "monocyte"]


def test_one_process_writes_and_others_look_on(case, make_cell, settings):
    with open_case(case.path) as second:
        assert second.readonly
        assert not case.readonly
        with pytest.raises(CaseError, match="reading only"):
            second.relabel(1, "monocyte", "mk")
        case.relabel(1, "monocyte", "mk")
        second.refresh()
        assert second.labels([1]) == {1: "monocyte"}
    case.close()
    with open_case(case.path) as third, open_case(case.path, readonly=True) as fourth:
        assert not third.readonly
        assert fourth.readonly


def test_views_are_told(case, settings, make_cell):
    heard = []
    case.labels_changed.connect(lambda labels: heard.append(("labels", labels)))
    case.events_changed.connect(lambda event: heard.append(("event", event.kind)))
    case.cells_added.connect(lambda ids: heard.append(("cells", list(ids))))
    case.view_replaced.connect(lambda: heard.append(("replaced", None)))
    case.relabel([1, 3], "monocyte", "mk")
    case.undo()
    expected = [("event", "relabel"), ("labels", {1: "monocyte", 3: "monocyte"})]
    expected += [("event", "undo"), ("labels", {1: "blast", 3: "blast"})]
    assert heard == expected
    heard.clear()
    run = case.begin_run(replace(settings, model="m2"), 1)
    case.add_block(run, 0, [make_cell(1, 1)])
    assert heard == []  # the old cells are still shown
    case.finish_run(run, "completed")
    assert heard[0] == ("replaced", None)


def test_a_reviewer_works_while_blocks_come_in(tmp_path, slide, settings, make_cell):
    with Case.create(tmp_path / "a.leuko", slide, settings) as case:
        run = case.begin_run(settings, 40)
        case.add_block(run, 0, [make_cell(5, 5)])
        failures = []

        def work():
            try:
                for index in range(1, 40):
                    case.add_block(run, index, [make_cell(5 + index, 5)])
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        for number in range(20):
            case.relabel(1 + number % len(case), "monocyte", "mk")
            table = case.cells
            assert table["cell_id"].tolist() == list(range(1, len(table) + 1))
        thread.join()
        assert not failures
        assert len(case) == 40
        assert sum(case.counts().values()) == 40


def test_outlines_come_back_as_they_went_in(case, make_cell):
    assert case.outlines([3])[3][0].equals(make_cell(300, 100).cell)
    assert list(case.outlines()) == [1, 2, 3, 4]
    assert case.outlines([]) == {}
