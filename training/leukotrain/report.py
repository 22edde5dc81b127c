"""The report of an evaluation: one HTML page that needs nothing else, and the same as JSON."""

from __future__ import annotations

import json
import platform
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, StrictUndefined

from leukoscope import __version__
from leukoscope.classification import Classifier
from leukoscope.classification.taxonomy import BLAST, TAXONOMY
from leukoscope.errors import SettingsError

from .curves import precision_recall_points, reliability_points, roc_points
from .data.manifest import Manifest, Row
from .evaluate import Evaluation, load
from .figures import facts, source_name
from .metrics import confusion
from .report_plots import Cell, confusion_picture, curves_picture, figures_picture, heat_sheet, history_picture, sheet
from .space import check_writable
from .transforms import by_slide

__all__ = ["HTML", "JSON", "content", "worst_errors", "write_report"]

HTML: Final = "report.html"
JSON: Final = "report.json"
ONLY: Final = "For research use only. Not for diagnosis."
ERRORS: Final = 24
EXPLAINED: Final = 6
PACKAGES: Final = ("torch", "timm", "numpy", "scipy", "scikit-learn", "matplotlib", "pillow")


def write_report(
    folder: Path, model: Classifier, manifest: Manifest, roots: Sequence[Path], result: Evaluation
) -> Path:
    """Write report.html and report.json; the page holds pictures of cells, so keep it where the data may be.

    Parameters
    ----------
    folder : Path
        Made where it does not exist; a report in it is replaced.
    model : Classifier
    manifest : Manifest
        That `result` was measured on.
    roots : sequence of Path
        Of the manifest's paths.
    result : Evaluation

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    SettingsError
        The folder cannot be written.
    """
    check_writable(folder)
    values = content(model, manifest, result)
    page = _page(values, _pictures(values, model, roots, result))
    for name, text in ((JSON, json.dumps(values, indent=1, allow_nan=False) + "\n"), (HTML, page)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / HTML


def content(model: Classifier, manifest: Manifest, result: Evaluation) -> dict[str, Any]:
    """Give all that the report says, as plain JSON values; no figure that is undefined is a number."""
    bundle, training = model.bundle, model.bundle.training
    own = [m.to_json() for m in result.metrics if m.note != "baseline"]
    beside = [m.to_json() for m in result.metrics if m.note == "baseline"]
    known = facts(result.rows, model.classes)
    best = result.proba.argmax(axis=1)
    use = known.truth >= 0
    hashes = manifest.sha256, training.get("manifest_sha256", "")
    return {
        "notice": ONLY,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {
            "name": bundle.name,
            "architecture": bundle.architecture,
            "fingerprint": model.fingerprint,
            "classes": list(model.classes),
            "crop": bundle.crop.to_json(),
            "steps": [step.name for step in bundle.steps],
            "temperature": bundle.temperature,
            "unidentified_below": bundle.threshold,
            "settings": dict(training.get("settings", {})),
        },
        "manifest": {
            "sha256": hashes[0],
            "trained_on_sha256": hashes[1],
            "same": hashes[0] == hashes[1],
            "cells": {split: sum(row.split == split for row in manifest) for split in ("train", "val", "test")},
        },
        "groups": {
            "trained_or_validated": {source: list(names) for source, names in training.get("groups", {}).items()},
            "tested": manifest.groups("test"),
        },
        "threshold": None if result.threshold is None else asdict(result.threshold),
        "unknown_labels": result.unknown,
        "figures": own,
        "baselines": beside,
        "by_class": [m.to_json() for m in result.by_class],
        "confusion": {
            "classes": list(model.classes),
            "counts": confusion(known.truth[use], best[use], len(model.classes)).tolist(),
        },
        "curves": _curves(model, result),
        "history": [dict(row) for row in training.get("history", ())],
        "errors": worst_errors(result, model.classes),
        "versions": {
            "leukoscope": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in PACKAGES},
        },
    }


def worst_errors(result: Evaluation, classes: Sequence[str], most: int = ERRORS) -> list[dict[str, Any]]:
    """List the most confident wrong calls, the most confident first.

    A call is wrong where the cell's label excludes it; cells of labels that the model does not know are passed over.
    """
    best = result.proba.argmax(axis=1)
    sure = result.proba.max(axis=1)
    found = []
    for i in np.argsort(-sure, kind="stable"):
        row, called = result.rows[i], classes[int(best[i])]
        if called not in row.allowed and set(row.allowed) & set(classes):
            found.append(
                {
                    "row": int(i),
                    "image": row.image,
                    "source": row.source,
                    "group": row.group,
                    "label": row.label,
                    "called": called,
                    "probability": round(float(sure[i]), 4),
                }
            )
        if len(found) == most:
            break
    return found


