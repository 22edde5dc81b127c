"""Crops made once: every cell of a manifest, standardized as for inference, in a file for each source."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukoscope.classification._outline import central, equivalent_diameter
from leukoscope.classification.crops import CropSpec, cut, finish, resolve_scale
from leukoscope.classification.preprocess import Chain, StainNormalize
from leukoscope.slides import read_picture

from ..space import check_space
from .manifest import Manifest, Row, find

__all__ = ["FINER", "Crops", "load_crops"]

# Crops are kept finer than the network sees them: augmentation turns and scales them, and only that blurs them.
FINER: Final = 1.25


@dataclass(frozen=True)
class Crops:
    """The crops of a manifest's rows.

    Attributes
    ----------
    pixels : uint8 array (n, size, size, 4)
        Red, green, blue, and 255 within the cell.
    diameters : float32 array (n,)
        Of the cells, in µm at the scale that was used.
    """

    pixels: NDArray[np.uint8]
    diameters: NDArray[np.float32]


def load_crops(
    manifest: Manifest,
    roots: Sequence[Path],
    spec: CropSpec,
    folder: Path,
    progress: Callable[[int, int], None] | None = None,
    stains: Mapping[str, StainNormalize] | None = None,
) -> Crops:
    """Make the crops of a manifest, or read them where they were made before, from files that did not change since.

    Parameters
    ----------
    manifest : Manifest
    roots : sequence of Path
        Where its paths are looked for, in this order.
    spec : CropSpec
        Crops cover its field of view, `FINER` times as fine.
    folder : Path
        Of the cache; outside the repository, as these are pixels of the data sets.
    progress : callable, optional
        Takes cells done and cells in all.
    stains : mapping of str to StainNormalize, optional
        By group, what is done with a picture before its crop is made; from `transforms.stain_of_groups`.

    Raises
    ------
    LeukoscopeError
        A file of the rows is missing, or no room in the folder for crops that are still to be made.
    """
    parts: list[Crops] = []
    order: list[int] = []
    for source in sorted({row.source for row in manifest}):
        at = [i for i, row in enumerate(manifest) if row.source == source]
        parts.append(_source([manifest.rows[i] for i in at], roots, spec, folder, progress, stains))
        order += at
    back = np.argsort(order)
    return Crops(np.concatenate([p.pixels for p in parts])[back], np.concatenate([p.diameters for p in parts])[back])


def _source(
    rows: Sequence[Row],
    roots: Sequence[Path],
    spec: CropSpec,
    folder: Path,
    progress: Callable[[int, int], None] | None,
    stains: Mapping[str, StainNormalize] | None,
) -> Crops:
    parts = [spec.to_json(), FINER, [(r.image, r.mask, None if math.isnan(r.mpp) else r.mpp) for r in rows]]
    if stains is not None:
        parts.append([_stain(stains[r.group]) for r in rows])
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", rows[0].source)[:40]
    file = folder / f"crops-{name}-{key}.npz"
    made_from = _stamp(rows, roots)
    if file.exists():
        with np.load(file, allow_pickle=False) as stored:
            if "made_from" in stored and stored["made_from"] == made_from:
                return Crops(stored["pixels"], stored["diameters"])
    fine = replace(spec, size=round(spec.size * FINER), mpp=spec.mpp * spec.size / round(spec.size * FINER))
    check_space(folder, len(rows) * (fine.size * fine.size * 4 + 4), f"the crops of {rows[0].source}")
    pixels = np.empty((len(rows), fine.size, fine.size, 4), np.uint8)
    diameters = np.empty(len(rows), np.float32)
    for i, row in enumerate(rows):
        drawn = None
        if row.mask:
            with Image.open(find(row.mask, roots)) as picture:
                drawn = np.asarray(picture.convert("L")) > 0
        chain = Chain() if stains is None else Chain((stains[row.group],))
        image, found = chain.on_picture(read_picture(find(row.image, roots)), drawn)
        mask = np.ones(image.shape[:2], bool) if found is None or not found.any() else central(found)
        mpp = resolve_scale(image, mask, None if math.isnan(row.mpp) else row.mpp, spec)
        crop, cover = cut(image, mask, mpp, fine.size, fine.mpp)
        pixels[i, ..., :3], pixels[i, ..., 3] = finish(crop, cover, fine), cover.astype(np.uint8) * 255
        diameters[i] = equivalent_diameter(mask) * mpp
        if progress is not None:
            progress(i + 1, len(rows))
    folder.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{uuid4().hex}.partial.npz")  # of its own: another process may make the same
    try:
        np.savez(partial, pixels=pixels, diameters=diameters, made_from=made_from)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return Crops(pixels, diameters)


def _stamp(rows: Sequence[Row], roots: Sequence[Path]) -> str:
    """Give the hash of the sizes and times of the rows' files: another one where any of them was replaced."""
    stats = [find(path, roots).stat() for row in rows for path in (row.image, row.mask) if path]
    return hashlib.sha256(json.dumps([(s.st_size, s.st_mtime_ns) for s in stats]).encode()).hexdigest()


def _stain(step: StainNormalize) -> list[Any] | None:
    """Give what a step does with pictures; nothing where it leaves them as they are."""
    return None if step.source is None else [asdict(step.target), asdict(step.source)]
