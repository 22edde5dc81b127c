"""What retraining the last layer costs, and what it is worth: python benchmarks/retrain.py [--image FILE].

(a) Seconds of the fit on 500 corrections, cross-validation and gate included, on embeddings of the shipped model's
width. (b) Errors left on held-out ALL-IDB1 fields after cells of its training fields were labeled, in several orders.
Cells are those of the prepared manifest (`leukotrain prepare`), so nothing here depends on finding them. Cells of which
only a part is known, such as "one of the mature classes", count as right when they are called one of these, and teach
no more than that.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leukoscope.classification import Classifier, load_model
from leukoscope.classification.bundle import read_bundle
from leukoscope.errors import LeukoscopeError
from leukoscope.hematology import flip_order
from leukotrain.cli import DATA, WORK
from leukotrain.data.splits import kfold
from leukotrain.evaluate import _mask, load
from leukotrain.losses import allowed_matrix
from leukotrain.prepare import prepare
from leukotrain.retraining.by_head import allowed_of
from leukotrain.retraining.gate import compare
from leukotrain.retraining.head import Head, Problem, loss_of
from leukotrain.retraining.layer import last_layer
from leukotrain.retraining.search import search

COUNTS = (0, 50, 100, 200)
SEEDS = 10
ORDERS = ("verdict order", "least certain first", "random order")


@dataclass(frozen=True)
class Cells:
    """Embedded cells with what is known of them."""

    seen: np.ndarray
    allowed: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Cells:
        return Cells(self.seen[rows], self.allowed[rows], self.labels[rows], self.groups[rows])


def start_of(model: Classifier) -> Head:
    """Give a model's last layer."""
    bundle, weights = read_bundle(model.bundle.folder)
    return last_layer(bundle, weights)[1]


def speed(model: Classifier, count: int = 500) -> dict[str, float]:
    """Time the fit on made corrections: half of the cells are as the old layer says, half are not."""
    rng = np.random.default_rng(0)
    head = start_of(model)
    seen = rng.gamma(0.3, 1.2, (count, head.weight.shape[1]))
    said = head.logits(seen).argmax(1)
    wrong = rng.random(count) < 0.5
    truth = np.where(wrong, rng.integers(0, len(model.classes), count), said)
    labels = [model.classes[i] for i in truth]
    groups = np.arange(count) // 50
    began = time.perf_counter()
    folds = kfold(labels, groups.astype(str), 5)
    problem = Problem(seen, allowed_of(labels, model.classes), head, model.bundle.temperature)
    found = search(problem, folds, folds)
    problem.head(problem.fit(np.arange(count), found.chosen, precision=1e-9))
    fitted = time.perf_counter()
    compare(labels, groups.astype(str).tolist(), problem.old, found.left_out, model.classes)
    done = time.perf_counter()
    return {"cells": count, "fit and cross-validation": fitted - began, "gate": done - fitted, "in all": done - began}


def embedded(model: Classifier, data: Path, work: Path) -> dict[tuple[str, str], Cells]:
    """Embed the cells of the prepared manifest, by source and split, or read what was embedded before."""
    manifest = prepare(data, work)
    rows = [r for r in manifest if not (r.source == "all_idb1" and r.label == "artefact")]  # no cell that a case has
    file = work / f"retrain-embeddings-{model.fingerprint}-{manifest.sha256[:16]}.npy"
    if not file.exists():
        parts = []
        for start in range(0, len(rows), 512):
            print(f"embedding: {start} of {len(rows)} cells", file=sys.stderr)
            some = rows[start : start + 512]
            images = [load(row, (work, data))[0] for row in some]
            masks = [_mask(row, (work, data)) if row.mask else None for row in some]
            parts.append(model.embed(images, masks, [None if math.isnan(row.mpp) else row.mpp for row in some]))
        np.save(file, np.concatenate(parts))
    seen = np.load(file, allow_pickle=False).astype(np.float64)
    allowed = np.asarray(allowed_matrix(rows, model.classes).numpy(), bool)
    labels, groups = np.array([r.label for r in rows]), np.array([r.group for r in rows])
    every = Cells(seen, allowed, labels, groups)
    keys = [(row.source, row.split) for row in rows]
    return {key: every[np.array([k == key for k in keys])] for key in dict.fromkeys(keys)}


