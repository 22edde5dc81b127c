"""What a comparison found, as one Markdown table with a caption."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from .compare import BASELINES, Result
from .compare_plot import draw
from .data.manifest import Manifest
from .figures import source_name
from .settings import Settings
from .transforms import Traditional

__all__ = ["caption", "markdown", "write"]

# column -> the figures that may stand in it, the first that a source has
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "AUROC": ("AUROC, blast",),
    "average precision": ("average precision, blast",),
    "balanced accuracy": ("balanced accuracy, blast or not", "balanced accuracy"),
    "sensitivity": ("sensitivity, blast",),
    "specificity": ("specificity, blast",),
    "macro-F1": ("macro-F1",),
    "ECE": ("calibration error (ECE)",),
}
HEAD: Final = (
    "arm", "seed", "first weights", "crop, px", "data", *COLUMNS, "parameters", "training, s", "cells / s",
)  # fmt: skip

Metrics = Sequence[Mapping[str, Any]]


def markdown(results: Sequence[Result]) -> str:
    """Give a row for each arm and each source that it can be told apart on; of an arm that failed, its reason."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for result in results:
        if result.error:
            size = str(result.size or "")
            reason = f"not measured: {result.error}".replace("|", "/")
            lines.append(_filled(result.name, _seed(result), result.weights, size, reason))
        elif result.name == BASELINES:
            lines += _trivial(result)
        else:
            about = (result.name, _seed(result), result.weights, str(result.size))
            cost = (f"{result.parameters:,}", f"{result.seconds:.0f}", f"{result.rate:.0f}")
            lines += [(*about, data, *figures, *cost) for data, figures in _by_data(result.metrics)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines).replace("| --- ", "|---").replace("--- |", "---|")


def caption(manifest: Manifest, settings: Settings, size: int) -> str:
    """Say on what and how the arms were trained and measured, and what the figures cannot say."""
    parts = []
    for split, words in (("train", "Trained on"), ("val", "validated on"), ("test", "measured on")):
        rows = [row for row in manifest if row.split == split]
        parts.append(f"{words} {len(rows)} cells of {len({row.group for row in rows})} groups")
    sources = ", ".join(source_name(source) for source in sorted({row.source for row in manifest}))
    usual = Settings()
    passes = "1 epoch" if settings.epochs == 1 else f"{settings.epochs} epochs"
    lines = [
        f"{sources}. {', '.join(parts)} (manifest {manifest.sha256[:12]}).",
        f"{passes} of {settings.epoch_cells} cells, the same cells for every arm, batches of {settings.batch}, "
        f"rates {settings.rate:g} and {settings.head_rate:g}, {_augmentation(settings)}; the weights are those of the "
        "epoch of the least validation loss.",
    ]
    if settings.epochs * settings.epoch_cells < usual.epochs * usual.epoch_cells:
        lines.append(
            f"Reduced: the usual training is {usual.epochs} epochs of {usual.epoch_cells} cells. Networks that start "
            "from random weights suffer most from that."
        )
    labels = {row.label for row in manifest if row.split == "val" and not row.synthetic}
    if len(labels) == 1:
        lines.append(
            f"All validation cells are of one class ({labels.pop()}): epoch and temperature are chosen by it alone, so "
            "sensitivity, specificity, macro-F1 and ECE lean to it; rely on AUROC and average precision."
        )
    lines += [
        f"Crops are of {size} px, or of the size in the table over the same field of view. Intervals (95 %) resample "
        "groups, then cells within them; a class with one group varies its cells only.",
        "The trivial methods learn from the validation cells too. "
        "Balanced accuracy is of blast or not where a source has both. Cells / s: from file to probabilities. "
        "Times are of the moment, on a machine that may be busy.",
    ]
    return " ".join(lines)


def write(file: Path, results: Sequence[Result], manifest: Manifest, settings: Settings, size: int) -> str:
    """Write results as JSON, their table with its caption as Markdown and a picture as SVG; give the table."""
    told = caption(manifest, settings, size)
    text = f"{told}\n\n{markdown(results)}"
    values = {"caption": told, "manifest_sha256": manifest.sha256, "arms": [vars(result) for result in results]}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(values, indent=1), encoding="utf-8")
    file.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    draw(file.with_suffix(".svg"), results)
    return text


def _augmentation(settings: Settings) -> str:
    change = settings.augmentation
    if change is None:
        return "no augmentation"
    return "traditional augmentation" if isinstance(change, Traditional) else "style augmentation"


def _seed(result: Result) -> str:
    return "" if result.seed is None else str(result.seed)


def _filled(*cells: str) -> tuple[str, ...]:
    return cells + ("",) * (len(HEAD) - len(cells))


def _trivial(result: Result) -> list[tuple[str, ...]]:
    """Give the rows of the trivial methods: their figures carry the method's name after a colon."""
    methods: dict[str, list[Mapping[str, Any]]] = {}
    for metric in result.metrics:
        name, _, method = metric["name"].partition(": ")
        methods.setdefault(method, []).append({**metric, "name": name})
    rows = []
    for method, metrics in methods.items():
        weights = "ImageNet, frozen" if method == "frozen features" else ""
        about = (method, "", weights, str(result.size))
        rows += [_filled(*about, data, *figures) for data, figures in _by_data(metrics)]
    return rows


def _by_data(metrics: Metrics) -> list[tuple[str, tuple[str, ...]]]:
    """Give the columns' figures source by source; of sources that have at least one."""
    names = {name for choices in COLUMNS.values() for name in choices}
    known = {(m["data"], m["name"]): m for m in metrics if m["name"] in names and m["value"] is not None}
    rows = []
    for data in dict.fromkeys(data for data, _ in known):
        found = [next((known[data, n] for n in choices if (data, n) in known), None) for choices in COLUMNS.values()]
        rows.append((data, tuple("" if m is None else _figure(m) for m in found)))
    return rows or [("no source with two classes", ("",) * len(COLUMNS))]


def _figure(metric: Mapping[str, Any]) -> str:
    interval = "" if metric["low"] is None else f" ({metric['low']:.3f}–{metric['high']:.3f})"
    return f"{metric['value']:.3f}{interval}"
