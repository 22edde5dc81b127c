"""Figures for a model that ships trained on every group of a source: those of its sibling, which was not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from leukoscope.classification import Classifier
from leukoscope.errors import SettingsError

from .data.manifest import Manifest
from .evaluate import Evaluation, evaluate
from .guards import slides_not_seen, trained_groups

__all__ = ["beside", "parted"]

NOTE = "of a model of the same settings, trained without these groups"


def parted(manifest: Manifest, model: Classifier) -> tuple[Manifest, Manifest | None]:
    """Part a manifest into what a model can be measured on, and the sources of which it has seen every group."""
    also = set(model.bundle.training.get("settings", {}).get("also", ()))
    kept = [row for row in manifest if row.source in also]
    if not kept:
        return manifest, None
    return Manifest([row for row in manifest if row.source not in also]), Manifest(kept)


def beside(
    result: Evaluation,
    model: Classifier,
    sibling: Classifier | None,
    manifest: Manifest,
    roots: Sequence[Path],
    cache: Path,
    baselines: bool,
    say: Callable[[str], None],
) -> Evaluation:
    """Add a sibling's figures for sources that a model has seen all of.

    Parameters
    ----------
    result : Evaluation
        Of the model, without these sources.
    model, sibling : Classifier
        Without a sibling nothing is added, and that is said.
    manifest : Manifest
        The rows of these sources.
    roots, cache, baselines
        As for `evaluate.evaluate`.
    say : callable
        Takes a line.

    Raises
    ------
    SettingsError
        The sibling has other classes or other settings.
    ManifestError
        The sibling, too, has seen the groups.
    """
    names = ", ".join(sorted({row.source for row in manifest}))
    if sibling is None:
        say(f"not measured: {names}. All its groups were trained on; name a model that was not with --sibling.")
        return result

    def settings(one: Classifier) -> dict[str, object]:
        given = dict(one.bundle.training.get("settings", {}))
        return {key: value for key, value in given.items() if key != "also"}

    if sibling.classes != model.classes or settings(sibling) != settings(model):
        raise SettingsError(
            "the sibling was trained with other settings", "Train it with the same, but for --also.", "--sibling"
        )
    slides_not_seen(trained_groups(sibling.bundle), (row.group for row in manifest if row.split == "test"))
    say(f"{names}: measured with the sibling")
    own = evaluate(sibling, manifest, roots, cache, None, baselines, say)
    metrics = [
        m if m.note == "baseline" else replace(m, note=f"{m.note}; {NOTE}" if m.note else NOTE)
        for m in own.metrics
        if m.name != "cells per second"
    ]
    return replace(result, metrics=[*metrics, *result.metrics], by_class=[*own.by_class, *result.by_class])
