"""The main job measured end to end: fields in, counts out, on groups held out from training.

    python benchmarks/fields.py [--dev] [--pyramid GIGAPIXELS] [--json FILE]

Prints two tables: what was found and called on held-out ALL-IDB1 and BCCD fields, and seconds and peak memory for a
field and for a pyramid built by tiling fields.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

DATA = Path(os.environ.get("LEUKOSCOPE_DATA", Path(__file__).parents[2] / "shared" / "data"))
NEAR = 50  # px, the distance at which an annotated blast counts as found


def match(found: np.ndarray, truth: np.ndarray, near: float = NEAR) -> list[tuple[int, int]]:
    """Pair points one to one, nearest in sum, none farther apart than `near` px."""
    if not len(found) or not len(truth):
        return []
    distance = cdist(found, truth)
    cost = np.where(distance <= near, distance, 1e6)
    return [(int(i), int(j)) for i, j in zip(*linear_sum_assignment(cost), strict=True) if distance[i, j] <= near]


def bootstrap(numerators: list[int], denominators: list[int], seed: int = 0) -> tuple[float, float, float]:
    """Give a ratio of sums with its 95 % interval, resampling fields."""
    top, bottom = np.array(numerators, float), np.array(denominators, float)
    if bottom.sum() == 0:
        return float("nan"), float("nan"), float("nan")
    picks = np.random.default_rng(seed).integers(0, len(top), (2000, len(top)))
    sums = bottom[picks].sum(1)
    ratios = top[picks].sum(1)[sums > 0] / sums[sums > 0]
    return top.sum() / bottom.sum(), *np.quantile(ratios, [0.025, 0.975])


def points_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read blasts and other points, (n, 2) each, x y."""
    rows = list(csv.DictReader(path.open()))
    pick = lambda label: np.array([(float(r["x"]), float(r["y"])) for r in rows if r["label"] == label]).reshape(-1, 2)  # noqa: E731
    return pick("blast"), pick("other")


def boxes_of(path: Path) -> np.ndarray:
    """Read the boxes of white cells, (n, 4): xmin ymin xmax ymax."""
    rows = [r for r in csv.DictReader(path.open()) if r["label"] == "WBC"]
    return np.array([[float(r[k]) for k in ("xmin", "ymin", "xmax", "ymax")] for r in rows]).reshape(-1, 4)


def score_fields(rows: list[dict[str, str]], segmenter: str, model: str) -> dict[str, Any]:
    """Analyze fields and compare with the annotation."""
    from leukoscope import analyze
    from leukoscope.classification.taxonomy import UNIDENTIFIED
    from leukoscope.errors import SettingsError

    sums: dict[str, tuple[list[int], list[int]]] = {}
    not_white = {"artefact", "smudge", "platelet_clump"}

    def count(name: str, numerator: int, denominator: int) -> None:
        sums.setdefault(name, ([], []))
        sums[name][0].append(numerator)
        sums[name][1].append(denominator)

    seconds = []
    for row in rows:
        began = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as out, analyze(DATA / row["path"], out, segmenter, model) as case:
                cells = case.cells
        except SettingsError:  # no scale to be had: the user is asked for it, and here nobody answers
            count("fields that ask for their µm per pixel", 1, 1)
            cells = pd.DataFrame({"x": [], "y": [], "label": []})
        else:
            count("fields that ask for their µm per pixel", 0, 1)
        seconds.append(time.perf_counter() - began)
        xy, labels = cells[["x", "y"]].to_numpy(float), cells["label"].astype(str).to_numpy()
        white = np.array([label not in not_white for label in labels], bool)
        if row["dataset"] == "all_idb1":
            blasts, others = points_of(DATA / row["points"])
            pairs = match(xy, blasts)
            if row["label"] == "all":
                count("blasts found within 50 px", len(pairs), len(blasts))
                count("found blasts called blast", sum(labels[i] == "blast" for i, _ in pairs), len(pairs))
                count("blasts found and called blast", sum(labels[i] == "blast" for i, _ in pairs), len(blasts))
            else:
                near = match(xy, others)
                count("healthy fields: cells called blast", int((labels == "blast").sum()), int(white.sum()))
                count("healthy fields: found cells at no annotated point, per field", len(xy) - len(near), 1)
                count("healthy fields: unidentified", int((labels == UNIDENTIFIED).sum()), int(white.sum()))
        else:
            boxes = boxes_of(DATA / row["points"])
            inside = [
                (i, j)
                for j, (x0, y0, x1, y1) in enumerate(boxes)
                for i, (x, y) in enumerate(xy)
                if x0 <= x <= x1 and y0 <= y <= y1
            ]
            found = {j for _, j in inside}
            count("bccd: white cells found", len(found), len(boxes))
            count("bccd: found cells in no box, per field", len(xy) - len({i for i, _ in inside}), 1)
            kept = sum(bool(white[i]) for i in range(len(xy)) if i not in {i for i, _ in inside})
            count("bccd: the same, not called artefact, per field", kept, 1)
            count("bccd: white cells called blast", sum(labels[i] == "blast" for i, _ in inside), len(inside))
    table = {name: bootstrap(*pair) for name, pair in sums.items()}
    for name, (numerators, denominators) in sums.items():
        value, low, high = table[name]
        print(f"| {name} | {sum(numerators)} / {sum(denominators)} | {value:.3f} | {low:.3f}–{high:.3f} |")
    return {"figures": table, "seconds_per_field": float(np.median(seconds)), "fields": len(rows)}


