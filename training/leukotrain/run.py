"""A training run from manifest to bundle, in the one order in which its parts can be fitted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from leukoscope.classification import Bundle
from leukoscope.classification.bundle import check_bundle
from leukoscope.classification.crops import CropSpec
from leukoscope.classification.networks import sketch
from leukoscope.classification.preprocess import Chain, Normalize, StainNormalize
from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.errors import SettingsError
from leukoscope.slides import read_picture

from .card import publish
from .data.cache import load_crops
from .data.manifest import Manifest, Row, find
from .fit import Fitted, Progress, Settings, fit, run_identity
from .space import check_space
from .transforms import Plan, fit_stain, fit_steps, stain_of_groups

__all__ = ["NORMALIZATIONS", "classes_of", "is_first_process", "shares_of", "train", "with_held_out"]

NORMALIZATIONS: Final = ("half", "fitted")
STAIN: Final = StainNormalize.name


def is_first_process() -> bool:
    """Tell the process that writes and speaks from those that torchrun, Slurm or Lightning start beside it."""
    ranks = (os.environ.get(name) for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"


def classes_of(manifest: Manifest) -> tuple[str, ...]:
    """Give the classes that a manifest's labels tell apart, in the taxonomy's order.

    A roll-up (`neutrophil`) is one of them only where none of its parts is.
    """
    found = {label for row in manifest for label in row.allowed}
    return tuple(TAXONOMY.order(label for label in found if not found & set(TAXONOMY.parts(label)[1:])))


def with_held_out(manifest: Manifest, sources: Sequence[str]) -> Manifest:
    """Move the test cells of some sources to "train".

    Raises
    ------
    SettingsError
        A source that has no test cells.
    """
    missing = set(sources) - {row.source for row in manifest if row.split == "test"}
    if missing:
        raise SettingsError(f"no held-out cells of {min(missing)}", "Name a source of the manifest that has some.")
    moved = [replace(r, split="train") if r.split == "test" and r.source in sources else r for r in manifest]
    return Manifest(moved) if sources else manifest


def shares_of(manifest: Manifest, split: str) -> dict[str, float]:
    """Give each source the share that it has of a split's cells."""
    sources = [row.source for row in manifest if row.split == split]
    return {source: sources.count(source) / len(sources) for source in sorted(set(sources))}


def train(
    manifest: Manifest,
    roots: Sequence[Path],
    work: Path,
    out: Path,
    name: str,
    classes: Sequence[str],
    spec: CropSpec,
    settings: Settings,
    plan: Plan = (),
    normalize: str = "half",
    log: Callable[[Mapping[str, Any]], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Fitted:
    """Fit stain, crops, steps and network, each on what those before it leave, and write the bundle.

    Parameters
    ----------
    manifest : Manifest
        Its classes, files and guards checked, see `Manifest.check_files` and `guards.check_all`.
    roots : sequence of Path
        Where its paths are looked for, in this order.
    work : Path
        Crops, and in a folder for each run its checkpoints and TensorBoard log.
    out : Path
        The bundle's folder.
    name : str
        The model's.
    classes : sequence of str
    spec : CropSpec
    settings : Settings
    plan : sequence
        Steps as for `transforms.fit_steps`, and "stain_normalize" at its beginning.
    normalize : str
        "half": mean and standard deviation 0.5. "fitted": those of the training split.
    log, progress, cancel : callable, optional
        See `fit.fit`.

    Raises
    ------
    SettingsError
        Steps or a normalization that do not exist or do not go together.
    LeukoscopeError
        A name, size or folder that no bundle can have; no room for crops, checkpoints or bundle; else as `fit.fit`.
    """
    if normalize not in NORMALIZATIONS:
        raise SettingsError(f"no normalization {normalize!r}", f"Choose one of {', '.join(NORMALIZATIONS)}.")
    weights = sum(t.numel() for t in sketch(settings.architecture, len(classes), spec.size).state_dict().values())
    check_space(out, 2 * weights, "the bundle's weights")
    training = {"manifest_sha256": manifest.sha256, "groups": {}}
    check_bundle(out, Bundle(name, settings.architecture, tuple(classes), spec, training))

    def read(row: Row) -> Any:
        return read_picture(find(row.image, roots))

    steps, stains = list(plan), None
    for i, entry in enumerate(steps):
        if not isinstance(entry, tuple) or entry[0] != STAIN:
            continue
        try:
            stain = fit_stain(manifest, read, **entry[1])
        except TypeError as error:
            raise SettingsError(f"{STAIN} has no such setting ({error})", "It has `most`.") from error
        steps[i], stains = stain, stain_of_groups(stain, manifest, read, **entry[1])
    Chain(tuple(step for step in steps if not isinstance(step, tuple)))  # an impossible order, before any work
    crops = load_crops(manifest, roots, spec, work, stains=stains)
    chain, scaling = Chain(), Normalize()
    if steps or normalize == "fitted":
        chain, fitted_scaling = fit_steps(manifest, crops, spec.size, steps)
        scaling = fitted_scaling if normalize == "fitted" else scaling
    run = json.dumps(run_identity(manifest, classes, spec, settings, chain, scaling), sort_keys=True)
    folder = work / f"{name}-{settings.architecture}-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
    fitted = fit(manifest, crops, classes, spec, settings, folder, log, chain, scaling, progress, cancel)
    if is_first_process():
        publish(out, name, fitted, manifest, classes, spec, settings, chain, scaling)
    return fitted
