"""What a model is worth on groups that it has never seen, with the trivial methods beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukoscope.classification import Classifier
from leukoscope.classification.taxonomy import BLAST
from leukoscope.slides import read_picture

from .curves import Threshold, choose_threshold
from .data.fields import left_out_cells
from .data.manifest import Manifest, ManifestError, Row, find
from .data.sources import MATURE
from .figures import by_class, facts, measure, unknown_labels
from .metrics import Metric, share
from .transforms import by_slide

__all__ = ["Evaluation", "evaluate", "left_out_metrics", "load", "predict", "threshold_of"]

Probabilities = NDArray[np.float32]
Log = Callable[[str], None]


def load(row: Row, roots: Sequence[Path]) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None, float | None]:
    """Give a row's image, mask and scale as a user has them: C-NMC and PBC come without a mask and without a scale.

    A row without a mask has none; the model outlines the cell.
    """
    image = read_picture(find(row.image, roots))
    if row.source in ("cnmc", "pbc"):
        return image, None, None
    mpp = None if math.isnan(row.mpp) else row.mpp
    return image, _mask(row, roots) if row.mask else None, mpp


def _mask(row: Row, roots: Sequence[Path]) -> NDArray[np.bool_]:
    with Image.open(find(row.mask, roots)) as picture:
        return np.asarray(picture.convert("L")) > 0


def predict(model: Classifier, rows: Sequence[Row], roots: Sequence[Path]) -> Probabilities:
    """Ask a model about the rows of a manifest, as a user would: float32 (n, classes)."""
    out = np.empty((len(rows), len(model.classes)), np.float32)
    for one, its in by_slide(model, [row.group for row in rows], lambda i: load(rows[i], roots)[0]):
        for at in (its[start : start + 512] for start in range(0, len(its), 512)):
            images, masks, scales = zip(*(load(rows[i], roots) for i in at), strict=True)
            out[at] = one.predict_proba(images, masks, scales)
    return out


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found, for tables and for the report.

    Attributes
    ----------
    metrics : list of Metric
        The model's, and with note "baseline" those of the trivial methods.
    by_class : list of Metric
        Precision, recall and F1 of each class.
    rows : list of Row
        The cells of split "test".
    proba : float32 array (n, classes)
        What the model says of them.
    threshold : Threshold or None
        For "blast", chosen on the rows of split "val"; None where these do not allow one.
    unknown : dict of str to int
        Cells of split "test" by labels that the model knows nothing of.
    """

    metrics: list[Metric]
    by_class: list[Metric]
    rows: list[Row]
    proba: Probabilities
    threshold: Threshold | None
    unknown: dict[str, int]


def evaluate(
    model: Classifier,
    manifest: Manifest,
    roots: Sequence[Path],
    cache: Path,
    left_out: Path | None = None,
    baselines: bool = True,
    log: Log | None = None,
) -> Evaluation:
    """Measure a model on the rows of split "test", and on JTSC's white cells, a source left out altogether.

    Parameters
    ----------
    model : Classifier
    manifest : Manifest
    roots : sequence of Path
        Of the manifest's paths.
    cache : Path
        Where the baselines' crops are kept; outside the repository.
    left_out : Path, optional
        The folder of the data sets, for JTSC.
    baselines : bool
        Also measure the majority class and a logistic regression on frozen ImageNet features.
    log : callable, optional
        Takes a line about what is being done.

    Raises
    ------
    ManifestError
        No cells of split "test".
    """
    say = log or (lambda line: None)
    rows = [row for row in manifest if row.split == "test"]
    if not rows:
        raise ManifestError("no cells in test", "Hold groups out (leukotrain.data.splits.holdout).", manifest.file)
    unknown = unknown_labels(rows, model.classes)
    if unknown:
        found = ", ".join(f"{label} ({count} cells)" for label, count in unknown.items())
        say(f"labels that the model does not know, left out where classes are told apart: {found}")
    threshold = threshold_of(model, manifest, roots, say)
    say(f"{len(rows)} held-out cells")
    proba = predict(model, rows, roots)
    metrics = measure(rows, proba, model.classes, threshold)
    classes = by_class(rows, proba, model.classes)
    if left_out is not None:
        say("JTSC's white cells")
        metrics += left_out_metrics(model, left_out)
    say("speed")
    metrics += _speed(model, rows, roots)
    if baselines:
        from .baselines import baseline_metrics

        say("baselines")
        metrics += baseline_metrics(manifest, roots, model.bundle.crop, model.classes, cache)
    return Evaluation(metrics, classes, rows, proba, threshold, unknown)


