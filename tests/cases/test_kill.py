"""Killed at any instant, a case opens again and has everything that was acknowledged."""

from __future__ import annotations

import multiprocessing
import random
import sys
import time

import pytest

from leukoscope.cases import Case, open_case

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork, to have many processes in little time"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def relabel_without_end(path, pipe):
    case = open_case(path)
    labels = ["blast", "lymphocyte", "monocyte"]
    pipe.send("ready")
    for number in range(10**6):
        event = case.undo("x") if number % 7 == 6 else case.relabel([1 + number % 4], labels[number % 3], "x")
        pipe.send(event.id)


def add_blocks_without_end(path, pipe, settings, cells):
    case = open_case(path)
    run = case.begin_run(settings, 10**6)
    pipe.send("ready")
    for index in range(run.done, 10**6):
        case.add_block(run, index, cells)
        pipe.send(index)


def killed(target, *arguments, after):
    """Run a function in a process of its own, kill it, and return the last thing it said was done."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(arguments[0], theirs, *arguments[1:]))
    process.start()
    theirs.close()
    last = ours.recv()
    time.sleep(after)
    process.kill()
    process.join()
    try:
        while ours.poll():
            last = ours.recv()
    except EOFError:
        pass
    return last


@pytest.mark.parametrize("kills", [12, pytest.param(150, marks=pytest.mark.slow)])
def test_no_acknowledged_event_is_lost(case, kills):
    case.close()
    chance = random.Random(kills)
    for _ in range(kills):
        last = killed(relabel_without_end, case.path, after=chance.uniform(0, 0.15))
        with open_case(case.path) as again:
            assert not again.readonly  # the dead process's lock died with it
            assert last == "ready" or again.events[-1].id >= last
            assert [event.id for event in again.events] == list(range(1, len(again.events) + 1))
            assert len(again.cells) == 4
    assert len(again.events) > kills


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_no_committed_block_is_lost_and_none_is_there_by_halves(tmp_path, slide, settings, make_cell, kills):
    Case.create(tmp_path / "k.leuko", slide, settings).close()
    chance = random.Random(kills)
    cells = [make_cell(10 * i, 10) for i in range(20)]
    for _ in range(kills):
        last = killed(add_blocks_without_end, tmp_path / "k.leuko", settings, cells, after=chance.uniform(0, 0.15))
        with open_case(tmp_path / "k.leuko") as again:
            done = again.runs[-1].done
            assert last == "ready" or done >= last + 1
            assert again.cells["cell_id"].tolist() == list(range(1, 20 * done + 1))
            assert len(again.outlines()) == 20 * done
    assert done > kills


def test_a_case_half_made_is_no_case(tmp_path, slide, settings, monkeypatch):
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Case.create(tmp_path / "s.leuko", slide, settings)
    assert list(tmp_path.iterdir()) == []
