"""The log of events against the simplest model there could be: the labels after each step, written down whole."""

from __future__ import annotations

from dataclasses import replace

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from leukoscope.cases import CellRow, RunSettings
from leukoscope.cases._review import Review
from leukoscope.cases.records import Carried, Event
from leukoscope.errors import CaseError

from .on_a_file import FEW_STEPS, OnAFile, reopened

LABELS = ["blast", "lymphocyte", "monocyte", "smudge"]
IDS = st.lists(st.integers(1, 6), min_size=1, unique=True)
READERS = st.sampled_from(["al", "bo"])
STEPS = st.lists(
    st.one_of(st.tuples(st.just("relabel"), IDS, st.sampled_from(LABELS)), st.just(("undo",)), st.just(("redo",))),
    max_size=40,
)


class Snapshots:
    """The whole state after each relabel: undo and redo step through them."""

    def __init__(self, labels):
        self.past, self.future = [dict(labels)], []

    @property
    def now(self):
        return self.past[-1]

    def step(self, kind, ids=(), label=""):
        if kind == "relabel":
            self.past.append(self.now | dict.fromkeys(ids, label))
            self.future.clear()
        elif kind == "undo" and len(self.past) > 1:
            self.future.append(self.past.pop())
        elif kind == "redo" and self.future:
            self.past.append(self.future.pop())


def as_events(steps):
    """Write down steps as a case's log would have them."""
    events, done, undone = [], [], []
    for step in steps:
        number = len(events) + 1
        if step[0] == "relabel":
            events.append(Event(number, "", "relabel", 1, tuple(step[1]), step[2]))
            done.append(number)
            undone.clear()
            continue
        source, goal = (done, undone) if step[0] == "undo" else (undone, done)
        if source:
            goal.append(source.pop())
            events.append(Event(number, "", step[0], 1, target=goal[-1]))
    return events


def shown(review, ids):
    return {cell: event.label for cell in ids if (event := review.label(cell))}


@settings(deadline=None)
@given(STEPS)
def test_labels_follow_from_the_log_alone(steps):
    model, review = Snapshots({}), Review()
    for step in steps:
        model.step(*step)
    for event in as_events(steps):
        review.apply(event)
    assert shown(review, range(1, 7)) == model.now
    assert {cell: event.label for cell, event in review.reviewed().items()} == model.now


@settings(deadline=None)
@given(STEPS, STEPS, st.permutations(range(1, 7)))
def test_a_carry_only_renames_cells(before, after, places):
    """Undo and redo after it, too, are what they would have been without it."""
    names = dict(zip(range(1, 7), (10 + p for p in places), strict=True))
    model, review = Snapshots({}), Review()
    events = as_events([*before, *after])
    first = as_events(before)
    for step in (*before, *after):
        model.step(*step)
    for event in first:
        review.apply(event)
    review.apply(Event(1000, "", "carry", 2, carried=tuple(Carried(*t, names[t[1]], 1.0) for t in review.living())))
    for event in events[len(first) :]:
        review.apply(replace(event, run=2, cells=tuple(names[cell] for cell in event.cells)))
    assert shown(review, range(11, 17)) == {names[cell]: label for cell, label in model.now.items()}


class ReviewedFile(OnAFile):
    """Reviewers, restarts and new analyses, in any order, on a real file."""

    @initialize()
    def begin(self):
        self.create()
        self.runs = 0
        self.analyze()
        self.model = Snapshots(self.case.labels(range(1, 7)))
        self.readers = {name: Snapshots(self.model.now) for name in ("al", "bo")}

    def analyze(self):
        run = self.case.begin_run(RunSettings("none", "none", options={"number": self.runs}), 2)
        self.runs += 1
        cells = [
            CellRow(shapely.box(x, 10, x + 50, 60), None, x + 25, 35, 1, None, 1, {"blast": 1.0}, "blast")
            for x in range(0, 600, 100)
        ]
        self.case.add_block(run, 0, cells[:3])
        self.case.add_block(run, 1, cells[3:])
        self.case.finish_run(run, "completed")

    @rule(ids=IDS, label=st.sampled_from(LABELS))
    def relabel(self, ids, label):
        self.says_what_was(self.case.relabel(ids, label, "r"), self.model, "relabel", ids, label)

    @rule()
    def undo(self):
        self.says_what_was(self.case.undo("r"), self.model, "undo")

    @rule()
    def redo(self):
        self.says_what_was(self.case.redo("r"), self.model, "redo")

    @rule(name=READERS, ids=IDS, label=st.sampled_from(LABELS))
    def read(self, name, ids, label):
        event = self.case.second_reader(name).relabel(ids, label)
        self.says_what_was(event, self.readers[name], "relabel", ids, label)

    @rule(name=READERS, kind=st.sampled_from(["undo", "redo"]))
    def read_again(self, name, kind):
        self.says_what_was(getattr(self.case.second_reader(name), kind)(), self.readers[name], kind)

    def says_what_was(self, event, model, *step):
        before = model.now
        model.step(*step)
        if event is None:
            assert model.now is before
        else:
            assert event.was == {cell: before[cell] for cell in event.was}
            assert event.became == {cell: model.now[cell] for cell in event.was}
            assert {cell for cell in before if before[cell] != model.now[cell]} <= event.was.keys()

    @rule()
    def restart(self):
        self.case = reopened(self.case)

    @rule()
    def analyze_again(self):
        self.analyze()

    @invariant()
    def holds(self):
        if hasattr(self, "model"):
            assert self.case.labels(range(1, 7)) == self.model.now
            assert sum(self.case.counts().values()) == 6
            for name, model in self.readers.items():
                reader = self.case.second_reader(name)
                assert reader.labels(range(1, 7)) == model.now
                assert reader.cells["label"].tolist() == [model.now[cell] for cell in range(1, 7)]
                assert sum(reader.counts().values()) == 6
            again = self.replayed()
            assert again.reviewed() == self.case._review.reviewed()
            assert again.readers == self.case._review.readers


ReviewedFile.TestCase.settings = FEW_STEPS
TestReviewedFile = ReviewedFile.TestCase


def test_which_event_a_label_comes_from(case):
    assert case.reviewed([1, 2]) == {1: None, 2: None}
    first = case.relabel([1], "blast", "mk")
    second = case.relabel([1, 2], "lymphocyte", "al")
    reader = case.second_reader("x")
    read = reader.relabel(1, "monocyte")
    assert case.reviewed([1, 2]) == {1: second, 2: second}
    assert reader.reviewed([1, 2]) == {1: read, 2: None}
    case.undo()
    assert case.reviewed([1, 2, 3]) == {1: first, 2: None, 3: None}
    with pytest.raises(CaseError, match="no cell 99"):
        case.reviewed([99])