def errors(head: Head, cells: Cells) -> np.ndarray:
    """Tell which cells are called what they are not."""
    called = head.logits(cells.seen).argmax(1)
    return ~cells.allowed[np.arange(len(called)), called]


def without_all_idb1(cells: dict[tuple[str, str], Cells], prior: Head, temperature: float) -> Head:
    """Fit a last layer, from nothing, on the other sources' training cells; its strength by their validation cells."""
    others = [c for (source, split), c in cells.items() if source != "all_idb1" and split == "train"]
    held = [c for (source, split), c in cells.items() if source != "all_idb1" and split == "val"]
    nothing = Head(np.zeros_like(prior.weight), np.zeros_like(prior.bias))
    x, allowed = np.concatenate([c.seen for c in others]), np.concatenate([c.allowed for c in others])
    weights = np.concatenate([np.full(len(c.seen), 1 / len(c.seen)) for c in others])  # each source counts the same
    problem = Problem(x, allowed, nothing, temperature, weights)
    best, least, change = nothing, np.inf, None
    for relative in (1e-4, 1e-5, 1e-6):
        change = problem.fit(np.arange(len(x)), relative * problem.strengths[0] / 10, change)
        head = problem.head(change)
        loss = float(np.mean([loss_of(head.logits(c.seen) / temperature, c.allowed) for c in held]))
        if loss < least:
            best, least = head, loss
    return best


def ordered(order: str, head: Head, pool: Cells, taken: np.ndarray, model: Classifier, seed: int) -> np.ndarray:
    """Give the cells of the pool that are not taken yet, the first to label first."""
    if order == "random order":
        every = np.random.default_rng(seed).permutation(len(pool.seen))
        return every[~np.isin(every, taken)]
    logits = head.logits(pool.seen) / model.bundle.temperature
    proba = np.exp(logits - logits.max(1, keepdims=True))
    proba /= proba.sum(1, keepdims=True)
    if order == "verdict order":
        reviewed = np.isin(np.arange(len(proba)), taken)
        every = flip_order(proba, model.labels(proba), model.classes, reviewed=reviewed)
    else:
        every = np.argsort(np.abs(proba[:, model.classes.index("blast")] - 0.5), kind="stable")
    return every[~np.isin(every, taken)]


def loop(order: str, start: Head, pool: Cells, held: dict[str, Cells], model: Classifier, seed: int) -> dict[str, Any]:
    """Label cells in an order, retrain after each round, rank the rest anew; count the errors left."""
    head, taken = start, np.empty(0, np.int64)
    out: dict[str, Any] = {name: [] for name in held} | {"found": [], "strength": []}
    wrong = errors(start, pool)
    for count in COUNTS:
        if count:
            taken = np.concatenate([taken, ordered(order, head, pool, taken, model, seed)[: count - len(taken)]])
            some = pool[taken]
            problem = Problem(some.seen, some.allowed, start, model.bundle.temperature)
            folds = kfold(some.labels.tolist(), some.groups.tolist(), 5)
            found = search(problem, folds, folds)
            head = problem.head(problem.fit(np.arange(len(taken)), found.chosen)).stored()
            out["strength"].append(found.chosen / problem.strengths[0] * 10)
        out["found"].append(int(wrong[taken].sum()))
        for name, cells in held.items():
            out[name].append(int(errors(head, cells).sum()))
    return out


