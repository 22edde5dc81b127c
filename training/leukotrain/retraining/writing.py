"""A retrained model as a bundle that says where it comes from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from leukoscope.classification.bundle import Bundle, read_bundle, write_bundle
from leukoscope.classification.load import SHIPPED
from leukoscope.errors import SettingsError

from ..card import card
from ..space import check_space
from .gate import Gate
from .plan import RetrainPlan
from .reviewed import ReviewedCase

__all__ = ["SOURCE", "bundle_of", "check_out", "model_name", "write"]

SOURCE: Final = "cases"  # what training.groups calls the slides; the importer of cases says the same


def check_out(out: Path, plan: RetrainPlan) -> None:
    """Refuse to write over the model that is retrained, one that ships, or what is no model; before any work is done.

    Raises
    ------
    SettingsError
        It would take the place of something else.
    LeukoscopeError
        It cannot be written, or there is no room.
    """
    folder = plan.bundle.folder
    if (folder is not None and out.resolve() == folder.resolve()) or out.resolve().parent == SHIPPED.resolve():
        raise SettingsError("the new model would take the place of the old one", "Choose another folder.", out)
    if out.exists() and not ((out / "model.json").is_file() or (out.is_dir() and not any(out.iterdir()))):
        raise SettingsError("holds something that is no bundle", "Choose another folder.", out)
    if folder is not None:  # the new one takes about as much as the old one
        check_space(
            out.absolute().parent, sum(file.stat().st_size for file in folder.iterdir()), "the new model's files"
        )


def model_name(name: str | None, parent: str) -> str:
    """Give the new model's name: as asked for, else the old one's with "-retrained".

    Raises
    ------
    SettingsError
        The schema of bundles would not take it.
    """
    chosen = name or f"{parent.removesuffix('-retrained')[:30]}-retrained"
    if not re.fullmatch("[a-z][a-z0-9_-]{0,39}", chosen):
        raise SettingsError(f"{chosen!r} is no name of a model", "Use up to 40 of a-z, 0-9, - and _, a letter first.")
    return chosen


def bundle_of(
    plan: RetrainPlan,
    name: str,
    gate: Gate,
    overruled_by: str,
    how: Mapping[str, Any],
    trained: Sequence[str],
    temperature: float | None = None,
    threshold: float | None = None,
) -> Bundle:
    """Say what a retrained model is.

    Reviewers' names do not leave the case: a bundle travels, so it has their number, and a hash of each name with the
    case's id. Who overruled the gate is named as given: that is what the name is asked for.

    Parameters
    ----------
    plan : RetrainPlan
    name : str
    gate : Gate
    overruled_by : str
    how : mapping
        Of the fit: strength, search, settings; plain JSON values.
    trained : sequence of str
        The groups that it was trained on; those of the model before are added.
    temperature, threshold : float, optional
        Where they are not the old model's.
    """
    old = plan.bundle
    seen = {source: list(groups) for source, groups in old.training.get("groups", {}).items()}
    seen[SOURCE] = sorted({*seen.get(SOURCE, ()), *trained})
    cells = [
        [case.id, int(cell), label] for case in plan.cases for cell, label in zip(case.ids, case.labels, strict=True)
    ]
    retrained = {
        "parent": {"name": old.name, "fingerprint": old.fingerprint},
        "mode": plan.mode,
        "cases": [_case(case) for case in plan.cases],
        "locked": [_case(case) for case in plan.locked],
        "cells": plan.cells,
        "corrected": plan.corrected,
        "confirmed": plan.confirmed,
        "new_classes": list(plan.new_classes),
        "fit": dict(how),
        "gate": {
            "on": gate.on,
            "cells": gate.cells,
            "groups": gate.groups,
            "passed": gate.passed,
            "reasons": list(gate.reasons),
            "figures": [
                {"name": f.name, "before": _plain(f.before), "after": _plain(f.after), "change": _plain(f.change)}
                for f in (*gate.figures, *gate.by_class)
            ],
        },
        "overruled_by": overruled_by,
    }
    training = {
        **old.training,
        "command": "leukotrain retrain",
        "manifest_sha256": hashlib.sha256(json.dumps(cells).encode()).hexdigest(),
        "groups": seen,
        "retrained": [*old.training.get("retrained", ()), retrained],
    }
    return replace(
        old,
        name=name,
        classes=plan.classes,
        training=training,
        metrics=tuple(m.to_json() for m in gate.metrics()),
        temperature=old.temperature if temperature is None else temperature,
        threshold=old.threshold if threshold is None else threshold,
        folder=None,
        fingerprint="",
    )


def write(out: Path, bundle: Bundle, weights: Mapping[str, torch.Tensor]) -> Bundle:
    """Write the bundle with its card, and give it as read from there.

    Raises
    ------
    SettingsError
        There is no room, or the folder cannot be written. What was there before still is.
    """
    try:
        write_bundle(out, bundle, weights, _card(bundle))
    except OSError as error:
        remedy = "Make room or choose another folder, and start it again: what is embedded is kept."
        raise SettingsError(f"the model cannot be written ({error.strerror})", remedy, out) from error
    return read_bundle(out)[0]


def _case(case: ReviewedCase) -> dict[str, Any]:
    names = {hashlib.sha256(f"{case.id} {name}".encode()).hexdigest()[:12] for name in case.reviewers}
    return {
        "id": case.id,
        "group": case.group,
        "cells": len(case),
        "corrected": case.corrected,
        "labels": case.by_class,
        "reviewers": sorted(names),
        "model": case.model,
    }


def _plain(figure: tuple[float, float, float]) -> list[float | None]:
    return [round(value, 4) if value == value and abs(value) != float("inf") else None for value in figure]


def _card(bundle: Bundle) -> str:
    last = bundle.training["retrained"][-1]
    parent, gate = last["parent"], last["gate"]
    what = "its last layer alone" if last["mode"] == "head" else "the whole network"
    added = f" New classes: {', '.join(last['new_classes'])}." if last["new_classes"] else ""
    slides = len({case["group"] for case in last["cases"]})
    learned = f"{last['cells']} reviewed cells of {slides} slides"
    parts = [
        card(replace(bundle, metrics=())).rstrip("\n"),
        f"## Retrained\n\nFrom `{parent['name']}` ({parent['fingerprint']}), {what}, on {learned} ({last['corrected']} "
        f"corrected, {last['confirmed']} confirmed).{added} Printed by `leukotrain retrain`; the figures of the model "
        "before are in its own bundle.",
    ]
    if last["overruled_by"]:
        why = "; ".join(gate["reasons"])
        parts.append(f"**The gate refused this model** ({why}). Overruled by {last['overruled_by']}.")
    rows = ["| figure | before | after | change |", "|---|---|---|---|"]
    rows += [
        f"| {f['name']} | {_cell(f['before'])} | {_cell(f['after'])} | {_cell(f['change'])} |" for f in gate["figures"]
    ]
    parts.append(f"Measured on {gate['on']}: {gate['cells']} cells, {gate['groups']} groups.\n\n" + "\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _cell(figure: Sequence[float | None]) -> str:
    value, low, high = figure
    if value is None:
        return "undefined"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
