"""Trivial methods to see a model beside: majority class, cell diameter, regression on frozen features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from leukoscope.classification.crops import CropSpec
from leukoscope.classification.taxonomy import BLAST

from .data.cache import Crops, load_crops
from .data.manifest import Manifest
from .figures import measure
from .initial import pretrained
from .metrics import Metric
from .transforms import plain

__all__ = ["baseline_metrics", "frozen_features", "regression"]


def frozen_features(crops: Crops, rows: Sequence[int], size: int) -> NDArray[np.float32]:
    """Give what the ImageNet network sees of crops, untrained on cells: float32 (n, d)."""
    network = pretrained("tf_efficientnet_lite0", 2).eval()
    network.reset_classifier(0)  # type: ignore[operator]
    with torch.inference_mode():
        parts = [
            network(plain(torch.from_numpy(crops.pixels[list(rows[k : k + 128])]), size) / 127.5 - 1).numpy()
            for k in range(0, len(rows), 128)
        ]
    return np.concatenate(parts)


def regression() -> Pipeline:
    """Give the logistic regression on frozen features, not fitted yet: strongly damped, every class of one weight."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300, class_weight="balanced"))


def baseline_metrics(
    manifest: Manifest, roots: Sequence[Path], spec: CropSpec, classes: Sequence[str], cache: Path
) -> list[Metric]:
    """Measure the baselines on the rows of split "test", trained on those of "train" and "val" of known class.

    Parameters
    ----------
    manifest : Manifest
    roots : sequence of Path
        Of its paths.
    spec : CropSpec
        What the crops are like.
    classes : sequence of str
    cache : Path
        Where crops are kept.

    Returns
    -------
    list of Metric
        Only those that the cells define; none where the rows to train on are of fewer than two classes.
    """
    crops = load_crops(manifest, roots, spec, cache)
    names = list(classes)
    fitted = [i for i, row in enumerate(manifest) if row.split != "test" and row.label in names]
    tested = [i for i, row in enumerate(manifest) if row.split == "test"]
    rows = [manifest.rows[i] for i in tested]
    if len({manifest.rows[i].label for i in fitted}) < 2:
        return []
    truth = np.array([names.index(manifest.rows[i].label) for i in fitted])

    majority = Counter(truth.tolist()).most_common(1)[0][0]
    constant = np.zeros((len(tested), len(names)), np.float32)
    constant[:, majority] = 1
    head = regression().fit(frozen_features(crops, fitted, spec.size), truth)
    proba = np.zeros((len(tested), len(names)), np.float32)
    proba[:, head.classes_] = head.predict_proba(frozen_features(crops, tested, spec.size))
    out = []
    for method, given in ((f"majority class ({names[majority]})", constant), ("frozen features", proba)):
        out += [replace(m, name=f"{m.name}: {method}", note="baseline") for m in measure(rows, given, classes)]
    if BLAST in names:
        # Larger cells are blasts: no network needed, and a figure that any network should be seen beside.
        wide = np.zeros((len(tested), len(names)), np.float32)
        wide[:, names.index(BLAST)] = crops.diameters[tested] / 100
        size = [m for m in measure(rows, wide, classes) if m.name.startswith(("AUROC", "average precision"))]
        out += [replace(m, name=f"{m.name}: cell's diameter", note="baseline") for m in size]
    return [m for m in out if m.value is not None]