def simulate(model: Classifier, cells: dict[tuple[str, str], Cells]) -> dict[str, Any]:
    """Run the loop from both starts, in every order."""
    shipped = start_of(model)
    pool, test = cells["all_idb1", "train"], cells["all_idb1", "test"]
    kinds = {"blasts": test.labels == "blast", "smudges": test.labels == "smudge"}
    kinds["other white cells"] = ~kinds["blasts"] & ~kinds["smudges"]
    held = {"all": test, **{name: test[use] for name, use in kinds.items()}, "PBC": cells["pbc", "test"]}
    starts = {
        "the shipped model": shipped,
        "its last layer fitted without ALL-IDB1": without_all_idb1(cells, shipped, model.bundle.temperature),
    }
    out: dict[str, Any] = {
        "pool": len(pool.seen),
        "pool fields": len(set(pool.groups)),
        "held out": {name: len(c.seen) for name, c in held.items()},
        "held-out fields": len(set(test.groups)),
        "runs": {},
    }
    for name, start in starts.items():
        out["runs"][name] = {"errors in the pool": int(errors(start, pool).sum())}
        for order in ORDERS:
            seeds = range(SEEDS) if order == "random order" else range(1)
            out["runs"][name][order] = [loop(order, start, pool, held, model, seed) for seed in seeds]
    return out


def _range(runs: Sequence[dict[str, Any]], key: str, at: int) -> str:
    values = [run[key][at] for run in runs]
    return str(values[0]) if len(values) == 1 else f"{np.mean(values):.1f} ({min(values)} to {max(values)})"


def table(result: dict[str, Any]) -> str:
    """Give the errors left as Markdown."""
    held = result["held out"]
    names = " | ".join(f"{name}, of {count}" for name, count in held.items())
    lines = [f"| start | order | cells labeled | of these errors | {names} |", "|---" * (4 + len(held)) + "|"]
    for start, runs in result["runs"].items():
        for order in ORDERS:
            for at, count in enumerate(COUNTS):
                cells = " | ".join(_range(runs[order], name, at) for name in held)
                lines.append(f"| {start} | {order} | {count} | {_range(runs[order], 'found', at)} | {cells} |")
    return "\n".join(lines)


def draw(result: dict[str, Any], file: Path) -> None:
    """Draw the errors left over the cells labeled."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4), layout="constrained")
    for axes, (start, runs) in zip(figure.subplots(1, 2), result["runs"].items(), strict=True):
        for number, order in enumerate(ORDERS):
            values = np.array([run["all"] for run in runs[order]])
            style = ("o-", "s--", "^:")[number]
            axes.plot(COUNTS, values.mean(0), style, color=f"C{number}", label=order)
            if len(values) > 1:
                axes.fill_between(COUNTS, values.min(0), values.max(0), color=f"C{number}", alpha=0.2, linewidth=0)
        axes.set_title(f"from {start}", fontsize=9)
        axes.set(xlabel="cells labeled in training fields", ylim=(0, None), xticks=COUNTS)
        axes.set_ylabel(f"errors left among {result['held out']['all']} cells held out")
        axes.legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def main() -> int:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="blood", help="a shipped name or a bundle's folder")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LEUKOSCOPE_DATA", DATA)))
    parser.add_argument("--work", type=Path, default=Path(os.environ.get("LEUKOSCOPE_WORK", WORK)))
    parser.add_argument("--image", type=Path, help="draw the errors left into this file")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args()
    try:
        model = load_model(args.model, "cpu")
        print("| corrections | fit and cross-validation, s | gate, s | in all, s |\n|---|---|---|---|")
        times = [speed(model, count) for count in (500, 1000)]
        for t in times:
            print(f"| {t['cells']} | {t['fit and cross-validation']:.1f} | {t['gate']:.1f} | {t['in all']:.1f} |")
        if not (args.data / "manifest.csv").is_file():
            print(f"\nno data at {args.data}: what it is worth is not measured (set LEUKOSCOPE_DATA)")
            return 0
        result = simulate(model, embedded(model, args.data, args.work))
    except LeukoscopeError as error:
        print(error, file=sys.stderr)
        return 2
    pool = f"{result['pool']} cells of {result['pool fields']} training fields of ALL-IDB1 to label"
    print(f"\n{pool}; {result['held-out fields']} fields held out.\n\n{table(result)}")
    if args.image:
        draw(result, args.image)
    if args.json:
        args.json.write_text(json.dumps({"seconds": times, **result}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
