"""Stain normalization in training: the target from the training groups' pictures, each group seen as one slide."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from leukoscope.classification import Classifier
from leukoscope.classification.preprocess import StainNormalize

from ..data.manifest import Manifest, Row
from .fitting import training_rows

__all__ = ["by_slide", "fit_stain", "stain_of_groups"]

Read = Callable[[Row], NDArray[np.uint8]]


class _Pictures:
    """Pictures of some rows, read when asked for."""

    def __init__(self, rows: list[Row], read: Read) -> None:
        self._rows, self._read = rows, read

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self._read(self._rows[index])


def _some(groups: Sequence[str], most: int) -> dict[str, list[int]]:
    """Take at most so many of each group, spread over them all."""
    found: dict[str, list[int]] = defaultdict(list)
    for i, group in enumerate(groups):
        found[group].append(i)
    return {group: its[:: max(1, -(-len(its) // most))] for group, its in found.items()}


def _pixels(its: list[int], read: Callable[[int], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Give all pixels of some pictures, uint8 (n, 3): pictures of a group may differ in size."""
    return np.concatenate([read(i).reshape(-1, 3) for i in its])


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
    real = [manifest.rows[i] for i in training_rows(manifest)]
    rows = [real[i] for its in _some([row.group for row in real], most).values() for i in its]
    return StainNormalize.fit(_Pictures(rows, read), None, [row.group for row in rows])


def stain_of_groups(step: StainNormalize, manifest: Manifest, read: Read, most: int = 20) -> dict[str, StainNormalize]:
    """Give the step for each group (patient, slide, field) of a manifest, as `for_slide` does at inference.

    A group of "test" is looked at here, but only by itself and without its labels, as any new slide is. The `reason`
    of a group's step says why its pictures stay as they are.
    """
    rows = manifest.rows
    groups = _some([row.group for row in rows], most)
    return {group: step.for_slide(_pixels(its, lambda i: read(rows[i]))) for group, its in groups.items()}


def by_slide(
    model: Classifier, groups: Sequence[str], read: Callable[[int], NDArray[np.uint8]], most: int = 20
) -> Iterator[tuple[Classifier, list[int]]]:
    """Give a model as it is for each group, with the numbers of the group's pictures.

    Parameters
    ----------
    model : Classifier
    groups : sequence of str
        Of each picture.
    read : callable
        Takes the number of a picture, gives it whole, uint8 (h, w, 3).
    most : int
        Pictures of a group that are looked at.

    Yields
    ------
    Classifier, list of int
        The model itself and all pictures at once where it has no step that depends on the slide.
    """
    if not model.chain.looks_at_slide:
        yield model, list(range(len(groups)))
        return
    for group, its in _some(groups, most).items():
        yield model.for_slide(_pixels(its, read)), [i for i, one in enumerate(groups) if one == group]
