"""Stain normalization in training: the target from the training groups' pictures, each group seen as one slide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from leukoscope.classification.preprocess import StainNormalize

from ..data.manifest import Manifest, Row
from .fitting import training_rows

__all__ = ["fit_stain", "stain_of_groups"]

Read = Callable[[Row], NDArray[np.uint8]]


class _Pictures:
    """Pictures of some rows, read when asked for."""

    def __init__(self, rows: list[Row], read: Read) -> None:
        self._rows, self._read = rows, read

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self._read(self._rows[index])


def _some(rows: list[Row], most: int) -> dict[str, list[Row]]:
    """Take at most so many pictures of each group, spread over them all."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    return {group: its[:: max(1, -(-len(its) // most))] for group, its in groups.items()}


def fit_stain(manifest: Manifest, read: Read, most: int = 20) -> StainNormalize:
    """Fit the target of stain normalization on the real pictures of the training split.

    Parameters
    ----------
    manifest : Manifest
    read : callable
        Takes a row, gives its whole picture, uint8 (h, w, 3).
    most : int
        Pictures of a group that are looked at.

    Raises
    ------
    SettingsError
        No group shows its stain, as where all cells are cut out on black.
    """
    groups = _some([manifest.rows[i] for i in training_rows(manifest)], most)
    rows = [row for its in groups.values() for row in its]
    return StainNormalize.fit(_Pictures(rows, read), None, [row.group for row in rows])


def stain_of_groups(step: StainNormalize, manifest: Manifest, read: Read, most: int = 20) -> dict[str, StainNormalize]:
    """Give the step for each group (patient, slide, field) of a manifest, as `for_slide` does at inference.

    A group of "test" is looked at here, but only by itself and without its labels, as any new slide is. The `reason`
    of a group's step says why its pictures stay as they are.
    """
    steps = {}
    for group, its in _some(list(manifest), most).items():
        # one array of all pixels: pictures of a group may differ in size
        steps[group] = step.for_slide(np.concatenate([read(row).reshape(-1, 3) for row in its]))
    return steps
