"""The pictures of a report, as data URIs; drawn without pyplot, which keeps state and may want a window."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .curves import Threshold

__all__ = ["Cell", "confusion_picture", "curves_picture", "figures_picture", "heat_sheet", "history_picture", "sheet"]

Image = NDArray[np.uint8]
COLUMNS = 6
MARKS = "sD^v"  # of the trivial methods


@dataclass(frozen=True)
class Cell:
    """A cell on a sheet.

    Attributes
    ----------
    image : uint8 array (h, w, 3)
    caption : str
    heats : tuple of (str, float32 array (h, w))
        Grad-CAM's maps on the image's pixels, 0 to 1, each with the class that it is of.
    """

    image: Image
    caption: str
    heats: tuple[tuple[str, NDArray[np.float32]], ...] = ()


def _uri(figure: Figure, kind: str = "svg") -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=110)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def figures_picture(rows: Sequence[Mapping[str, Any]], name: str, methods: Sequence[str]) -> str | None:
    """Draw every figure between 0 and 1 as a dot on its interval, by data, with the trivial methods in gray beside.

    Parameters
    ----------
    rows : sequence of mapping
        Metrics as JSON ("data", "name", "value", "low", "high"), each with "beside": those of the methods, or None.
    name : str
        Of the model.
    methods : sequence of str
        The trivial methods, in the order of "beside".

    Returns
    -------
    str or None
        None where there is no figure to draw.
    """
    drawn = [row for row in rows if row["value"] is not None and 0 <= row["value"] <= 1]
    if not drawn:
        return None
    figure = Figure(figsize=(11, 1.1 + 0.27 * len(drawn)), layout="constrained")
    axes = figure.add_subplot()
    names: dict[str, None] = {}
    for y, row in enumerate(drawn):
        for method, metric in reversed([(name, row), *zip(methods, row["beside"], strict=True)]):
            if metric is None or metric["value"] is None:
                continue
            own = metric is row
            color, mark = ("C0", "o") if own else ("0.6", MARKS[list(methods).index(method) % len(MARKS)])
            place = y if own else y + 0.22
            if metric["low"] is not None:
                axes.plot([metric["low"], metric["high"]], [place, place], color=color, linewidth=2.5 if own else 1)
            size, label = 6 if own else 4, None if method in names else method
            axes.plot(metric["value"], place, mark, color=color, markersize=size, label=label)
            names[method] = None
        if y and row["data"] != drawn[y - 1]["data"]:
            axes.axhline(y - 0.5, color="0.85", linewidth=0.8)
    axes.set_yticks(range(len(drawn)), [f"{row['data']}: {row['name']}" for row in drawn], fontsize=8)
    axes.set(xlim=(-0.02, 1.02), ylim=(len(drawn) - 0.5, -0.5))
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper right", ncols=1 + len(methods), fontsize=8)
    return _uri(figure)


def confusion_picture(counts: NDArray[np.int64], classes: Sequence[str]) -> str:
    """Draw counts (truth, called), each row colored by its shares."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.5 * len(classes)
    figure = Figure(figsize=(side + 0.4, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for y, x in np.argwhere(counts > 0):
        color = "white" if shares[y, x] > 0.55 else "black"
        axes.text(x, y, str(counts[y, x]), ha="center", va="center", color=color, fontsize=8)
    axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right", fontsize=8)
    axes.set_yticks(range(len(classes)), classes, fontsize=8)
    axes.set_xlabel("called")
    axes.set_ylabel("labeled")
    return _uri(figure)


def curves_picture(curves: Mapping[str, Mapping[str, Any]], threshold: Threshold | None) -> str:
    """Draw ROC, precision over recall, and reliability of every source that has them.

    Parameters
    ----------
    curves : mapping of str to mapping
        By source: "roc" (false positive rate, sensitivity), "precision_recall" (recall, precision), "at_threshold"
        (false positive rate, sensitivity, precision), "reliability" (confidence, accuracy, cells).
    threshold : Threshold or None
        Where the marks are.
    """
    figure = Figure(figsize=(13.5, 4.5), layout="constrained")
    roc, ranked, reliable = figure.subplots(1, 3)
    for number, (source, known) in enumerate(curves.items()):
        color = f"C{number}"
        if "roc" in known:
            roc.plot(*known["roc"], color=color, label=source)
            ranked.plot(*known["precision_recall"], color=color, label=source, drawstyle="steps-pre")
        if "at_threshold" in known:
            alarms, sensitivity, precision = known["at_threshold"]
            roc.plot(alarms, sensitivity, "o", color=color)
            if precision is not None:
                ranked.plot(sensitivity, precision, "o", color=color)
        if "reliability" in known:
            confidence, accuracy, cells = (np.array(v) for v in known["reliability"])
            reliable.plot(confidence, accuracy, color=color, label=source)
            reliable.scatter(confidence, accuracy, 4 + 60 * cells / cells.sum(), color=color)
    roc.plot([0, 1], [0, 1], ":", color="gray")
    reliable.plot([0, 1], [0, 1], ":", color="gray")
    mark = "" if threshold is None else f"; dot: p ≥ {threshold.value:.3f}"
    roc.set(title=f"ROC, blast{mark}", xlabel="1 - specificity", ylabel="sensitivity")
    ranked.set(title=f"Precision and recall, blast{mark}", xlabel="recall", ylabel="precision")
    reliable.set(title="Reliability, all classes", xlabel="probability of the likeliest class", ylabel="share right")
    for axes in (roc, ranked, reliable):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
        else:
            axes.text(0.5, 0.5, "no source allows it", ha="center", va="center", color="gray")
    return _uri(figure)


def history_picture(history: Sequence[Mapping[str, Any]]) -> str | None:
    """Draw the losses of each epoch; None where the bundle has none."""
    rows = [row for row in history if {"epoch", "train_loss", "val_loss"} <= set(row)]
    if not rows:
        return None
    epochs = [int(row["epoch"]) + 1 for row in rows]
    figure = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(epochs, [row["train_loss"] for row in rows], "o-", label="training")
    axes.plot(epochs, [row["val_loss"] for row in rows], "o-", label="validation")
    best = min(range(len(rows)), key=lambda i: rows[i]["val_loss"])
    axes.axvline(epochs[best], color="gray", linestyle=":", label="kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel="loss")
    axes.legend()
    return _uri(figure)


def sheet(cells: Sequence[Cell]) -> str:
    """Draw cells side by side with their captions."""
    rows = math.ceil(len(cells) / COLUMNS)
    figure = Figure(figsize=(2.1 * COLUMNS, 2.65 * rows), layout="constrained")
    for number, cell in enumerate(cells):
        axes = figure.add_subplot(rows, COLUMNS, number + 1)
        axes.imshow(cell.image)
        axes.set_title(cell.caption, fontsize=7)
        axes.axis("off")
    return _uri(figure, "png")


def heat_sheet(cells: Sequence[Cell]) -> str:
    """Draw cells, a row each, with their maps laid over them."""
    wide = 1 + max(len(cell.heats) for cell in cells)
    figure = Figure(figsize=(2.6 * wide, 2.75 * len(cells)), layout="constrained")
    for number, cell in enumerate(cells):
        first = figure.add_subplot(len(cells), wide, number * wide + 1)
        first.imshow(cell.image)
        first.set_title(cell.caption, fontsize=7)
        first.axis("off")
        for place, (label, heat) in enumerate(cell.heats, start=2):
            axes = figure.add_subplot(len(cells), wide, number * wide + place)
            share = 0.55 * heat[..., None]
            colored = colormaps["inferno"](heat)[..., :3] * 255
            axes.imshow((cell.image * (1 - share) + colored * share).astype(np.uint8))
            axes.set_title(f"for {label}" if heat.any() else f"nothing speaks for {label}", fontsize=7)
            axes.axis("off")
    return _uri(figure, "png")