def left_out_metrics(model: Classifier, data: Path, mpp: float | None = None) -> list[Metric]:
    """Measure which share of JTSC's white cells is called blast, and which a mature white cell; none without any.

    Parameters
    ----------
    model : Classifier
    data : Path
        The folder of the data sets.
    mpp : float, optional
        µm per pixel to tell the model; the set does not give it.
    """
    images, masks, groups = left_out_cells(data) if BLAST in model.classes else ([], [], [])
    if not images:
        return []
    called = np.empty(len(images), np.int64)
    for one, its in by_slide(model, groups, images.__getitem__):
        proba = one.predict_proba([images[i] for i in its], [masks[i] for i in its], mpp)
        called[its] = proba.argmax(axis=1)
    cells = "JTSC, white cells" if mpp is None else f"JTSC, white cells, at {mpp:g} µm/px"
    note = "nothing of this source was trained on" + ("; scale not known" if mpp is None else "")
    mature = np.array([name in MATURE.split("|") for name in model.classes])
    given = {"called blast": called == model.classes.index(BLAST), "called a mature white cell": mature[called]}
    shares = {name: share(hits, np.array(groups)) for name, hits in given.items()}
    return [Metric(name, cells, *limits, len(images), len(set(groups)), note) for name, limits in shares.items()]


def threshold_of(model: Classifier, manifest: Manifest, roots: Sequence[Path], log: Log) -> Threshold | None:
    """Choose the probability at which a cell is called a blast, on the real cells of split "val" alone (guard 13).

    Of sources that show both blasts and other cells there, where there are any: another laboratory's cells are easily
    told from blasts, and would put the threshold low. None where the model knows no blasts, or "val" has none or
    nothing else.
    """
    rows = [row for row in manifest if row.split == "val" and not row.synthetic]
    known = facts(rows, model.classes).blast
    if BLAST not in model.classes or not (known == 1).any() or not (known == 0).any():
        log("no threshold for blasts: it takes blasts and other cells in val, and a model that knows blasts")
        return None
    source = np.array([row.source for row in rows])
    both = [s for s in set(source) if {0, 1} <= set(known[source == s].tolist())]
    used = (known >= 0) & (np.isin(source, both) | (not both))
    chosen = [row for row, use in zip(rows, used, strict=True) if use]
    log(f"{len(chosen)} validation cells, for the threshold")
    proba = predict(model, chosen, roots)
    return choose_threshold(known[used] == 1, proba[:, model.classes.index(BLAST)])


def _speed(model: Classifier, rows: Sequence[Row], roots: Sequence[Path]) -> list[Metric]:
    outlined = [row for row in rows if row.mask][:512]
    if not outlined:
        return []
    images, scales = [load(row, roots)[0] for row in outlined], [row.mpp for row in outlined]
    masks = [_mask(row, roots) for row in outlined]
    started = time.perf_counter()
    model.predict_proba(images, masks, [None if math.isnan(mpp) else mpp for mpp in scales])
    rate = len(images) / (time.perf_counter() - started)
    note = f"outlines given; {model.device.type}; of the moment, on a machine that may be busy"
    return [Metric("cells per second", "held-out cells", rate, None, None, len(images), 0, note)]
