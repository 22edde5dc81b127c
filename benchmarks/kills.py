"""Whether a killed process loses what it said was done: ``python benchmarks/kills.py [kills] [folder]``.

A process does one kind of thing to a case without end, and says so after each; it is killed (SIGKILL) at a random
moment after none to three of them, the case is opened again, and every event that was acknowledged must be in it, as it
was. The folder decides what is measured: give one on the disk that cases are kept on. A kill is no power cut: what the
drive itself holds back is not tested here. Needs fork, so not for Windows.
"""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas  # noqa: F401 (here and not anew in each process)
import shapely

import leukoscope.slides  # noqa: F401
from leukoscope.cases import (
    Case,
    CellRow,
    Drawn,
    Event,
    RunSettings,
    SlideInfo,
    _report_pdf,  # noqa: F401
    open_case,
)
from leukoscope.cases._filesystem import filesystem_of
from leukoscope.hematology import load_profile

LABELS = ("blast", "lymphocyte", "monocyte")
CELLS = 40
load_profile("blood")


def relabel(case: Case) -> Iterator[Event | None]:
    """Relabel cells, undo and redo."""
    for number in range(10**6):
        yield case.relabel([1 + number % 4, 1 + (number + 1) % 4], LABELS[number % 3], "x")
        if number % 3 == 0:
            yield case.undo("x")
        if number % 6 == 0:
            yield case.redo("x")


def outline(case: Case) -> Iterator[Event | None]:
    """Draw cells anew, undo and redo."""
    for number in range(10**6):
        cell = case.ids[number % 4]
        box = shapely.box(20 * cell, 10, 20 * cell + 15, 25 + number % 3)
        chances = {label: float(label == LABELS[0]) for label in case.settings.classes}
        row = CellRow(box, box, 20 * cell + 7, 17, 14.0, 14.0, 1.0, chances, LABELS[0])
        yield case.edit_outlines([cell], [Drawn(row, (cell,))], "x")
        if number % 3 == 0:
            yield case.undo("x")
        if number % 6 == 0:
            yield case.redo("x")


def confirm(case: Case) -> Iterator[Event | None]:
    """Confirm cells of several labels: several events in one transaction."""
    while True:
        yield from case.confirm(range(1, 5), "x")


def read(case: Case) -> Iterator[Event | None]:
    """Read as a second reader, undo and redo."""
    reader = case.second_reader("y")
    for number in range(10**6):
        yield reader.relabel([1 + number % 4], LABELS[number % 3])
        if number % 3 == 0:
            yield reader.undo()
        if number % 6 == 0:
            yield reader.redo()


def sample(case: Case) -> Iterator[Event | None]:
    """Draw samples."""
    for seed in range(10**6):
        yield case.draw_sample(3, seed, reviewer="x").event


def date(case: Case) -> Iterator[Event | None]:
    """Say when the smear was taken, and correct it."""
    for number in range(10**6):
        yield case.set_taken(datetime.date(2024, 1, 1) + datetime.timedelta(days=number % 300), "x")


def sign(case: Case) -> Iterator[Event | None]:
    """Sign, amend, relabel, sign again."""
    for number in range(10**6):
        if case.signed:
            yield case.amend("x", "why not")
        yield case.relabel(1 + number % 4, LABELS[number % 3], "x")
        yield case.sign("x").event


def take_in(case: Case) -> Iterator[Event | None]:
    """Import corrections from QuPath's GeoJSON."""
    file = case.path / f"back.{os.getpid()}.geojson"
    for number in range(10**6):
        properties = [{"classification": {"name": LABELS[(number + cell) % 3]}} for cell in range(1, 5)]
        features = [{"id": str(case.uuid(cell)), "properties": p} for cell, p in enumerate(properties, start=1)]
        file.write_text(json.dumps(features))
        yield from case.import_geojson(file, "x").events


WORK: dict[str, Callable[[Case], Iterator[Event | None]]] = {
    "relabel": relabel,
    "outline": outline,
    "confirm": confirm,
    "read": read,
    "sample": sample,
    "date": date,
    "sign": sign,
    "import": take_in,
}