def _curves(model: Classifier, result: Evaluation) -> dict[str, dict[str, Any]]:
    """Give the points of each source's curves, rounded; ROC only where scores rank (guard 9)."""
    known, proba = facts(result.rows, model.classes), result.proba
    best = proba.argmax(axis=1)
    found: dict[str, dict[str, Any]] = {}
    for source in known.tested:
        values: dict[str, Any] = {}
        use = (known.sources == source) & (known.blast >= 0)
        positive = known.blast[use] == 1
        if BLAST in model.classes and positive.any() and not positive.all():
            score = proba[use, model.classes.index(BLAST)]
            if len(np.unique(score)) > 2:
                values["roc"] = [_rounded(v) for v in roc_points(positive, score)]
                values["precision_recall"] = [_rounded(v) for v in precision_recall_points(positive, score)]
            if result.threshold is not None:
                above = score >= result.threshold.value
                alarms, sensitivity = float(above[~positive].mean()), float(above[positive].mean())
                precision = float(positive[above].mean()) if above.any() else None
                values["at_threshold"] = [alarms, sensitivity, precision]
        use = known.told_apart(source)
        if len(set(known.truth[use])) > 1:
            points = reliability_points(best[use] == known.truth[use], proba[use].max(axis=1))
            values["reliability"] = [_rounded(v) for v in points.T]
        if values:
            found[source_name(source)] = values
    return found


def _rounded(values: Any) -> list[float]:
    return [round(float(v), 5) for v in values]


def _short(row: Row) -> str:
    parents = {TAXONOMY.roll_up(label) for label in row.allowed}
    if len(row.allowed) == 1 or len(parents) == 1:
        return row.label if len(row.allowed) == 1 else parents.pop()
    return "one of several" if BLAST in row.allowed else f"no {BLAST}"


def _pictures(
    values: dict[str, Any], model: Classifier, roots: Sequence[Path], result: Evaluation
) -> dict[str, str | None]:
    shown = [_cell(error, result.rows[error["row"]], roots) for error in values["errors"]]
    explained, note = [], None
    try:
        explained = [
            Cell(cell.image, cell.caption, _heats(model, result.rows, error, roots))
            for cell, error in zip(shown[:EXPLAINED], values["errors"], strict=False)
        ]
    except SettingsError as error:  # a network without a map of the image
        note = str(error)
    counts = np.array(values["confusion"]["counts"])
    return {
        "confusion": confusion_picture(counts, values["confusion"]["classes"]) if counts.any() else None,
        "curves": curves_picture(values["curves"], result.threshold) if values["curves"] else None,
        "history": history_picture(values["history"]),
        "errors": sheet(shown) if shown else None,
        "heats": heat_sheet(explained) if explained else None,
        "no_heats": note,
    }


def _cell(error: dict[str, Any], row: Row, roots: Sequence[Path]) -> Cell:
    caption = f"{error['called']} {error['probability']:.2f}\nlabeled {_short(row)}\n{row.source}, {row.group}"
    return Cell(load(row, roots)[0], caption)


def _heats(
    model: Classifier, rows: Sequence[Row], error: dict[str, Any], roots: Sequence[Path]
) -> tuple[tuple[str, Any], ...]:
    row = rows[error["row"]]
    its = [other for other in rows if other.group == row.group]  # the slide, by which the stain is normalized
    (one, _), *_ = by_slide(model, [row.group] * len(its), lambda i: load(its[i], roots)[0])
    image, mask, mpp = load(row, roots)
    labels = (error["called"], row.label) if row.label in model.classes else (error["called"],)
    return tuple((label, one.explain(image, mask, mpp, label)) for label in labels)


def _page(values: dict[str, Any], pictures: dict[str, str | None]) -> str:
    methods = list(dict.fromkeys(m["name"].rsplit(": ", 1)[1] for m in values["baselines"]))
    beside = {(m["data"], m["name"]): m for m in values["baselines"]}
    figures = []
    for m in values["figures"]:
        others = [beside.get((m["data"], f"{m['name']}: {method}")) for method in methods]
        figures.append({**m, "note": m.get("note", ""), "beside": others})
    classes: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for m in values["by_class"]:
        figure, label = m["name"].split(", ", 1)
        classes[m["data"], label][figure] = m
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page.filters["figure"] = _figure
    order = list(dict.fromkeys(m["data"] for m in figures))
    figures.sort(key=lambda m: order.index(m["data"]))
    notes = list(dict.fromkeys(m["note"] for m in figures if m["note"]))
    template = files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8")
    return page.from_string(template).render(
        values,
        methods=methods,
        rows=figures,
        notes=notes,
        classes=classes,
        pictures={**pictures, "figures": figures_picture(figures, values["model"]["name"], methods)},
        settings=values["model"]["settings"],
    )


def _figure(metric: dict[str, Any] | None) -> str:
    """Write a figure with its interval: 0.912 (0.871 to 0.944)."""
    if metric is None:
        return ""
    if metric["value"] is None:
        return "undefined"
    if metric["name"] == "cells per second":
        return f"{metric['value']:.0f}"
    interval = "" if metric["low"] is None else f" ({metric['low']:.3f} to {metric['high']:.3f})"
    return f"{metric['value']:.3f}{interval}"
