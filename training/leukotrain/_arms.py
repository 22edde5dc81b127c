"""What is compared: networks, steps and seeds; and the crops and cells that they all see."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Final

from leukoscope.classification.crops import CropSpec
from leukoscope.classification.networks import default_size, sketch
from leukoscope.classification.preprocess import STEPS
from leukoscope.errors import SettingsError

from ._options import arm_plan
from .data.manifest import Manifest, ManifestError, Row
from .initial import PACKAGE, packaged

__all__ = ["EVERY_STEP", "QUICK", "Arm", "arms_of", "crops_for", "labeled", "restricted"]

# One of each kind, the smaller ones: for a processor and an afternoon.
QUICK: Final = ("tf_efficientnet_lite0", "mobilenetv2_100", "convnextv2_atto", "resnet31", "cnn_rnn", "wpat")
# Each preprocessing step alone, with its usual settings.
EVERY_STEP: Final = (*(name for name, step in STEPS.items() if step.stage != "vector"), "normalize", "balance")


@dataclass(frozen=True)
class Arm:
    """One of the things compared.

    Attributes
    ----------
    architecture : str
    steps : str
        Preprocessing, as for `_options.arm_plan`; "" for none.
    seed : int
    random : bool
        Start from random weights even where the installed package has some.
    file : str
        First weights, safetensors, as for `initial.load_weights`; "" for the usual ones.
    labels : float
        Share of the training cells that it learns from, see `labeled`.
    """

    architecture: str
    steps: str = ""
    seed: int = 0
    random: bool = False
    file: str = ""
    labels: float = 1.0

    @property
    def name(self) -> str:
        """What it is called in the table, the seed aside."""
        share = "" if self.labels == 1 else f"{self.labels:.3g} of the labels"
        return ", ".join(filter(None, (self.architecture, self.steps, share)))

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its first weights are from, as `Settings` takes it."""
        if self.file:
            return (self.file,)
        return (PACKAGE,) if packaged(self.architecture) and not self.random else ()

    @property
    def weights(self) -> str:
        """The same, for the table."""
        if self.file:
            return Path(self.file).name
        if not self.sources:
            return "random"
        return "ImageNet (backbone)" if self.architecture == "wpat" else "ImageNet"


def restricted(manifest: Manifest, source: str | None) -> Manifest:
    """Give the part of a manifest that is of one source; all of it without one.

    Raises
    ------
    ManifestError
        There is no such source in it.
    """
    if source is None:
        return manifest
    rows = [row for row in manifest if row.source == source]
    if not rows:
        there = ", ".join(sorted({row.source for row in manifest}))
        raise ManifestError(f"no cells of source {source!r}", f"There are: {there}.", manifest.file)
    return Manifest(rows, manifest.file)


def labeled(manifest: Manifest, share: float) -> Manifest:
    """Keep a share of the training cells of each source and label, at least one; the other splits stay whole.

    The same cells every time, and those of a smaller share are among those of a larger one.

    Raises
    ------
    SettingsError
        A share that is not above 0 and at most 1.
    """
    _check_share(share)
    if share == 1:
        return manifest
    drawn: dict[tuple[str, str], list[Row]] = {}
    for row in manifest:
        if row.split == "train":
            drawn.setdefault((row.source, row.label), []).append(row)
    kept = set()
    for rows in drawn.values():
        rows.sort(key=lambda row: hashlib.sha256(row.image.encode()).digest())
        kept |= {row.image for row in rows[: max(1, round(share * len(rows)))]}
    return Manifest([row for row in manifest if row.split != "train" or row.image in kept], manifest.file)


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise SettingsError(f"{share:g} of the labels", "Give a share above 0 and at most 1.")


def arms_of(
    architectures: Sequence[str],
    steps: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    random: bool = False,
    files: Sequence[str] = (),
    labels: Sequence[float] = (1.0,),
) -> list[Arm]:
    """Give every architecture with every choice of steps, labels, first weights and seed, the plain arm first.

    Parameters
    ----------
    architectures : sequence of str
    steps : sequence of str
        Each an arm's steps, such as "alhe:tile=28,clip=2" or "stain_normalize+alhe"; "each" stands for `EVERY_STEP`.
    seeds : sequence of int
    random : bool
        Start all from random weights.
    files : sequence of str
        First weights of arms that stand beside those with the usual ones.
    labels : sequence of float
        Shares of the training cells.

    Raises
    ------
    SettingsError
        Steps as for `_options.plan`, a share that is not above 0 and at most 1, or no arms at all.
    """
    for share in labels:
        _check_share(share)
    choices = ["", *(one for text in steps for one in (EVERY_STEP if text == "each" else (text,)))]
    for text in filter(None, choices):
        arm_plan(text)
    if not architectures or not seeds:
        raise SettingsError("nothing to compare", "Name an architecture and a seed.")
    made = product(architectures, choices, labels, ("", *files), seeds)
    return list(dict.fromkeys(Arm(a, text, seed, random, file, share) for a, text, share, file, seed in made))


def crops_for(arm: Arm, classes: int, spec: CropSpec) -> CropSpec:
    """Give the crops that an arm sees: `spec`, or the same field of view in as many pixels as its architecture needs.

    With "balance" among its steps, the colors of each are balanced by the cell's own, see `CropSpec.balance`. Tried are
    the size of `spec`, the next multiple of 32 px, and the size that the architecture was published with.

    Raises
    ------
    SettingsError
        It sees none of them; the message is about `spec`.
    """
    problems = []
    if "balance" in arm.steps.split("+"):
        spec = replace(spec, balance="cell")
    for size in (spec.size, -(-spec.size // 32) * 32, default_size(arm.architecture)):
        try:
            sketch(arm.architecture, classes, size)
        except SettingsError as error:
            problems.append(error)
            continue
        return spec.resized(size)
    raise problems[0]
