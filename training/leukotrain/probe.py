"""What a model relies on: the cell, or the style of the laboratory, which goes with some classes only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from leukoscope.classification import Classifier
from leukoscope.classification.taxonomy import BLAST

from ._look import CHANGES, crops_of, eye, frozen, given_by_style, pictures_of
from .baselines import regression
from .card import table
from .data.cache import Crops
from .data.manifest import Manifest, ManifestError, Row
from .data.masks import JTSC_MPP
from .evaluate import left_out_metrics, predict
from .figures import source_name
from .guards import slides_not_seen, trained_groups
from .metrics import Metric, balanced_accuracy, bootstrap, share

__all__ = ["Sections", "markdown", "probe", "some", "source_probe", "style_metrics", "swap_metrics"]

Pictures = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]
Sections = Mapping[str, Sequence[Metric]]
Log = Callable[[str], None]

FROZEN: Final = "frozen ImageNet features"
LONE: Final = "all cells of one source are of one group: the interval says nothing about other groups"


def some(rows: Sequence[Row], cells: int, seed: int) -> list[int]:
    """Draw at most so many real cells of each source and class, for the test split and for the others: their places."""
    parts: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if not row.synthetic:
            parts[row.source, row.label, row.split == "test"].append(i)
    rng = np.random.default_rng(seed)
    return sorted(int(i) for _, its in sorted(parts.items()) for i in rng.permutation(its)[:cells])


def source_probe(what: str, features: Floats, rows: Sequence[Row], data: str) -> Metric | None:
    """Measure how well the source is told from features, by logistic regression.

    Parameters
    ----------
    what : str
        The features, for the table.
    features : float array (n, d)
    rows : sequence of Row
        The cells; fitted on those of "train" and "val", measured on those of "test".
    data : str
        Which cells these are.

    Returns
    -------
    Metric or None
        Balanced accuracy; None where fewer than two sources are both fitted and measured.
    """
    sources, test = np.array([row.source for row in rows]), np.array([row.split == "test" for row in rows])
    both = sorted({*sources[test]} & {*sources[~test]})
    if len(both) < 2:
        return None
    known, truth = np.isin(sources, both), np.searchsorted(both, sources)
    fitted, at = known & ~test, np.flatnonzero(known & test)
    # the more features, the tighter the rein
    line = LogisticRegression(C=min(1.0, 10 / features.shape[1]), max_iter=2000, class_weight="balanced")
    method = make_pipeline(StandardScaler(), line).fit(features[fitted], truth[fitted])
    right, given = truth[at], method.predict(features[at])
    groups = np.array([rows[i].group for i in at.tolist()])
    low, high = bootstrap(lambda i: balanced_accuracy(right[i], given[i]), groups, right)
    names = ", ".join(source_name(str(source)) for source in both)
    name = f"source from {what} (chance {1 / len(both):.2f})"
    value, note = balanced_accuracy(right, given), _lone(groups, right)
    return Metric(name, f"{data}: {names}", value, low, high, len(at), len(set(groups)), note)


def _lone(groups: NDArray[np.str_], part: NDArray[Any]) -> str:
    return LONE if any(len(set(groups[part == p])) == 1 for p in np.unique(part)) else ""


def _source_metrics(features: Mapping[str, Floats], rows: Sequence[Row]) -> list[Metric]:
    labels = np.array([row.label for row in rows])
    single = np.array(["|" not in label for label in labels])
    kinds = np.unique(labels[single])
    found = []
    for kind, use in [*((str(kind), labels == kind) for kind in kinds), ("all classes", single)]:
        its, sets = [row for row, used in zip(rows, use, strict=True) if used], dict(features)
        if kind == "all classes":  # what the class alone gives away, as no source shows all classes
            sets["the class itself"] = (labels[:, None] == kinds).astype(np.float64)
        found += [source_probe(what, values[use], its, kind) for what, values in sets.items()]
    return [metric for metric in found if metric is not None]


def style_metrics(given: Ints, names: Sequence[str], rows: Sequence[Row], blast: int | None) -> list[Metric]:
    """Count, source by source, the cells whose class changes with the style; `given` as `given_by_style` gave it."""
    out = []
    sources, groups = np.array([row.source for row in rows]), np.array([row.group for row in rows])
    for m, name in enumerate(names):
        told = [("class changes", given[m])]
        if blast is not None:
            told.append(("blast or not changes", given[m] == blast))
        for source in np.unique(sources):
            at = np.flatnonzero(sources == source)
            data, counts = source_name(str(source)), (len(at), len(set(groups[at])))
            for figure, values in told:
                hits = (values[:, 0] != values[:, 1]).any(axis=0)[at]
                figure = f"{figure} in one of {CHANGES} changes of style: {name}"
                out.append(Metric(figure, data, *share(hits, groups[at]), *counts))
    return out


def swap_metrics(rows: Sequence[Row], proba: Floats, classes: Sequence[str]) -> list[Metric]:
    """Compare cells of one true class by their source: what they are called, and the gap between sources."""
    out: list[Metric] = []
    groups, best = np.array([row.group for row in rows]), proba.argmax(axis=1)
    for true, asked in (("lymphocyte", BLAST), (BLAST, BLAST), (BLAST, "lymphocyte")):
        if asked not in classes:
            continue
        column, called = classes.index(asked), best == classes.index(asked)
        sources = np.array([row.source if row.label == true else "" for row in rows])
        names = [str(source) for source in np.unique(sources) if source]
        for source in names:
            at = np.flatnonzero(sources == source)
            data, counts = f"{source_name(source)}, {true}", (len(at), len(set(groups[at])))
            out.append(Metric(f"called {asked}", data, *share(called[at], groups[at]), *counts))
            bounds = bootstrap(lambda i: float(proba[at[i], column].mean()), groups[at], np.zeros(len(at), int))  # noqa: B023
            out.append(Metric(f"mean probability of {asked}", data, float(proba[at, column].mean()), *bounds, *counts))
        for one, other in combinations(names, 2):
            at = np.flatnonzero((sources == one) | (sources == other))
            first, hits, its = sources[at] == one, called[at], groups[at]
            gaps: Callable[[Ints], float] = lambda i: float(hits[i][first[i]].mean() - hits[i][~first[i]].mean())  # noqa: B023, E731
            bounds = bootstrap(gaps, its, first.astype(int))
            data = f"{source_name(one)} less {source_name(other)}, {true}"
            value, note = gaps(np.arange(len(at))), _lone(its, first)
            out.append(Metric(f"called {asked}, gap", data, value, *bounds, len(at), len(set(its)), note))
    return out


def probe(
    model: Classifier,
    manifest: Manifest,
    roots: Sequence[Path],
    work: Path,
    left_out: Path | None = None,
    cells: int = 300,
    seed: int = 0,
    log: Log | None = None,
) -> Sections:
    """Measure what a model relies on, on cells of split "test".

    Parameters
    ----------
    model : Classifier
        Read from a folder.
    manifest : Manifest
    roots : sequence of Path
        Of its paths.
    work : Path
        Where crops are kept; outside the repository.
    left_out : Path, optional
        The folder of the data sets, for JTSC.
    cells : int
        At most so many of each source and class are measured, and as many are fitted on; a third in other styles.
    seed : int
    log : callable, optional
        Takes a line about what is being done.

    Raises
    ------
    GuardError
        A group to be measured was trained on.
    ManifestError
        No cells of split "test", or none of the others.
    """
    say = log or (lambda line: None)
    slides_not_seen(trained_groups(model.bundle), (row.group for row in manifest if row.split == "test"))
    chosen = some(manifest.rows, cells, seed)
    rows = [manifest.rows[i] for i in chosen]
    test = [i for i, row in enumerate(rows) if row.split == "test"]
    if not test or len(test) == len(rows):
        raise ManifestError("no cells in test, or none beside", "Hold groups out, and keep some.", manifest.file)
    look, size = eye(model), model.size
    crops = crops_of(model, manifest, roots, work, chosen)
    say(f"{len(test)} held-out cells, and {len(rows) - len(test)} to fit on")
    pictures = pictures_of(crops, size, model.chain)
    plainly, cover = frozen(pictures), crops.pixels[..., 3:] > 127
    color = (crops.pixels[..., :3] * cover).sum((1, 2)) / np.maximum(cover.sum((1, 2)), 1)
    simple = np.column_stack([color, crops.diameters])
    features = {"the model's embedding": look(pictures)[0], FROZEN: plainly, "mean color and diameter": simple}
    sections = {"Source probe": _source_metrics(features, rows)}

    say("other styles")
    few = [test[k] for k in some([rows[i] for i in test], -(-cells // 3), seed)]
    methods: list[Callable[[Pictures], Ints]] = [lambda pictures: look(pictures)[1]]
    names = ["the model"]
    fitted = [i for i, row in enumerate(rows) if row.split != "test" and row.label in model.classes]
    if len({rows[i].label for i in fitted}) > 1:
        truth = np.array([model.classes.index(rows[i].label) for i in fitted])
        head = regression().fit(plainly[fitted], truth)
        methods.append(lambda pictures: np.asarray(head.predict(frozen(pictures))))
        names.append(FROZEN)
    given = given_by_style(methods, Crops(crops.pixels[few], crops.diameters[few]), size, seed, model.chain)
    blast = model.classes.index(BLAST) if BLAST in model.classes else None
    sections["Another style, the same cell"] = style_metrics(given, names, [rows[i] for i in few], blast)

    say("one class, several sources")
    alike = [rows[i] for i in test if rows[i].label in (BLAST, "lymphocyte")]
    if alike:
        sections["One class, several sources"] = swap_metrics(alike, predict(model, alike, roots), model.classes)
    if left_out is not None and blast is not None:
        say("JTSC's white cells")
        found = (left_out_metrics(model, left_out, mpp) for mpp in (None, JTSC_MPP))
        sections["A source left out"] = [metric for metrics in found for metric in metrics]
    return {title: metrics for title, metrics in sections.items() if metrics}


def markdown(sections: Sections) -> str:
    """Give the figures as Markdown, a table for each section, and the notes on them."""
    parts = []
    for title, metrics in sections.items():
        notes = sorted({f"- {m.data}: {m.note}." for m in metrics if m.note})
        parts += [f"### {title}", table([m.to_json() for m in metrics]), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)
