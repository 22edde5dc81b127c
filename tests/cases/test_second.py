"""A second reader who is not told what others said, and what the two make of each other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leukoscope.cases import open_case
from leukoscope.errors import CaseError


def test_a_second_reader_sees_the_model_and_nobody_else(case):
    case.relabel([1, 2], "monocyte", "mk")
    reader = case.second_reader("al")
    assert reader.labels([1, 2, 3]) == {1: "blast", 2: "lymphocyte", 3: "blast"}
    assert reader.cells["label"].tolist() == ["blast", "lymphocyte", "blast", "lymphocyte"]
    assert reader.cells["reviewed_by"].isna().all()
    event = reader.relabel([2, 3], "blast")
    assert (event.kind, event.reviewer, event.was) == ("read", "al", {2: "lymphocyte", 3: "blast"})
    assert reader.counts() == {"blast": 3, "lymphocyte": 1}
    assert reader.differential().percent["blast"] == 75
    assert reader.cells["reviewed_by"].tolist()[1:3] == ["al", "al"]
    assert case.labels([1, 2, 3]) == {1: "monocyte", 2: "monocyte", 3: "blast"}  # nothing shown has changed
    assert case.cells["reviewed_by"].isna().tolist() == [False, False, True, True]
    assert case.counts() == {"blast": 1, "lymphocyte": 1, "monocyte": 2}
    assert case.second_reader("bo").labels([2, 3]) == {2: "lymphocyte", 3: "blast"}


def test_the_models_labels_may_be_kept_from_him(case):
    case.relabel(1, "monocyte", "mk")
    reader = case.second_reader("al", hide_model=True)
    assert reader.counts() == {"unidentified": 4}
    reader.relabel(2, "blast")
    table = reader.cells
    assert table["label"].tolist() == ["unidentified", "blast", "unidentified", "unidentified"]
    assert table["source"].tolist() == ["hidden", "reviewer", "hidden", "hidden"]
    assert table[["probability", "entropy", "p_blast", "p_monocyte"]].isna().all(axis=None)
    assert reader.labels([1, 2]) == {1: "unidentified", 2: "blast"}
    assert reader.counts() == {"blast": 1, "unidentified": 3}
    assert case.events[-1].detail["model_hidden"] is True
    with pytest.raises(CaseError, match="2 of the cells have not been read"):
        reader.confirm([1, 2, 3])
    assert reader.read == {2: "blast"}


def test_each_undoes_his_own(case):
    case.relabel(1, "monocyte", "mk")
    one, two = case.second_reader("al"), case.second_reader("bo")
    one.relabel(1, "smudge")
    two.relabel(1, "lymphocyte")
    case.close()
    case = open_case(case.path)
    one, two = case.second_reader("al"), case.second_reader("bo")
    assert one.undo().target == 2
    assert one.undo() is None
    assert (one.labels([1]), two.labels([1]), case.labels([1])) == ({1: "blast"}, {1: "lymphocyte"}, {1: "monocyte"})
    case.undo()
    assert case.undo() is None
    assert two.labels([1]) == {1: "lymphocyte"}
    case.relabel(1, "blast", "mk")
    one.redo()  # what others did since does not take it away
    assert one.labels([1]) == {1: "smudge"}
    case.close()


def test_views_are_told_what_concerns_them(case):
    heard = []
    case.labels_changed.connect(lambda labels: heard.append(("case", labels)))
    reader = case.second_reader("al", hide_model=True)
    reader.labels_changed.connect(lambda labels: heard.append(("al", labels)))
    reader.relabel([1, 2], "smudge")
    reader.undo()
    assert heard == [("al", {1: "smudge", 2: "smudge"}), ("al", {1: "unidentified", 2: "unidentified"})]


def test_what_a_reader_cannot_say(case):
    reader = case.second_reader("al")
    for ids, label, words in [([9], "blast", "no cell 9"), ([], "blast", "no cell is chosen"), ([1], "blat", "'blat'")]:
        with pytest.raises(CaseError, match=words):
            reader.relabel(ids, label)
    with pytest.raises(CaseError, match="no cell is chosen"):
        reader.confirm([])
    with pytest.raises(CaseError, match="needs a name"):
        case.second_reader(" ")
    assert case.events == ()
    with open_case(case.path, readonly=True) as other, pytest.raises(CaseError, match="reading only"):
        other.second_reader("al").relabel(1, "blast")


def test_two_readers_are_compared_and_their_differences_decided(case):
    case.relabel([1, 2], "monocyte", "mk")
    case.confirm([3, 4], "mk")
    case.relabel(4, "smudge", "bo")  # somebody else's: not mk's
    reader = case.second_reader("al")
    reader.relabel([1, 2], "blast")
    reader.confirm(3)
    found = case.compare("mk", "al")
    assert (found.cells, found.labels_a, found.labels_b) == (
        (1, 2, 3),
        ("monocyte", "monocyte", "blast"),
        ("blast", "blast", "blast"),
    )
    assert found.pairs[2] == ("blast", "blast")
    assert found.disagreements == found.undecided == (1, 2)
    event = case.relabel(1, "blast", "mk", adjudicates=("mk", "al"))
    assert event.detail["adjudicates"] == ["al", "mk"]
    again = case.compare("al", "mk")
    assert again.labels_b == found.labels_a  # what mk decided later is not what they read
    assert (again.disagreements, again.undecided, again.adjudicated) == ((1, 2), (2,), {1: "blast"})
    assert case.labels([1]) == {1: "blast"}
    assert case.readers == ("al", "bo", "mk")
    assert case.read_by("mk")[4] == "lymphocyte"
    case.undo()
    assert case.compare("mk", "al").undecided == (1, 2)
    case.second_reader("mk").relabel(4, "smudge")  # who reads blinded is asked for that
    assert case.read_by("mk") == {4: "smudge"}
    case.second_reader("mk").undo()
    assert case.compare("mk", "al").pairs == found.pairs


def test_who_cannot_be_compared(case):
    case.relabel(1, "monocyte", "mk")
    with pytest.raises(CaseError, match="takes two readers"):
        case.compare("mk", "mk")
    with pytest.raises(CaseError, match=r"al has labeled no cell.* Readers are: mk"):
        case.compare("mk", "al")
    case.second_reader("al").relabel(2, "blast")
    assert case.compare("mk", "al").pairs == ()


def test_readings_survive_a_new_analysis(case, settings, make_cell):
    reader = case.second_reader("al")
    reader.relabel(1, "monocyte")
    reader.relabel(4, "smudge")
    run = case.begin_run(replace(settings, segmenter="spike"), 1)
    case.add_block(run, 0, [make_cell(600, 500), make_cell(104, 97)])
    case.finish_run(run, "completed")
    assert reader.read == {2: "monocyte"}
    assert case.cells["source"].tolist() == ["model", "model"]
    table = case.readings
    assert list(table.columns) == ["cell_id", "reader", "label", "at"]
    assert table["cell_id"].isna().tolist() == [False, True]
    assert table["label"].tolist() == ["monocyte", "smudge"]
    assert case.carried.empty  # those are the shown labels
    reader.undo()
    reader.undo()
    assert reader.read == {}
    reader.redo()
    assert reader.read == {2: "monocyte"}


def test_a_confirmation_is_a_review(case):
    events = case.confirm([1, 2, 3], "mk")
    assert [(event.kind, event.label, event.cells) for event in events] == [
        ("relabel", "blast", (1, 3)),
        ("relabel", "lymphocyte", (2,)),
    ]
    assert events[0].was == {1: "blast", 3: "blast"}
    assert case.cells["reviewed_by"].tolist()[:3] == ["mk"] * 3
    assert case.cells["label"].tolist() == ["blast", "lymphocyte", "blast", "lymphocyte"]
    case.undo()
    assert case.cells["source"].tolist() == ["reviewer", "model", "reviewer", "model"]
    with pytest.raises(CaseError, match="no cell is chosen"):
        case.confirm([])


def test_no_event_tells_him_what_the_model_said(case):
    reader = case.second_reader("al", hide_model=True)
    event = reader.relabel([1, 2], "monocyte")
    assert event.was == {1: "unidentified", 2: "unidentified"}
    assert reader.relabel(1, "blast").was == {1: "monocyte"}
    reader.undo()
    event = reader.undo()
    assert (event.was, event.became) == ({1: "monocyte", 2: "monocyte"}, {1: "unidentified", 2: "unidentified"})
    assert reader.redo().was == {1: "unidentified", 2: "unidentified"}
    assert case.second_reader("al").relabel(3, "monocyte").was == {3: "blast"}  # hidden no longer


def test_a_decision_is_between_two(case):
    for names in ("mk", ("mk",), ("mk", "mk"), ("mk", " "), ("a", "b", "c")):
        with pytest.raises(CaseError, match="a label decides between two readers"):
            case.relabel(1, "blast", "boss", adjudicates=names)
    assert case.relabel(1, "blast", "boss", adjudicates=(" mk ", "al")).detail["adjudicates"] == ["al", "mk"]
