"""What a comparison found, as a picture: a dot on its interval for every arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.figure import Figure

from .compare import BASELINES, Result

__all__ = ["draw"]

# One panel each, of the first of these figures that a source has: how well arms rank, and how well they decide.
PANELS: Final = (("AUROC, blast", "macro-F1"), ("balanced accuracy, blast or not", "balanced accuracy"))

Row = tuple[str, bool, Mapping[tuple[str, str], Mapping[str, Any]]]  # name, one of the trivial methods?, figures


def draw(file: Path, results: Sequence[Result]) -> None:
    """Draw what was measured into an SVG file; an older picture is removed where there is nothing to draw.

    Parameters
    ----------
    file : Path
    results : sequence of Result
        Arms that failed are left out, the trivial methods stand below the others, in gray.
    """
    rows = _rows(results)
    panels = _panels(rows)
    if not panels:
        file.unlink(missing_ok=True)
        return
    figure = Figure(figsize=(3.6 + 3.0 * len(panels), 1.1 + 0.26 * len(rows)), layout="constrained")
    for axes, (data, name) in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
        for y, (_, trivial, figures) in enumerate(rows):
            if (metric := figures.get((data, name))) is None:
                continue
            color = "0.6" if trivial else "C0"
            if metric["low"] is not None:
                axes.plot([metric["low"], metric["high"]], [y, y], color=color, linewidth=2)
            axes.plot(metric["value"], y, "D" if trivial else "o", color=color, markersize=5)
        axes.set_title(f"{data}: {name}", fontsize=9)
        axes.set_yticks(range(len(rows)), [row[0] for row in rows], fontsize=8)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="x", labelsize=8)
        axes.grid(axis="both", color="0.92")
        axes.set_axisbelow(True)
    with rc_context({"svg.hashsalt": "leukotrain"}):  # the same results give the same file
        figure.savefig(file, format="svg", metadata={"Date": None})


def _rows(results: Sequence[Result]) -> list[Row]:
    seeds = {result.seed for result in results if result.name != BASELINES}
    arms: list[Row] = []
    trivial: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        if result.name != BASELINES:
            if not result.error:
                name = f"{result.name}, seed {result.seed}" if len(seeds) > 1 else result.name
                start = f" ({result.weights})" if result.weights else ""
                arms.append((name + start, False, _known(result.metrics)))
            continue
        for metric in result.metrics:
            name, _, method = metric["name"].partition(": ")
            trivial.setdefault(method, []).append({**metric, "name": name})
    return [*arms, *((method, True, _known(metrics)) for method, metrics in trivial.items())]


def _known(metrics: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(m["data"], m["name"]): m for m in metrics if m["value"] is not None}


def _panels(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Give what is drawn, source by source: (data, figure)."""
    known = dict.fromkeys(key for _, trivial, figures in rows if not trivial for key in figures)
    sources = dict.fromkeys(data for data, _ in known)
    found = [next(((data, n) for n in choices if (data, n) in known), None) for data in sources for choices in PANELS]
    return [panel for panel in found if panel is not None]
