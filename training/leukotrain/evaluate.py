"""What a model is worth on groups that it has never seen, with the trivial methods beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukoscope.classification import Classifier

from .data.fields import left_out_cells
from .data.manifest import Manifest, Row
from .data.sources import NOT_BLAST, read_rgb
from .metrics import Metric, auroc, balanced_accuracy, bootstrap, calibration_error, macro_f1, share

__all__ = ["evaluate", "measure", "predict"]

Probabilities = NDArray[np.float32]
Log = Callable[[str], None]


def load(row: Row, roots: Sequence[Path]) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None, float | None]:
    """Give a row's image, mask and scale as a user has them: C-NMC and PBC come without a mask and without a scale."""
    folder = next(root for root in roots if (root / row.image).is_file())
    image = read_rgb(folder / row.image)
    if row.source in ("cnmc", "pbc"):
        return image, None, None
    with Image.open(folder / row.mask) as picture:
        mask = np.asarray(picture.convert("L")) > 0
    return image, mask, None if math.isnan(row.mpp) else row.mpp


def predict(model: Classifier, rows: Sequence[Row], roots: Sequence[Path]) -> Probabilities:
    """Ask a model about the rows of a manifest, as a user would: float32 (n, classes)."""
    parts = [np.empty((0, len(model.classes)), np.float32)]
    for start in range(0, len(rows), 512):
        images, masks, scales = zip(*(load(row, roots) for row in rows[start : start + 512]), strict=True)
        parts.append(model.predict_proba(images, masks, scales))
    return np.concatenate(parts)


def measure(rows: Sequence[Row], proba: Probabilities, classes: Sequence[str]) -> list[Metric]:
    """Compute the figures of each source from probabilities.

    Parameters
    ----------
    rows : sequence of Row
    proba : float array (n, classes)
    classes : sequence of str
    """
    sources = np.array([row.source for row in rows])
    groups = np.array([row.group for row in rows])
    labels = np.array([row.label for row in rows])
    index = {name: i for i, name in enumerate(classes)}
    truth = np.array([index.get(label, -1) for label in labels])
    best = proba.argmax(axis=1)
    blast = index["blast"]
    out: list[Metric] = []

    def add(
        name: str,
        data: str,
        use: NDArray[np.bool_],
        figure: Callable[[Any], float],
        strata: NDArray[Any],
        note: str = "",
    ) -> None:
        at = np.flatnonzero(use)
        if not len(at):
            return
        low, high = bootstrap(lambda i: figure(at[i]), groups[at], strata[at])
        out.append(Metric(name, data, figure(at), low, high, len(at), len(set(groups[at])), note))

    def add_share(name: str, data: str, use: NDArray[np.bool_], hits: NDArray[np.bool_], note: str = "") -> None:
        if use.any():
            value, low, high = share(hits[use], groups[use])
            out.append(Metric(name, data, value, low, high, int(use.sum()), len(set(groups[use])), note))

    is_blast, called = truth == blast, best == blast
    cnmc, pbc, idb = sources == "cnmc", sources == "pbc", sources == "all_idb1"
    lone = "the healthy cells are of one donor: the interval says nothing about other donors"
    add("AUROC, blast", "C-NMC", cnmc, lambda i: auroc(is_blast[i], proba[i, blast]), is_blast.astype(int), lone)
    add(
        "balanced accuracy, blast or not",
        "C-NMC",
        cnmc,
        lambda i: balanced_accuracy(is_blast[i].astype(int), called[i].astype(int)),
        is_blast.astype(int),
        lone,
    )
    add_share("sensitivity, blast", "C-NMC", cnmc & is_blast, called)
    add_share("specificity, blast", "C-NMC", cnmc & ~is_blast, ~called, lone)
    known = pbc & (truth >= 0)
    add("macro-F1", "PBC", known, lambda i: macro_f1(truth[i], best[i]), truth)
    add("balanced accuracy", "PBC", known, lambda i: balanced_accuracy(truth[i], best[i]), truth)
    add_share("called blast", "PBC", pbc, called)
    add_share("called blast", "PBC, lymphocytes", pbc & (labels == "lymphocyte"), called)
    add_share("called blast", "ALL-IDB1, blasts", idb & is_blast, called)
    add_share("called blast", "ALL-IDB1, healthy white cells", idb & (labels == NOT_BLAST), called)
    add_share("called blast", "BCCD, white cells", (sources == "bccd") & (labels == NOT_BLAST), called)
    artefact = labels == "artefact"
    add_share("called artefact", "ALL-IDB1 and BCCD, no white cells", artefact, best == index["artefact"])
    for name, use in (("C-NMC", cnmc), ("PBC", known)):
        figure = lambda i: calibration_error(best[i] == truth[i], proba[i, best[i]])  # noqa: E731
        add("calibration error (ECE)", name, use, figure, truth)
    return out


def evaluate(
    model: Classifier, manifest: Manifest, data: Path, work: Path, baselines: bool = True, log: Log | None = None
) -> list[Metric]:
    """Measure a model on the rows of split "test", and on JTSC's white cells, a source left out altogether.

    Parameters
    ----------
    model : Classifier
    manifest : Manifest
    data, work : Path
        Roots of the manifest's paths.
    baselines : bool
        Also measure the majority class and a logistic regression on frozen ImageNet features.
    log : callable, optional
        Takes a line about what is being done.
    """
    say = log or (lambda line: None)
    rows = [row for row in manifest if row.split == "test"]
    say(f"{len(rows)} held-out cells")
    metrics = measure(rows, predict(model, rows, (work, data)), model.classes)
    say("JTSC's white cells")
    images, masks, groups = left_out_cells(data)
    if images:
        called = model.predict_proba(images, masks).argmax(axis=1) == model.classes.index("blast")
        value, low, high = share(called, np.array(groups))
        note = "nothing of this source was trained on; scale not known"
        metrics.append(
            Metric("called blast", "JTSC, white cells", value, low, high, len(images), len(set(groups)), note)
        )
    say("speed")
    metrics.append(_speed(model, rows, (work, data)))
    if baselines:
        from .baselines import baseline_metrics

        say("baselines")
        metrics += baseline_metrics(manifest, (work, data), model.bundle.crop, model.classes)
    return metrics


def _speed(model: Classifier, rows: Sequence[Row], roots: Sequence[Path]) -> Metric:
    cells = [load(row, roots) for row in rows if row.mask][:512]
    images, scales = [c[0] for c in cells], [row.mpp for row in rows if row.mask][:512]
    masks: list[NDArray[np.bool_] | None] = []
    for row in [row for row in rows if row.mask][:512]:
        folder = next(root for root in roots if (root / row.mask).is_file())
        with Image.open(folder / row.mask) as picture:
            masks.append(np.asarray(picture.convert("L")) > 0)
    started = time.perf_counter()
    model.predict_proba(images, masks, scales)
    rate = len(images) / (time.perf_counter() - started)
    note = f"outlines given; {model.device.type}; of the moment, on a machine that may be busy"
    return Metric("cells per second", "held-out cells", rate, None, None, len(images), 0, note)
