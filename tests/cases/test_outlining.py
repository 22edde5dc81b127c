"""Outlines drawn by reviewers: what a case shows after it, how it is undone, and what a new analysis leaves of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import shapely
import zarr
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from leukoscope.cases import CellRow, Drawn, RunSettings, open_case
from leukoscope.errors import CaseError

from .on_a_file import FEW_STEPS, OnAFile, reopened


def test_a_redrawn_cell_has_a_new_id_and_keeps_what_was_said_of_it(case, make_cell):
    case.relabel([1], "monocyte", "mk")
    event = case.edit_outlines([1], [Drawn(make_cell(102, 100, 0.1, radius=20), (1,))], "al")
    assert (event.kind, event.removed, event.drawn) == ("outline", (1,), {5: (1,)})
    assert (event.was, event.became) == ({1: "monocyte"}, {5: "monocyte"})
    case = reopened(case)
    table = case.cells
    assert table["cell_id"].tolist() == case.ids == [2, 3, 4, 5]
    assert table["label"].tolist() == ["lymphocyte", "blast", "lymphocyte", "monocyte"]
    assert table["reviewed_by"].tolist()[3] == "mk"
    assert table["segmenter"].tolist() == ["watershed"] * 3 + ["reviewer"]
    assert table["area_um2"].tolist()[3] == pytest.approx(100)
    assert table["p_blast"].tolist()[3] == pytest.approx(0.1)
    assert list(case.outlines()) == [2, 3, 4, 5]
    assert len(case) == 4
    assert case.counts() == {"blast": 1, "lymphocyte": 2, "monocyte": 1}
    assert case.events[-1] == event
    with pytest.raises(CaseError, match=r"cell 1 was removed.*undo"):
        case.relabel([1], "blast", "mk")
    every = case.all_cells
    assert every["cell_id"].tolist() == [1, 2, 3, 4, 5]
    assert every["removed"].tolist() == [True, False, False, False, False]
    case.undo("mk")
    assert case.ids == [1, 2, 3, 4]
    assert case.labels([1]) == {1: "monocyte"}
    assert (case.events[-1].removed, list(case.events[-1].drawn)) == ((5,), [1])
    assert (case.events[-1].was, case.events[-1].became) == ({5: "monocyte"}, {1: "monocyte"})
    case.undo("mk")
    assert case.labels([1]) == {1: "blast"}
    case.redo("mk")
    case = reopened(case)
    case.redo("mk")
    assert case.labels(case.ids) == {2: "lymphocyte", 3: "blast", 4: "lymphocyte", 5: "monocyte"}
    assert [event.kind for event in case.events] == ["relabel", "outline", "undo", "undo", "redo", "redo"]
    case.close()


def test_split_merge_add_and_delete_in_one_event(case, make_cell):
    case.relabel([1], "monocyte", "mk")
    case.relabel([3], "monocyte", "mk")
    added = [
        *(Drawn(make_cell(x, 100, radius=4), (1,)) for x in (95, 105)),
        Drawn(make_cell(350, 100, 0.2, radius=60), (3, 4)),
        make_cell(500, 500),
    ]
    event = case.edit_outlines([1, 2, 3, 4], added, "mk")
    assert event.drawn == {5: (1,), 6: (1,), 7: (3, 4), 8: ()}
    # What was said of a cell that was two is said of neither; what was said of a part is said of the whole.
    assert case.cells["label"].tolist() == ["blast", "blast", "monocyte", "blast"]
    assert case.cells["source"].tolist() == ["model", "model", "reviewer", "model"]
    row = case.history.iloc[-1]
    assert (row["cells"], row["was"], row["is"]) == (
        8,
        "monocyte (2), lymphocyte (2)",
        "4 removed, 4 drawn: blast (3), monocyte (1)",
    )
    case.undo()
    assert case.cells["label"].tolist() == ["monocyte", "lymphocyte", "monocyte", "lymphocyte"]
    case.edit_outlines([3, 1], [Drawn(make_cell(200, 100, 0.1, radius=110), (1, 3))])
    assert case.labels([9]) == {9: "monocyte"}  # both parts were said to be that
    case.undo()
    case.relabel([1], "blast")
    case.edit_outlines([3, 1], [Drawn(make_cell(200, 100, 0.1, radius=110), (1, 3))])
    assert case.labels([10]) == {10: "lymphocyte"}


def test_what_cannot_be_drawn_changes_nothing(case, make_cell):
    cell = make_cell(10, 10)
    bowtie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    for removed, added, words in [
        ([], [], "no outline is changed"),
        ([9], [], "no cell 9"),
        ([], [Drawn(cell, (1,))], "one that stays"),
        ([1], [replace(cell, cell=shapely.Point(1, 1))], "no polygon"),
        ([1], [replace(cell, cell=bowtie)], "no polygon"),
        ([1], [cell, replace(cell, probabilities={"blast": 1.0})], "drawn cell has probabilities of other classes"),
    ]:
        with pytest.raises(CaseError, match=words):
            case.edit_outlines(removed, added)
    assert case.events == ()
    assert case.last_id == 4
    case.relabel([1, 2, 3, 4], "blast")
    case.sign("Dr. K", review="none")
    with pytest.raises(CaseError, match="signed"):
        case.edit_outlines([1], [])
    with open_case(case.path) as second, pytest.raises(CaseError, match="signed"):
        second.edit_outlines([1], [])


def test_views_are_told_of_outlines(case, make_cell):
    heard = []
    case.outlines_changed.connect(lambda event: heard.append((event.kind, event.removed, event.drawn)))
    case.labels_changed.connect(heard.append)
    case.edit_outlines([1], [Drawn(make_cell(90, 90), (1,)), make_cell(500, 500)])
    case.undo()
    case.redo()
    assert heard == [
        ("outline", (1,), {5: (1,), 6: ()}),
        ("undo", (5, 6), {1: (5,)}),
        ("redo", (1,), {5: (1,), 6: ()}),
    ]


def test_every_export_has_the_cells_that_are_shown(case, make_cell):
    case.edit_outlines([2, 3], [Drawn(make_cell(300, 300, radius=30), (3,))])
    files = case.export(csv=True, geojson=True, labels=True, report=True)
    assert [line.split(",")[0] for line in files["cells.csv"].read_text().splitlines()] == ["cell_id", "1", "4", "5"]
    features = json.loads(files["cells.geojson"].read_text())["features"]
    assert [feature["id"] for feature in features] == [str(case.uuid(cell)) for cell in (1, 4, 5)]
    group = zarr.open_group(files["labels.zarr"], mode="r")
    assert set(np.unique(group["0"][:])) == {0, 1, 4, 5}
    assert [entry["label-value"] for entry in group.attrs["ome"]["image-label"]["properties"]] == [1, 4, 5]
    assert "of 3 cells found" in files["report.html"].read_text(encoding="utf-8")
    assert case.differential().counts["blast"] == 2


def test_qupath_brings_back_cells_that_were_removed_meanwhile(case):
    file = case.export(csv=False, geojson=True)["cells.geojson"]
    case.edit_outlines([2], [])
    found = case.import_geojson(file)
    assert (found.unchanged, found.absent, found.ignored) == (3, 0, {"removed here since the export": 1})


def test_a_second_reader_goes_on_with_a_redrawn_cell(case, make_cell):
    reader = case.second_reader("al")
    reader.relabel([1, 2], "monocyte")
    case.edit_outlines([1, 2], [Drawn(make_cell(100, 100, radius=12), (1,))])
    assert reader.read == {5: "monocyte"}
    assert reader.cells["cell_id"].tolist() == [3, 4, 5]
    assert sum(reader.counts().values()) == 3
    assert case.readings["cell_id"].isna().tolist() == [False, True]
    reader.undo()  # a cell that is not shown is not spoken of
    assert reader.read == {}
    case.undo()
    assert reader.cells["label"].tolist() == ["blast", "lymphocyte", "blast", "lymphocyte"]


def test_a_sample_follows_the_cells_that_were_drawn_anew(case, make_cell):
    sample = case.draw_sample(4, 1)
    merged = Drawn(make_cell(300, 100, radius=99), (3, 4))
    case.edit_outlines([1, 2, 3, 4], [Drawn(make_cell(100, 100, radius=12), (1,)), merged])
    sample = case.sample
    assert set(sample.cells) == {5, 2, 6, 4}
    assert set(sample.remaining) == {5, 6}
    assert sample.labels == {2: "artefact", 4: "artefact"}
    assert sample.model[5] == "blast"
    with pytest.raises(CaseError, match="2 cells are not reviewed"):
        case.sign("Dr. K", review="sample")
    case.confirm([5, 6])
    assert case.prevalence.reviewed == 4
    case.sign("Dr. K", review="sample")
    assert case.sample.population == {"blast": 2, "lymphocyte": 2}
    case.amend("Dr. K", "drawn again")
    assert set(case.draw_sample(2, 1).cells) == {5, 6}
    case.undo()
    case.undo()
    case.undo()
    assert set(case.sample.cells) <= {1, 2, 3, 4}


def test_a_new_analysis_loses_nothing_that_was_drawn(case, settings, make_cell):
    case.relabel([1], "monocyte", "mk")
    drawn = [Drawn(make_cell(110, 100, radius=15), (1,)), make_cell(500, 500), make_cell(600, 500, 0.1)]
    case.edit_outlines([1, 2], drawn, "al")
    run = case.begin_run(replace(settings, segmenter="spike"), 1)
    # The redrawn one, the one that was deleted, one of the two new ones, and another.
    rows = [make_cell(111, 100, radius=15), make_cell(200, 100), make_cell(501, 500), make_cell(700, 500)]
    case.add_block(run, 0, rows)
    case.finish_run(run, "completed")
    assert case.ids == [1, 3, 4]
    assert case.cells["label"].tolist() == ["monocyte", "blast", "blast"]
    assert case.carried["cell_id"].tolist()[:2] == [1, 3]
    orphan = case.orphans.iloc[0]
    assert (orphan["cell"], orphan["label"], orphan["reviewed_by"], orphan["x"], orphan["drawn"]) == (
        *(7, "lymphocyte", "al", 600),
        True,
    )
    case = reopened(case)
    assert case.ids == [1, 3, 4]
    case.undo()
    assert case.ids == [1, 2, 3, 4]  # it was not deleted; what was drawn is the new analysis' own by now
    assert case.orphans.empty
    case.undo()
    assert case.labels([1]) == {1: "blast"}
    case.redo()
    case.redo()
    assert case.ids == [1, 3, 4]
    assert case.labels([1]) == {1: "monocyte"}
    assert len(case.orphans) == 1
    # A third analysis finds the orphan, and still what was deleted.
    run = case.begin_run(replace(settings, segmenter="third"), 1)
    case.add_block(run, 0, [make_cell(601, 500), make_cell(199, 100)])
    case.finish_run(run, "completed")
    assert case.ids == [1]
    assert case.orphans["cell"].tolist() == [1, 6]
    case.close()


LABELS = ("blast", "lymphocyte")
PICK = st.lists(st.integers(0, 99), min_size=1, max_size=3)


class DrawnFile(OnAFile):
    """Relabels, edits, undo, redo and restarts in any order, against the whole state written down after each."""

    @initialize()
    def begin(self):
        self.create()
        run = self.case.begin_run(RunSettings("none", "none"), 1)
        self.case.add_block(run, 0, [self.row(i, "blast") for i in range(4)])
        self.case.finish_run(run, "completed")
        self.past, self.future = [{i + 1: ("blast", False) for i in range(4)}], []
        self.last = 4

    def row(self, number, label):
        box = shapely.box(10 * number, 10, 10 * number + 8, 18)
        return CellRow(box, None, 10 * number + 4, 14, 1, None, 1, dict.fromkeys(LABELS, 0.5), label)

    def pick(self, numbers):
        ids = sorted(self.past[-1])
        return sorted({ids[number % len(ids)] for number in numbers}) if ids else []

    def changed(self, state):
        self.past.append(state)
        self.future.clear()

    @rule(numbers=PICK, label=st.sampled_from(LABELS))
    def relabel(self, numbers, label):
        if ids := self.pick(numbers):
            self.case.relabel(ids, label, "r")
            self.changed(self.past[-1] | dict.fromkeys(ids, (label, True)))

    @rule(numbers=PICK, parts=st.integers(0, 3), label=st.sampled_from(LABELS))
    def draw(self, numbers, parts, label):
        ids = self.pick(numbers)
        if not ids and not parts:
            return
        state = dict(self.past[-1])
        was = [state.pop(cell) for cell in ids]
        said = {label for label, reviewed in was if reviewed}
        event = self.case.edit_outlines(ids, [Drawn(self.row(self.last + i, label), tuple(ids)) for i in range(parts)])
        assert event.removed == tuple(ids)
        for _ in range(parts):
            self.last += 1
            keeps = parts == 1 and len(said) == 1
            state[self.last] = (said.copy().pop(), True) if keeps else (label, False)
        assert event.became == {cell: state[cell][0] for cell in event.drawn}
        self.changed(state)

    @rule(kind=st.sampled_from(["undo", "redo"]))
    def step(self, kind):
        source, goal = (self.past, self.future) if kind == "undo" else (self.future, self.past)
        event = getattr(self.case, kind)("r")
        if len(source) == (kind == "undo"):
            assert event is None
            return
        before = self.past[-1]
        goal.append(source.pop())
        after = self.past[-1]
        assert {cell: after[cell][0] for cell in event.became} == event.became
        assert {cell: before[cell][0] for cell in event.was} == event.was
        assert before.keys() - after.keys() == set(event.removed)
        assert after.keys() - before.keys() == event.drawn.keys()

    @rule()
    def restart(self):
        self.case = reopened(self.case)

    @invariant()
    def holds(self):
        if not hasattr(self, "past"):
            return
        table, state = self.case.cells, self.past[-1]
        assert table["cell_id"].tolist() == self.case.ids == sorted(state)
        found = zip(table["label"], table["source"] == "reviewer", strict=True)
        assert [(label, bool(by)) for label, by in found] == [state[cell] for cell in sorted(state)]
        assert list(self.case.outlines()) == sorted(state)
        assert sum(self.case.counts().values()) == len(self.case) == len(state)
        assert self.case.last_id == self.last
        again = self.replayed()
        assert again.reviewed() == self.case._review.reviewed()
        assert again.edits.hidden == self.case._review.edits.hidden


DrawnFile.TestCase.settings = FEW_STEPS
TestDrawnFile = DrawnFile.TestCase
