"""The log as people read it."""

from __future__ import annotations

from dataclasses import replace

from leukoscope import __version__


def test_history_says_who_when_what_was_and_what_is(case, settings, make_cell):
    assert case.history.empty
    case.relabel([1, 2], "monocyte", "mk")
    case.undo("al")
    case.relabel([1, 2, 3], "smudge", "mk")
    case.undo("mk")
    case.redo("mk")
    case.second_reader("bo").relabel(4, "blast")
    case.second_reader("bo").undo()
    case.draw_sample(2, 1, reviewer="mk")
    case.sign("mk")
    case.amend("mk", "a second look")
    run = case.begin_run(replace(settings, model_fingerprint="m2"), 1)
    case.add_block(run, 0, [make_cell(100, 100), make_cell(200, 100)])
    case.finish_run(run, "completed")

    table = case.history
    assert list(table.columns) == ["id", "at", "who", "kind", "cells", "was", "is", "model", "version", "undone"]
    assert table["id"].tolist() == list(range(1, 12))
    assert table["at"].tolist() == [event.at for event in case.events]
    rows = table[["who", "kind", "cells", "was", "is", "undone"]].to_numpy().tolist()
    assert rows[:8] == [
        ["mk", "relabel", 2, "blast (1), lymphocyte (1)", "monocyte", True],
        ["al", "undo", 2, "monocyte", "blast (1), lymphocyte (1)", False],
        ["mk", "relabel", 3, "blast (2), lymphocyte (1)", "smudge", False],
        ["mk", "undo", 3, "smudge", "blast (2), lymphocyte (1)", False],
        ["mk", "redo", 3, "blast (2), lymphocyte (1)", "smudge", False],
        ["bo", "read", 1, "lymphocyte", "blast", True],
        ["bo", "undo", 1, "blast", "lymphocyte", False],
        ["mk", "sample", 2, "", "", False],
    ]
    assert rows[8][:4] == ["mk", "sign", 0, ""]
    assert rows[8][4].startswith("report 1: blasts")
    assert rows[9][4] == "amendment 1: a second look"
    assert rows[10] == ["", "carry", 4, "", "2 found again, 2 not", False]
    assert table["model"].tolist() == ["blood m1"] * 10 + ["blood m2"]
    assert set(table["version"]) == {__version__}
