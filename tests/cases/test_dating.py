"""When a smear was taken: kept in the case, said again, written into what is signed from then on."""

from __future__ import annotations

import datetime

import pytest

from leukoscope.cases import open_case
from leukoscope.errors import CaseError

FIRST, SECOND = datetime.date(2024, 2, 1), datetime.date(2024, 3, 4)


def test_the_day_is_kept_and_the_last_one_holds(case):
    assert case.taken is None
    labels = case.labels(case.ids)
    event = case.set_taken(SECOND, "mk")
    case.set_taken(datetime.datetime(2024, 2, 1, 9, 30), "al")
    assert (event.kind, event.reviewer, event.detail) == ("date", "mk", {"day": "2024-03-04"})
    assert case.taken == FIRST
    assert case.history[["kind", "who", "is"]].to_numpy().tolist()[-1] == ["date", "al", "smear of 2024-02-01"]
    assert case.undo() is None  # it is no label
    assert case.labels(case.ids) == labels
    case.close()
    with open_case(case.path) as again:
        assert again.taken == FIRST
        again.relabel(1, "monocyte", "mk")
        again.undo("mk")
        assert again.taken == FIRST


def test_a_day_to_come_is_refused(case):
    with pytest.raises(CaseError, match="still to come"):
        case.set_taken(datetime.date.today() + datetime.timedelta(days=3))
    with open_case(case.path, readonly=True) as reader, pytest.raises(CaseError, match="reading only"):
        reader.set_taken(FIRST)
    assert case.taken is None


def test_reports_say_the_day_and_a_signed_one_stays_as_it_is(case):
    case.set_taken(SECOND, "mk")
    signature = case.sign("mk", review="none")
    case.set_taken(FIRST, "mk")  # no label: no amendment
    assert case.signed == signature
    assert case.verify() == ()
    assert "Smear of 2024-03-04." in (signature.folder / "report.html").read_text("utf-8")
    assert "Smear of 2024-02-01." in case.export(csv=False, report=True)["report.html"].read_text("utf-8")


def test_another_analysis_leaves_the_day(case, settings, make_cell):
    case.relabel(1, "monocyte", "mk")
    case.set_taken(FIRST, "mk")
    run = case.begin_run(settings, 1, resume=False)
    case.add_block(run, 0, [make_cell(100, 100)])
    case.finish_run(run, "completed")
    assert case.taken == FIRST
