"""Steps fitted on the training split, and a guard that refuses those that were not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from leukoscope.classification.preprocess import STEPS, Chain, FittedOn, Normalize, Step, groups_hash
from leukoscope.errors import SettingsError

from ..data.cache import Crops
from ..data.manifest import Manifest, ManifestError
from .augment import plain, resized

__all__ = ["Plan", "check_fitted", "fit_steps", "training_rows"]

Plan = Sequence[Step | tuple[str, Mapping[str, Any]]]


def training_rows(manifest: Manifest) -> list[int]:
    """Give the real cells of the training split: what steps may be fitted on."""
    return [i for i, row in enumerate(manifest) if row.split == "train" and not row.synthetic]


class _Seen:
    """Crops as the network sees them, made when asked for: all of them at once would not fit in memory."""

    def __init__(self, crops: Crops, rows: Sequence[int], size: int, chain: Chain) -> None:
        self._crops, self._rows, self._size, self._chain = crops, rows, size, chain

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int | slice) -> NDArray[np.uint8]:
        rows = self._rows[index] if isinstance(index, slice) else [self._rows[index]]
        images = plain(torch.from_numpy(self._crops.pixels[rows]), self._size, self._chain)
        pixels = (images + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return np.ascontiguousarray(pixels if isinstance(index, slice) else pixels[0])


class _Covers:
    """Their masks, likewise."""

    def __init__(self, crops: Crops, rows: Sequence[int], size: int) -> None:
        self._crops, self._rows, self._size = crops, rows, size

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int | slice) -> NDArray[np.bool_]:
        rows = self._rows[index] if isinstance(index, slice) else [self._rows[index]]
        cover = resized(torch.from_numpy(self._crops.pixels[rows]), self._size)[1][:, 0].numpy()
        return np.asarray(cover if isinstance(index, slice) else cover[0])


def fit_steps(manifest: Manifest, crops: Crops, size: int, plan: Plan) -> tuple[Chain, Normalize]:
    """Fit steps one after the other, each on what those before it leave of the training split's real cells.

    Parameters
    ----------
    manifest, crops : Manifest, Crops
        Row by row; rows of "val" and "test" are not touched.
    size : int
        Of the network's input, in pixels.
    plan : sequence
        In order: a name of `STEPS` with the settings of its `fit`, or a step that is there already. Stain
        normalization comes as such a step: it is fitted on pictures, not on crops, and done before crops are made.

    Returns
    -------
    chain : Chain
    normalize : Normalize
        Of what the chain gives.

    Raises
    ------
    SettingsError
        An unknown step, a setting that it does not have, or steps that do not go together.
    ManifestError
        No real cells in "train", or a step of the plan that was fitted on others than these.
    """
    rows = training_rows(manifest)
    if not rows:
        raise ManifestError("no real cells in train", "Split the groups anew (splits.holdout).", manifest.file)
    groups = [manifest.rows[i].group for i in rows]
    covers = _Covers(crops, rows, size)
    chain = Chain()
    for entry in plan:
        step = entry if isinstance(entry, Step) else _fit(*entry, _Seen(crops, rows, size, chain), covers, groups)
        chain = Chain((*chain.steps, step))
        chain.check(size)
    check_fitted([step.fitted for step in chain.steps], manifest)
    return chain, Normalize.fit(_Seen(crops, rows, size, chain), covers, groups)


def _fit(name: str, settings: Mapping[str, Any], crops: _Seen, covers: _Covers, groups: Sequence[str]) -> Step:
    kind = STEPS.get(name)
    if kind is None:
        raise SettingsError(f"no step is called {name!r}", f"There are: {', '.join(sorted(STEPS))}.")
    if kind.stage == "image":
        raise SettingsError(f"{name} is fitted on pictures, not on crops", f"Give it fitted: {kind.__name__}.fit(...).")
    try:
        return kind.fit(crops, covers, groups, **settings)
    except TypeError as error:
        raise SettingsError(f"{name} has no such setting ({error})", "See its fit().") from error


def check_fitted(fitted: Iterable[FittedOn | None], manifest: Manifest) -> None:
    """Refuse what was fitted on other groups than those of the training split.

    Raises
    ------
    ManifestError
        With what was seen: a principal component or a mean that has seen a test patient flatters the result.
    """
    groups = {manifest.rows[i].group for i in training_rows(manifest)}
    for one in fitted:
        if one is not None and one.groups_sha256 != groups_hash(groups):
            raise ManifestError(
                f"a step was fitted on {one.groups} groups that are not the {len(groups)} of train",
                "Fit it again, on this manifest's training split.",
                manifest.file,
            )
