"""Killed at any instant, a case opens again and has everything that was acknowledged."""

from __future__ import annotations

import importlib.util
import multiprocessing
import random
import sys
import time
from pathlib import Path

import pytest

from leukoscope.cases import Case, open_case

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="needs fork, to have many processes in little time"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def kills():
    """What benchmarks/kills.py kills a thousand times, for a few times."""
    spec = importlib.util.spec_from_file_location("kills", ROOT / "benchmarks" / "kills.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def add_blocks_without_end(path, pipe, settings, cells):
    case = open_case(path)
    run = case.begin_run(settings, 10**6)
    pipe.send("ready")
    for index in range(run.done, 10**6):
        case.add_block(run, index, cells)
        pipe.send(index)


def killed(target, *arguments, blocks, after):
    """Run a function in a process of its own, kill it some time after so many blocks, and return the last it said."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(arguments[0], theirs, *arguments[1:]))
    process.start()
    theirs.close()
    last = [ours.recv() for _ in range(1 + blocks)][-1]
    time.sleep(after)
    process.kill()
    process.join()
    try:
        while ours.poll():
            last = ours.recv()
    except EOFError:
        pass
    return last


@pytest.mark.parametrize("times", [4, pytest.param(167, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["relabel", "outline", "confirm", "read", "sample", "date", "sign", "import"])
def test_no_acknowledged_event_is_lost(case, kills, kind, times):
    case.close()
    chance = random.Random(times)
    said = 0
    for _ in range(times):
        acknowledged = kills.kill_one(case.path, kind, chance)
        assert kills.lost(case.path, acknowledged, 4) == []
        said += len(acknowledged)
    assert said
    number, crc = acknowledged[-1] if acknowledged else (1, 0)
    assert kills.lost(case.path, [(number, crc ^ 1), (10**6, 0)], 4) == [  # it would see it
        f"event {number} was acknowledged and is not there",
        "event 1000000 was acknowledged and is not there",
    ]


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_no_committed_block_is_lost_and_none_is_there_by_halves(tmp_path, slide, settings, make_cell, kills):
    Case.create(tmp_path / "k.leuko", slide, settings).close()
    chance = random.Random(kills)
    cells = [make_cell(10 * i, 10) for i in range(20)]
    said = 0
    for _ in range(kills):
        blocks, after = chance.randrange(4), chance.uniform(0, 0.15)
        last = killed(add_blocks_without_end, tmp_path / "k.leuko", settings, cells, blocks=blocks, after=after)
        said += blocks
        with open_case(tmp_path / "k.leuko") as again:
            done = again.runs[-1].done
            assert last == "ready" or done >= last + 1
            assert again.cells["cell_id"].tolist() == list(range(1, 20 * done + 1))
            assert len(again.outlines()) == 20 * done
    assert done >= said > 0


def test_a_case_half_made_is_no_case(tmp_path, slide, settings, monkeypatch):
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        Case.create(tmp_path / "s.leuko", slide, settings)
    assert list(tmp_path.iterdir()) == []
