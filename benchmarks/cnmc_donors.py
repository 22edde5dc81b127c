"""Print how much C-NMC's figures hang on who is held out: python benchmarks/cnmc_donors.py [--fit].

Each of the two healthy donors is held out with each of three parts of the patients: six splits, of which the project's
own is one more. Without --fit only what takes seconds: the cell's diameter, and regression on frozen features.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from leukoscope.classification import load_model
from leukoscope.errors import LeukoscopeError
from leukotrain.baselines import frozen_features
from leukotrain.cli import DATA, WORK
from leukotrain.data.cache import load_crops
from leukotrain.data.manifest import Manifest, Row
from leukotrain.data.splits import kfold
from leukotrain.evaluate import evaluate
from leukotrain.prepare import SPEC, prepare
from leukotrain.run import train
from leukotrain.settings import Settings

CLASSES = ("blast", "lymphocyte")


def splits(rows: list[Row]) -> Iterator[tuple[str, str, list[Row]]]:
    """Go through donors and parts of the patients: who is held out, and the rows with their splits."""
    donors = sorted({row.group for row in rows if row.label == "lymphocyte"})
    patients = [row.group for row in rows if row.label == "blast"]
    parts = kfold(["blast"] * len(patients), patients, 3)
    of = dict(zip(patients, parts.tolist(), strict=True))
    for donor in donors:
        for part in sorted(set(of.values())):
            out = {donor, *(patient for patient, own in of.items() if own == part)}
            # No donor can be spared for validation: one patient says which of two epochs is kept, and no more.
            val = min(patient for patient, own in of.items() if own == (part + 1) % 3)
            named = [replace(r, split="test" if r.group in out else "val" if r.group == val else "train") for r in rows]
            yield donor, ", ".join(sorted(out - {donor})), named


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("LEUKOSCOPE_DATA", DATA)))
    parser.add_argument("--work", type=Path, default=Path(os.environ.get("LEUKOSCOPE_WORK", WORK)))
    parser.add_argument("--fit", action="store_true", help="also train the usual network, two short epochs each")
    args = parser.parse_args()
    try:
        rows = [row for row in prepare(args.data, args.work) if row.source == "cnmc"]
        roots = (args.work, args.data)
        crops = load_crops(Manifest(rows), roots, SPEC, args.work)
    except LeukoscopeError as error:
        print(error, file=sys.stderr)
        return 2
    seen = frozen_features(crops, range(len(rows)), SPEC.size)
    blast = np.array([row.label == "blast" for row in rows])
    print(
        "| donor held out | patients held out | diameter | frozen features | the same, balanced | network | balanced |"
    )
    print("|---|---|---|---|---|---|---|")
    columns: list[list[float]] = []
    for donor, patients, named in splits(rows):
        test = np.array([row.split == "test" for row in named])
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300, class_weight="balanced"))
        regression.fit(seen[~test], blast[~test])
        rank = regression.decision_function(seen[test])
        values = [
            roc_auc_score(blast[test], crops.diameters[test]),
            roc_auc_score(blast[test], rank),
            balanced_accuracy_score(blast[test], rank > 0),
        ]
        if args.fit:
            with TemporaryDirectory() as folder:
                settings = Settings(epochs=2, epoch_cells=1024, shares={"cnmc": 1}, val_shares={"cnmc": 1})
                cells = Manifest(named)
                train(cells, roots, args.work, Path(folder) / "blood", "blood", CLASSES, SPEC, settings)
                found = evaluate(load_model(Path(folder) / "blood"), cells, roots, args.work, baselines=False).metrics
            of = {metric.name: metric.value for metric in found}
            values += [float(of[name] or 0) for name in ("AUROC, blast", "balanced accuracy, blast or not")]
        columns.append(values)
        print(f"| {donor} | {patients} | {_cells(values)} |", flush=True)
    print(f"| mean | | {_cells(np.mean(columns, axis=0).tolist())} |")
    return 0


def _cells(values: list[float]) -> str:
    return " | ".join([f"{value:.3f}" for value in values] + [""] * (5 - len(values)))


if __name__ == "__main__":
    sys.exit(main())
