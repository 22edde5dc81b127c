"""How long a case of many cells takes: ``python benchmarks/case_speed.py [cells] [folder]``.

Cells are ellipses of 40 corners with a nucleus of 24, in blocks of 100, on a slide whose side grows with their number.
The folder decides what a commit costs: give one on the disk that cases are kept on.
"""

from __future__ import annotations

import json
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo, open_case
from leukoscope.cases._filesystem import filesystem_of
from leukoscope.classification.taxonomy import CLASSES

LABELS = tuple(c.id for c in CLASSES if c.leukocyte)
SPACING = 160  # level-0 px from cell to cell


def block(index: int, side: int, rng: np.random.Generator, size: int = 100) -> list[CellRow]:
    """Return the cells of a block."""
    rows = []
    turns = np.linspace(0, 2 * np.pi, 40, endpoint=False), np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for number in range(index * size, (index + 1) * size):
        x, y = (number % side + 0.5) * SPACING, (number // side + 0.5) * SPACING
        a, b = rng.uniform(40, 70, 2)
        cell = shapely.Polygon(np.column_stack([x + a * np.cos(turns[0]), y + b * np.sin(turns[0])]))
        nucleus = shapely.Polygon(np.column_stack([x + 0.7 * a * np.cos(turns[1]), y + 0.7 * b * np.sin(turns[1])]))
        p = rng.dirichlet(np.full(len(LABELS), 0.3))
        probabilities = dict(zip(LABELS, p.tolist(), strict=True))
        rows.append(CellRow(cell, nucleus, x, y, 120.0, 60.0, 0.9, probabilities, LABELS[int(p.argmax())]))
    return rows


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(cells: int = 100_000, folder: str | None = None) -> None:
    """Make a case, do what users do, and print how long each took."""
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(cells)))
    shapes, scales = [], []
    for level in range(8):
        scales.append(float(2**level))
        shapes.append((-(-side * SPACING // 2**level),) * 2)
    slide = SlideInfo("bench", "bench", "bench", tuple(shapes), tuple(scales), 0.1, "given")
    settings = RunSettings("none", "none", classes=LABELS)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        out: dict[str, Any] = {
            "cells": cells,
            "slide": shapes[0],
            "file system": filesystem_of(place),
            "sqlite": sqlite3.sqlite_version,
            "machine": platform.platform(),
        }
        case = Case.create(Path(place) / "bench.leuko", slide, settings)
        count = cells // 100
        run = case.begin_run(settings, count)
        times = []
        for index in range(count):
            rows = block(index, side, rng)
            times.append(seconds(lambda i=index, r=rows: case.add_block(run, i, r)))
        out["add_block of 100, ms"] = quantiles(times)
        out["finish_run, s"] = seconds(lambda: case.finish_run(run, "completed"))
        case.close()
        holder: list[Case] = []
        out["open_case, s"] = seconds(lambda: holder.append(open_case(case.path)))
        case = holder[0]
        out["case.sqlite, MB"] = case.path.joinpath("case.sqlite").stat().st_size / 1e6
        out["cells, first, s"] = seconds(lambda: case.cells)
        out["cells, again, s"] = seconds(lambda: case.cells)
        ids = rng.integers(1, cells + 1, 200).tolist()
        out["relabel of 1, ms"] = quantiles([seconds(lambda i=i: case.relabel(i, "blast", "bench")) for i in ids])
        out["undo, ms"] = quantiles([seconds(case.undo) for _ in range(50)])
        out["differential, ms"] = quantiles([seconds(case.differential) for _ in range(50)])
        out["relabel of 10,000, s"] = seconds(lambda: case.relabel(range(1, min(cells, 10_000) + 1), "lymphocyte", "b"))
        out["differential after it, ms"] = quantiles([seconds(case.differential) for _ in range(10)])
        out["outlines, all, s"] = seconds(case.outlines)
        for name in ("csv", "geojson", "labels", "report", "pdf"):
            only = {"csv": False, name: True}
            out[f"export {name}, s"] = seconds(lambda only=only: case.export(**only))
        out["labels.zarr, MB"] = sum(f.stat().st_size for f in case.path.glob("labels.zarr/**/*") if f.is_file()) / 1e6
        levels = case.label_levels()
        out["coarsest label level, s"] = seconds(levels[-1].compute)
        other = RunSettings("other", "none", classes=LABELS)
        run = case.begin_run(other, count)
        rng = np.random.default_rng(0)
        for index in range(count):
            case.add_block(run, index, block(index, side, rng))
        out["finish_run with 10,000 labels carried, s"] = seconds(lambda: case.finish_run(run, "completed"))
        out["labels carried"] = int(case.carried["cell_id"].notna().sum())
        case.close()
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in out.items()}, indent=2))


def quantiles(times: list[float]) -> dict[str, float]:
    """Return the median, 95th percentile and maximum of times, in milliseconds."""
    ordered = sorted(1000 * t for t in times)
    return {
        "median": round(statistics.median(ordered), 2),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 2),
        "max": round(ordered[-1], 2),
    }


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000, sys.argv[2] if len(sys.argv) > 2 else None)