def timed(path: str, mpp: float | None, segmenter: str, model: str) -> dict[str, float]:
    """Analyze one slide in a process of its own: seconds, peak memory (MB), cells."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (path, mpp, segmenter, model))


def _timed(path: str, mpp: float | None, segmenter: str, model: str) -> dict[str, float]:
    from leukoscope import analyze, open_slide

    megapixels = float(np.prod(open_slide(path).levels[0].shape[:2])) / 1e6
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out, analyze(path, out, segmenter, model, mpp=mpp) as case:
        seconds, cells = time.perf_counter() - began, len(case)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"megapixels": megapixels, "seconds": seconds, "peak_mb": peak, "cells": cells}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="the groups training may see, instead of those held out")
    parser.add_argument("--segmenter", default="spike")
    parser.add_argument("--model", default="blood")
    parser.add_argument("--pyramid", type=float, default=0.5, help="gigapixels of the timed pyramid; 0 for none")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    from leukotrain.data.split import is_held_out

    if not (DATA / "manifest.csv").is_file():
        parser.exit(0, f"no data at {DATA}: nothing to measure (set LEUKOSCOPE_DATA)\n")
    manifest = [r for r in csv.DictReader((DATA / "manifest.csv").open()) if r["kind"] == "field"]
    rows = [r for r in manifest if is_held_out(r["group"]) != options.dev]
    kind = "seen in development" if options.dev else "held out"
    print(f"## {len(rows)} fields, {kind}: {options.segmenter}, {options.model}\n")
    print("| figure | count | value | 95 % interval |\n|---|---|---|---|")
    result = score_fields(rows, options.segmenter, options.model)
    print(f"\nmedian {result['seconds_per_field']:.2f} s a field, models loaded\n")

    print("| slide | MPix | cells | seconds | MPix/s | peak MB |\n|---|---|---|---|---|---|")
    field = next(r for r in rows if r["dataset"] == "all_idb1")
    slides = [("one field, from start", str(DATA / field["path"]), None)]
    with tempfile.TemporaryDirectory() as folder:
        if options.pyramid:
            from build_pyramid import build_pyramid

            path = Path(folder) / "pyramid.ome.tiff"
            build_pyramid(DATA / "all_idb1", path, gigapixels=options.pyramid)
            slides.append((f"pyramid of {options.pyramid} gigapixels", str(path), None))
        result["timed"] = {}
        for name, path, mpp in slides:
            t = timed(str(path), mpp, options.segmenter, options.model)
            result["timed"][name] = t
            print(
                f"| {name} | {t['megapixels']:.0f} | {t['cells']:.0f} | {t['seconds']:.1f} "
                f"| {t['megapixels'] / t['seconds']:.1f} | {t['peak_mb']:.0f} |"
            )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
