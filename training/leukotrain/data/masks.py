"""Images with masks of white cells: JTSC, BCCD and the ALL-IDB2 crops, for training and scoring segmenters."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from leukoscope.errors import LeukoscopeError
from leukoscope.segmentation.base import white_point
from leukoscope.slides.scale import estimate_mpp

from .sources import listed
from .split import is_held_out

__all__ = ["BCCD_MPP", "DATASETS", "JTSC_MPP", "Field", "MaskedImage", "data_folder", "fields", "masked_images"]

DATASETS = ("jtsc", "all_idb2", "bccd")

# JTSC holds no red cells to measure and names no scale. Its white cells are 75 px across in the median (diameter of
# the disk of equal area, 300 masks), those of BCCD, of the same mixture of types, 12.4 µm by their red cells.
JTSC_MPP = 0.165
# The median of what the red cells of BCCD's fields say (44 fields; they agree within 5 %), for the one field in seven
# whose red cells cannot be measured: one microscope took them all.
BCCD_MPP = 0.0785


@dataclass(frozen=True)
class MaskedImage:
    """An image and the truth about its pixels.

    Attributes
    ----------
    name : str
        Path in the data folder.
    dataset : str
        "jtsc", "all_idb2" or "bccd".
    group : str
        What a split must never cut through.
    held_out : bool
        Whether it is kept for evaluation.
    rgb : ndarray of uint8, shape (Y, X, 3)
    classes : ndarray of uint8, shape (Y, X)
        0 background, 1 cytoplasm, 2 nucleus.
    known : ndarray of bool, shape (Y, X)
        Where `classes` can be trusted. ALL-IDB2 masks the cell in the middle only: other white cells of the crop
        are 0 in `classes` and not known.
    mpp : float
        µm per pixel.
    label : str
        "blast" or "normal" where the set says so, else "".
    """

    name: str
    dataset: str
    group: str
    held_out: bool
    rgb: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    known: NDArray[np.bool_]
    mpp: float
    label: str


@dataclass(frozen=True)
class Field:
    """A whole field and the points or boxes marked on it.

    Attributes
    ----------
    name, dataset, group, held_out, rgb, mpp
        As in `MaskedImage`.
    label : str
        "all" or "healthy" for ALL-IDB1, "" for BCCD.
    marks : tuple of (str, float, float, float, float)
        Label and box `x0, y0, x1, y1` in pixels; a point is a box without extent.
    """

    name: str
    dataset: str
    group: str
    held_out: bool
    rgb: NDArray[np.uint8]
    mpp: float
    label: str
    marks: tuple[tuple[str, float, float, float, float], ...]


def data_folder() -> Path:
    """Give the folder of the shared data sets.

    Returns
    -------
    Path
        `LEUKOSCOPE_DATA`, else `../shared/data` beside the project.

    Raises
    ------
    LeukoscopeError
        When there is no manifest.
    """
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("LEUKOSCOPE_DATA", beside))
    if not (folder / "manifest.csv").is_file():
        raise LeukoscopeError("no manifest.csv here", "Set LEUKOSCOPE_DATA to the folder of the data sets.", folder)
    return folder


def masked_images(dataset: str, held_out: bool | None = None, folder: Path | None = None) -> Iterator[MaskedImage]:
    """Give the images of a set with their masks, one after the other.

    Parameters
    ----------
    dataset : str
        One of `DATASETS`.
    held_out : bool, optional
        Only those kept for evaluation (True) or only the others (False).
    folder : Path, optional
        Of the data sets; `data_folder()` otherwise.

    Yields
    ------
    MaskedImage

    Raises
    ------
    LeukoscopeError
        When the set is not known or the data are missing.
    """
    if dataset not in DATASETS:
        raise LeukoscopeError(f"there is no set of masks {dataset!r}", f"Choose one of {', '.join(DATASETS)}.")
    folder = folder or data_folder()
    for row in _rows(folder, dataset, held_out):
        if dataset == "all_idb2":
            yield _crop(folder, row)
            continue
        rgb, classes = _rgb(folder / row["path"]), _mask(folder / row["mask"])
        mpp = JTSC_MPP if dataset == "jtsc" else (_mpp(folder / row["path"]) or BCCD_MPP)
        yield MaskedImage(
            name=row["path"],
            dataset=dataset,
            group=row["group"],
            held_out=is_held_out(row["group"]),
            rgb=rgb,
            classes=classes,
            known=np.ones(classes.shape, bool),
            mpp=mpp,
            label="",
        )


def fields(dataset: str, held_out: bool | None = None, folder: Path | None = None) -> Iterator[Field]:
    """Give the whole fields of "all_idb1" (points) or "bccd" (boxes), one after the other.

    Parameters
    ----------
    dataset, held_out, folder
        As for `masked_images`.

    Yields
    ------
    Field
    """
    folder = folder or data_folder()
    for row in _rows(folder, dataset, held_out):
        marks = []
        with (folder / row["points"]).open(encoding="utf-8", newline="") as file:
            for mark in csv.DictReader(file):
                x0, y0 = float(mark.get("xmin") or mark["x"]), float(mark.get("ymin") or mark["y"])
                x1, y1 = float(mark.get("xmax") or x0), float(mark.get("ymax") or y0)
                marks.append((mark["label"], x0, y0, x1, y1))
        rgb = _rgb(folder / row["path"])
        mpp = _mpp(folder / row["path"]) or BCCD_MPP
        held = is_held_out(row["group"])
        yield Field(row["path"], dataset, row["group"], held, rgb, mpp, row["label"], tuple(marks))


def _rows(folder: Path, dataset: str, held_out: bool | None) -> list[dict[str, str]]:
    return [row for row in listed(folder, dataset) if held_out is None or is_held_out(row["group"]) == held_out]


def _crop(folder: Path, row: dict[str, str]) -> MaskedImage:
    """Cut an ALL-IDB2 crop from its field, as the manifest's note says."""
    classes = _mask(folder / row["path"])
    note = re.fullmatch(r"(\S+) x0=(-?\d+) y0=(-?\d+).*", row["note"])
    if note is None:
        raise LeukoscopeError(f"note {row['note']!r} names no place in a field", "", folder / "manifest.csv")
    path = folder / "all_idb1" / note[1]
    x0, y0 = int(note[2]), int(note[3])
    field = _rgb(path)
    height, width = min(classes.shape[0], field.shape[0] - y0), min(classes.shape[1], field.shape[1] - x0)
    rgb = field[max(0, y0) : y0 + height, max(0, x0) : x0 + width]
    classes = classes[max(0, -y0) : height, max(0, -x0) : width]
    mpp = _mpp(path)
    if mpp is None:
        raise LeukoscopeError("no red cells to tell the scale by", "", path)
    return MaskedImage(
        name=row["path"],
        dataset="all_idb2",
        group=row["group"],
        held_out=is_held_out(row["group"]),
        rgb=rgb,
        classes=classes,
        known=_known(rgb, classes, field, mpp),
        mpp=mpp,
        label=row["label"],
    )


def _known(
    rgb: NDArray[np.uint8], classes: NDArray[np.uint8], field: NDArray[np.uint8], mpp: float
) -> NDArray[np.bool_]:
    """Leave out what may be another white cell than the one in the middle: 2 µm around whatever absorbs red."""
    red = -np.log(np.maximum(rgb[..., 0], 1) / white_point(field)[0])
    stained = ndimage.gaussian_filter(red, 0.3 / mpp) > 0.4
    cell = classes > 0
    # The rim of the masked cell itself, where the annotator drew the line a little inside, stays known.
    other = ndimage.binary_opening(stained & ~cell, iterations=max(1, round(0.4 / mpp)))
    if not other.any():
        return np.ones(cell.shape, bool)
    near = ndimage.distance_transform_edt(~other) * mpp < 2.0
    known: NDArray[np.bool_] = cell | ~near
    return known


@lru_cache(maxsize=4)
def _rgb(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _mask(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image).astype(np.uint8)


@cache
def _mpp(path: Path) -> float | None:
    return estimate_mpp(_rgb(path))
