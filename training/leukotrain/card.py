"""A trained network as a bundle with its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from leukoscope.classification.bundle import Bundle, read_bundle, write_bundle
from leukoscope.classification.crops import CropSpec
from leukoscope.classification.preprocess import Chain, Normalize

from .data.manifest import Manifest
from .data.sources import LICENSES
from .initial import PACKAGE
from .metrics import Metric
from .settings import Fitted, Settings

__all__ = ["card", "publish", "record_metrics", "table"]

KNOWN: Final = {"cnmc": "C-NMC 2019", "pbc": "PBC, Barcelona", "all_idb1": "ALL-IDB1", "bccd": "BCCD"}
PUBLIC_LABELS: Final = (
    "blasts are lymphoblasts only (C-NMC, ALL-IDB1); no myeloblast was seen. C-NMC's "
    '"normal" B precursors are called lymphocyte here. White cells of healthy donors (ALL-IDB1) and of BCCD carry no '
    "class, and were trained as one of the mature ones. Smudges were marked by eye for this project, by one of its "
    "makers and no hematologist. Artefact stands for red cells, platelets and bare background."
)


def publish(
    folder: Path,
    name: str,
    fitted: Fitted,
    manifest: Manifest,
    classes: Sequence[str],
    spec: CropSpec,
    settings: Settings,
    chain: Chain | None = None,
    normalize: Normalize | None = None,
) -> Path:
    """Write a trained network as a bundle, its metrics still empty."""
    names = {KNOWN.get(row.source, row.source) for row in manifest}
    if PACKAGE in settings.sources:
        names.add("EfficientNet-Lite0, ImageNet")
    for source in settings.sources:
        if (
            source != PACKAGE and (Path(source).parent / "model.json").is_file()
        ):  # a bundle's: its origins are this one's
            names |= {entry["source"] for entry in read_bundle(Path(source).parent)[0].licenses}
    chain, normalize = chain or Chain(), normalize or Normalize()
    bundle = Bundle(
        name=name,
        mean=normalize.mean,
        std=normalize.std,
        fitted=normalize.fitted,
        steps=chain.steps,
        description="White cells of blood and marrow smears; for research use only.",
        architecture=settings.architecture,
        classes=tuple(classes),
        crop=spec,
        temperature=round(fitted.temperature, 4),
        threshold=fitted.threshold,
        training={
            "manifest_sha256": manifest.sha256,
            "command": "leukotrain fit",
            "settings": settings.to_json(),
            "history": fitted.history,
            "cells": {split: sum(row.split == split for row in manifest) for split in ("train", "val")},
            "groups": manifest.groups("train", "val"),
        },
        licenses=tuple(entry for entry in LICENSES if entry["source"] in names),
    )
    return write_bundle(folder, bundle, fitted.weights, card(bundle))


def record_metrics(folder: Path, metrics: Sequence[Metric]) -> Bundle:
    """Write measured figures into a bundle's model.json and card; those that the cells do not define stay out."""
    bundle, weights = read_bundle(folder)
    bundle = replace(bundle, metrics=tuple(m.to_json() for m in metrics if m.value is not None))
    write_bundle(folder, bundle, weights, card(bundle))
    return bundle


def table(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Give figures as a Markdown table."""
    lines = ["| data (held out) | figure | value | 95 % interval | cells | groups |", "|---|---|---|---|---|---|"]
    for m in metrics:
        interval = "" if m["low"] is None else f"{m['low']:.3f} to {m['high']:.3f}"
        value = "undefined" if m["value"] is None else f"{m['value']:.{0 if m['name'] == 'cells per second' else 3}f}"
        lines.append(f"| {m['data']} | {m['name']} | {value} | {interval} | {m['cells']} | {m['groups']} |")
    return "\n".join(lines)


def card(bundle: Bundle) -> str:
    """Write a bundle's README.md."""
    own = [m for m in bundle.metrics if m.get("note") != "baseline"]
    beside = [m for m in bundle.metrics if m.get("note") == "baseline"]
    notes = sorted({f"{m['data']}: {m['note']}." for m in own if m.get("note")})
    groups = ", ".join(f"{len(names)} of {source}" for source, names in bundle.training["groups"].items())
    sources = set(bundle.training["groups"])
    terms = [f"| {x['source']} | {x['license']} | {x.get('use', '')} |" for x in bundle.licenses]
    terms += [f"| {source} | its owner's | cells |" for source in sorted(sources - KNOWN.keys())]
    also = bundle.training.get("settings", {}).get("also", ())
    steps = ", ".join(step.name for step in bundle.steps)
    balanced = bundle.crop.balance == "cell"
    parts = [
        f"# {bundle.name}",
        f"{bundle.description} {bundle.architecture} on crops of {bundle.crop.size} px at {bundle.crop.mpp} µm/px, "
        f"the cell masked, its {'optical density balanced by its own pixels' if balanced else 'colors as they are'}."
        + (f" Preprocessing steps: {steps}." if steps else ""),
        f"**Classes**: {', '.join(bundle.classes)}. A cell whose likeliest class has less than "
        f"{bundle.threshold:.2f} is called unidentified.",
        f"**What the labels are**: {PUBLIC_LABELS if sources <= KNOWN.keys() else 'as their data sets give them.'}",
        f"**Groups seen in training and validation**: {groups}; listed in model.json.",
        f"**Trained on all groups** of {', '.join(also)}: figures on these are of a model of the same settings that "
        "was trained without the groups it was measured on."
        if also
        else "",
        "**Scale**: µm per pixel should be given. A crop without is taken at "
        + ", ".join(f"{v} µm/px ({k})" for k, v in bundle.crop.assumed_mpp.items())
        + f" if that makes the cell {bundle.crop.plausible_um[0]:g} to {bundle.crop.plausible_um[1]:g} µm wide, "
        f"else the cell is taken to be {bundle.crop.cell_um:g} µm wide.",
        "## Terms of the data\n\nWeights learned from the sets below; none of their pixels are in this folder.\n\n"
        "| source | license | used for |\n|---|---|---|\n" + "\n".join(terms),
    ]
    if own:
        parts.append("## Measured on groups held out\n\nPrinted by `leukotrain evaluate`.\n\n" + table(own))
        parts.append("\n".join(f"- {note}" for note in notes))
    if beside:
        parts.append("## The trivial methods on the same cells\n\n" + table(beside))
    return "\n\n".join(part for part in parts if part) + "\n"