def digest(event: Event) -> tuple[int, int]:
    """Return an event's number, and a few bytes that tell it from any other: many fit into a pipe."""
    return event.id, zlib.crc32(repr(event).encode())


def _work(path: Path, kind: str, pipe: Any) -> None:
    case = open_case(path)
    pipe.send("ready")
    for event in WORK[kind](case):
        if event is not None:
            pipe.send(digest(event))


LONGEST = {"sign": 0.4}
"""Seconds until the kill, at most, where an event takes long."""


def kill_one(path: Path, kind: str, chance: random.Random) -> list[tuple[int, int]]:
    """Let a process work on a case, kill it at a random moment, and return what it acknowledged.

    The clock starts when it has acknowledged so many events, none to three: on a busy machine, too, most kills come
    while there is something to lose.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(path, kind, theirs))
    process.start()
    theirs.close()
    said = [ours.recv() for _ in range(1 + chance.randrange(4))]
    time.sleep(chance.uniform(0, LONGEST.get(kind, 0.15)))
    process.kill()
    process.join()
    try:
        while ours.poll():
            said.append(ours.recv())
    except EOFError:
        pass
    ours.close()
    return said[1:]


def lost(path: Path, said: list[tuple[int, int]], cells: int) -> list[str]:
    """Return what is wrong with a case after a kill, a line for each thing."""
    with open_case(path) as case:
        wrong = ["the dead process still holds the case"] if case.readonly else []
        found = dict(digest(event) for event in case.events)
        wrong += [
            f"event {number} was acknowledged and is not there" for number, crc in said if found.get(number) != crc
        ]
        if list(found) != list(range(1, len(found) + 1)):
            wrong.append("the numbers of the events have gaps")
        if len(case.cells) != cells or sum(case.counts().values()) != cells or len(case.outlines()) != cells:
            wrong.append("cells are missing")
        # A folder without a signature is what an interrupted one may leave; a signature without its files is a loss.
        wrong += [line for signature in case.signatures for line in signature.verify()]
        state = case.labels(case.ids), case.second_reader("y").read
    with open_case(path, readonly=True) as again:
        if state != (again.labels(again.ids), again.second_reader("y").read):
            wrong.append("the log adds up to something else the second time")
    return wrong


def make(path: Path) -> None:
    """Make a case of a few cells."""
    slide = SlideInfo("kills", "kills", "kills", ((1000, 1000),), (1.0,), 0.25, "given")
    settings = RunSettings("none", "none", classes=LABELS)
    with Case.create(path, slide, settings) as case:
        run = case.begin_run(settings, 1)
        rows = []
        for number in range(CELLS):
            box = shapely.box(20 * number, 10, 20 * number + 15, 25)
            chances = {label: float(i == number % 3) for i, label in enumerate(LABELS)}
            rows.append(CellRow(box, None, 20 * number + 7, 17, 14.0, None, 1.0, chances, LABELS[number % 3]))
        case.add_block(run, 0, rows)
        case.finish_run(run, "completed")


def main(kills: int = 1000, folder: str | None = None) -> None:
    """Kill, and print what was acknowledged and what was found."""
    chance = random.Random(kills)
    failures = 0
    with tempfile.TemporaryDirectory(dir=folder) as place:
        print(f"{kills} kills, {filesystem_of(place)}")
        print(f"{'kind':10}{'kills':>8}{'acknowledged':>14}{'in the log':>12}{'wrong':>8}")
        for turn, kind in enumerate(WORK):
            times = kills // len(WORK) + (turn < kills % len(WORK))
            path = Path(place) / f"{kind}.leuko"
            make(path)
            said, wrong = 0, []
            for _ in range(times):
                acknowledged = kill_one(path, kind, chance)
                said += len(acknowledged)
                wrong += lost(path, acknowledged, CELLS)
            with open_case(path, readonly=True) as case:
                print(f"{kind:10}{times:8}{said:14}{len(case.events):12}{len(wrong):8}", flush=True)
            for line in wrong:
                print(f"  {line}")
            failures += len(wrong)
    print("nothing acknowledged was lost" if not failures else f"{failures} things went wrong")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, sys.argv[2] if len(sys.argv) > 2 else None)
