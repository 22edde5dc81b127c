"""From a model's probabilities to its figures, source by source: only cells of one source are told apart fairly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.classification.taxonomy import BLAST, TAXONOMY

from .curves import Threshold
from .data.manifest import Row
from .metrics import (
    Metric,
    auroc,
    average_precision,
    balanced_accuracy,
    bootstrap,
    bootstrap_all,
    calibration_error,
    macro_f1,
    per_class,
    share,
)

__all__ = ["Facts", "by_class", "facts", "measure", "roll_ups", "source_name", "unknown_labels"]

NAMES: Final = {"cnmc": "C-NMC", "pbc": "PBC", "all_idb1": "ALL-IDB1", "bccd": "BCCD"}
LONE: Final = "the other cells are of one group: the interval says nothing about other groups"

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


def source_name(source: str) -> str:
    """Give what a source is called in tables."""
    return NAMES.get(source, source)


@dataclass(frozen=True)
class Facts:
    """What is known of cells, row by row.

    Attributes
    ----------
    sources, groups : str arrays (n,)
    truth : int array (n,)
        The class, as its place among the model's; -1 where it is not known to be one of them.
    blast : int array (n,)
        1 for a blast, 0 for another cell with a nucleus, -1 where neither is known or there is no cell.
    tested : tuple of str
        The sources, the known data sets first.
    """

    sources: NDArray[np.str_]
    groups: NDArray[np.str_]
    truth: NDArray[np.int64]
    blast: NDArray[np.int64]
    tested: tuple[str, ...]

    def told_apart(self, source: str) -> Bools:
        """Give the cells of a source by which classes are told apart: of known class, with a nucleus."""
        return np.asarray((self.sources == source) & (self.truth >= 0) & (self.blast >= 0))


def facts(rows: Sequence[Row], classes: Sequence[str]) -> Facts:
    """Read what is known of cells from the rows of a manifest."""
    index = {name: i for i, name in enumerate(classes)}
    sources = np.array([row.source for row in rows], np.str_)
    order = [source for source in NAMES if source in sources]
    return Facts(
        sources,
        np.array([row.group for row in rows], np.str_),
        np.array([index.get(row.label, -1) for row in rows], np.int64),
        np.array([_blast(row) for row in rows], np.int64),
        tuple(order + sorted(set(sources.tolist()) - set(order))),
    )


def _blast(row: Row) -> int:
    if BLAST in row.allowed:
        return 1 if len(row.allowed) == 1 else -1
    return 0 if any(TAXONOMY[label].nucleated for label in row.allowed) else -1


def roll_ups(rows: Sequence[Row], proba: Floats, classes: Sequence[str]) -> tuple[NDArray[np.int64], Floats, list[str]]:
    """Sum a model's classes into the taxonomy's broader ones: band and segmented into neutrophil, and so on.

    Returns
    -------
    truth : int array (n,)
        Of the broader classes; -1 where not known. A cell known to be of one of two parts is known here.
    proba : float array (n, broader)
    broader : list of str
    """
    parents = [TAXONOMY.roll_up(name) for name in classes]
    broader = list(dict.fromkeys(parents))
    summed = np.zeros((len(rows), len(broader)), np.float64)
    for column, parent in enumerate(parents):
        summed[:, broader.index(parent)] += proba[:, column]
    known = [{TAXONOMY.roll_up(label) for label in row.allowed} for row in rows]
    truth = [broader.index(next(iter(k))) if len(k) == 1 and k <= set(broader) else -1 for k in known]
    return np.array(truth, np.int64), summed, broader


def unknown_labels(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, int]:
    """Count cells by labels of which the model knows nothing, not even the broader class."""
    known = set(classes) | {TAXONOMY.roll_up(name) for name in classes}
    labels = (r.label for r in rows if not known & ({*r.allowed} | {TAXONOMY.roll_up(a) for a in r.allowed}))
    return dict(sorted(Counter(labels).items()))


class _Sheet:
    """Figures as they are added: over chosen cells, with intervals by groups."""

    def __init__(self, groups: NDArray[np.str_]) -> None:
        self.groups = groups
        self.metrics: list[Metric] = []

    def add(
        self, name: str, data: str, use: Bools, figure: Callable[[Any], float], strata: NDArray[Any], note: str = ""
    ) -> None:
        at = np.flatnonzero(use)
        if len(at):
            low, high = bootstrap(lambda i: figure(at[i]), self.groups[at], strata[at])
            self.metrics.append(Metric(name, data, figure(at), low, high, len(at), len(set(self.groups[at])), note))

    def add_share(self, name: str, data: str, use: Bools, hits: Bools, note: str = "") -> None:
        if use.any():
            value, low, high = share(hits[use], self.groups[use])
            self.metrics.append(Metric(name, data, value, low, high, int(use.sum()), len(set(self.groups[use])), note))

    def undefined(self, name: str, data: str, why: str, cells: int = 0) -> None:
        self.metrics.append(Metric(name, data, None, None, None, cells, 0, f"undefined: {why}"))


def measure(
    rows: Sequence[Row], proba: Floats, classes: Sequence[str], threshold: Threshold | None = None
) -> list[Metric]:
    """Compute the figures of each source from probabilities.

    Parameters
    ----------
    rows : sequence of Row
    proba : float array (n, classes)
    classes : sequence of str
    threshold : Threshold, optional
        Of the probability of "blast", chosen on other cells than these.

    Returns
    -------
    list of Metric
        A figure that the cells do not define has no value, and a note why.
    """
    known, best = facts(rows, classes), proba.argmax(axis=1)
    sheet = _Sheet(known.groups)
    _about_blasts(sheet, known, proba, classes, threshold)
    truth = known.truth
    rolled_truth, rolled, broader = roll_ups(rows, proba, classes)
    rolled_best = rolled.argmax(axis=1)
    for source in known.tested:
        use, name = known.told_apart(source), source_name(source)
        if len(set(truth[use])) < 2:
            continue
        sheet.add("macro-F1", name, use, lambda i: macro_f1(truth[i], best[i]), truth)
        sheet.add("balanced accuracy", name, use, lambda i: balanced_accuracy(truth[i], best[i]), truth)
        wider = (known.sources == source) & (known.blast >= 0) & (rolled_truth >= 0)
        if len(broader) < len(classes) and len(set(rolled_truth[wider])) > 1:
            figure = lambda i: macro_f1(rolled_truth[i], rolled_best[i])  # noqa: E731
            sheet.add("macro-F1, roll-ups", name, wider, figure, rolled_truth)
        ece = lambda i: calibration_error(best[i] == truth[i], proba[i, best[i]])  # noqa: E731
        sheet.add("calibration error (ECE)", name, use, ece, truth)
    may = [{p for a in row.allowed for p in TAXONOMY.parts(a)} & set(classes) for row in rows]
    partly = np.array([len(these) > 1 for these in may], bool)
    right = np.array([classes[b] in these for these, b in zip(may, best, strict=True)], bool)
    for source in known.tested:  # a strange stain's white cells called artefacts show here, and in no other figure
        use = partly & (known.sources == source)
        sheet.add_share("called what they may be", f"{source_name(source)}, class known in part", use, right)
    if "artefact" in classes:
        use = known.truth == classes.index("artefact")
        names = " and ".join(source_name(s) for s in known.tested if (use & (known.sources == s)).any())
        sheet.add_share("called artefact", f"{names}, no white cells", use, best == classes.index("artefact"))
    return sheet.metrics


def _about_blasts(
    sheet: _Sheet, known: Facts, proba: Floats, classes: Sequence[str], threshold: Threshold | None
) -> None:
    if BLAST not in classes:
        sheet.undefined("AUROC, blast", "all cells", "the model knows no class blast")
        return
    score = proba[:, classes.index(BLAST)]
    called, is_blast = proba.argmax(axis=1) == classes.index(BLAST), known.blast == 1
    ranked = False
    for source in known.tested:
        name, here = source_name(source), known.sources == source
        blasts, others = here & is_blast, here & (known.blast == 0)
        if blasts.any() and others.any():
            ranked = True
            _two_classes(sheet, name, blasts, others, score, called, threshold)
            continue
        sheet.add_share("called blast", f"{name}, blasts", blasts, called)
        sheet.add_share("called blast", name if others.sum() == here.sum() else f"{name}, white cells", others, called)
        if "lymphocyte" in classes:  # what a blast is taken for, and the other way round
            lymphocytes = others & (known.truth == classes.index("lymphocyte"))
            sheet.add_share("called blast", f"{name}, lymphocytes", lymphocytes, called)
    if not ranked:
        counts = int(is_blast.sum()), int((known.blast == 0).sum())
        why = "there are no blasts" if not counts[0] else "there are only blasts"
        why = why if not all(counts) else "no source has both blasts and other cells"
        sheet.undefined("AUROC, blast", "all cells", why, sum(counts))


def _two_classes(
    sheet: _Sheet,
    data: str,
    blasts: Bools,
    others: Bools,
    score: Floats,
    called: Bools,
    threshold: Threshold | None,
) -> None:
    use, note = blasts | others, LONE if len(set(sheet.groups[others])) == 1 else ""
    strata = blasts.astype(int)
    if len(np.unique(score[use])) > 2:
        sheet.add("AUROC, blast", data, use, lambda i: auroc(blasts[i], score[i]), strata, note)
        figure = lambda i: average_precision(blasts[i], score[i])  # noqa: E731
        sheet.add("average precision, blast", data, use, figure, strata, note)
    else:  # guard 9
        sheet.undefined("AUROC, blast", data, "hard labels cannot be ranked", int(use.sum()))
    binary = lambda i: balanced_accuracy(strata[i], called[i].astype(int))  # noqa: E731
    sheet.add("balanced accuracy, blast or not", data, use, binary, strata, note)
    sheet.add_share("sensitivity, blast", data, blasts, called)
    sheet.add_share("specificity, blast", data, others, ~called, note)
    if threshold is not None:
        above = score >= threshold.value
        cut = f"p ≥ {threshold.value:.3f}, chosen on validation cells"
        sheet.add_share("sensitivity, blast, at the threshold", data, blasts, above, cut)
        sheet.add_share("specificity, blast, at the threshold", data, others, ~above, cut)


def by_class(rows: Sequence[Row], proba: Floats, classes: Sequence[str]) -> list[Metric]:
    """Compute precision, recall and F1 of each class, source by source, with intervals by groups.

    Of a source with cells of at least two known classes; the classes are those that its cells are of. A precision is
    that of this mix of classes: where blasts are rarer, it is lower.
    """
    known, best = facts(rows, classes), proba.argmax(axis=1)
    out: list[Metric] = []
    for source in known.tested:
        at = np.flatnonzero(known.told_apart(source))
        truth, given, groups = known.truth[at], best[at], known.groups[at]
        there = np.unique(truth)
        if len(there) < 2:
            continue
        values = per_class(truth, given, len(classes))
        low, high = bootstrap_all(lambda i: per_class(truth[i], given[i], len(classes)).ravel(), groups, truth)  # noqa: B023
        bounds = np.stack([low, high]).reshape(2, *values.shape)
        for k in there:
            cells, of = int((truth == k).sum()), len(set(groups[truth == k]))
            for m, figure in enumerate(("precision", "recall", "F1")):
                name, data = f"{figure}, {classes[k]}", source_name(source)
                if np.isnan(values[m, k]):
                    out.append(Metric(name, data, None, None, None, cells, of, "undefined: nothing was called so"))
                else:
                    least, most = (float(b) for b in bounds[:, m, k])
                    out.append(Metric(name, data, float(values[m, k]), least, most, cells, of))
    return out
