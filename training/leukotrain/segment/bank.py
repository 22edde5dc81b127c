"""The labeled pixels segmenters train on: fields and single cells as optical density, with what is known of them.

Knowledge is partial. In crops of one cell only that cell is outlined; in the fields of ALL-IDB1 blasts have a point,
and no outline. What is not known is marked so, and no loss is taken there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from leukoscope.errors import SettingsError
from leukoscope.segmentation.base import white_point
from leukoscope.segmentation.tiling import read_working
from leukoscope.slides.scale import estimate_mpp
from leukotrain.data.split import is_held_out, is_validation

__all__ = ["BANK_MPP", "Canvas", "Cutout", "azure", "cutouts", "density", "load_bank", "read_canvas"]

BANK_MPP = 0.25
# Rounded: scenes vary the scale by a third either way.
BCCD_MPP = 0.08
JTSC_MPP = 0.18
PLATELET_UM2 = 12.0
BLAST_UM = 15.0

Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Canvas:
    """A piece of smear at 0.25 µm/px.

    Attributes
    ----------
    source, group : str
        Data set, and what a split must never cut through.
    density : ndarray of uint8, shape (Y, X, 3)
        Optical density in steps of 1/128.
    cells : ndarray of int16, shape (Y, X)
        0 no white cell, 1..n white cells; -1 a white cell, which one is not known.
    nuclei : ndarray of bool, shape (Y, X)
    unknown_cell, unknown_nucleus : ndarray of bool, shape (Y, X)
        Where `cells`, `nuclei` say nothing.
    """

    source: str
    group: str
    density: NDArray[np.uint8]
    cells: NDArray[np.int16]
    nuclei: Bool
    unknown_cell: Bool
    unknown_nucleus: Bool


@dataclass(frozen=True)
class Cutout:
    """One white cell, to be pasted elsewhere: `density` (y, x, 3) uint8, `cell` and `nucleus` bool (y, x)."""

    source: str
    group: str
    density: NDArray[np.uint8]
    cell: Bool
    nucleus: Bool


def density(rgb: NDArray[np.uint8], white: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Give the optical density of RGB (Y, X, 3) against the white point, in steps of 1/128, 0..255."""
    table = np.log10((np.asarray(white) + 1) / (np.arange(256)[:, None] + 1))
    table = np.clip(np.rint(table * 128), 0, 255).astype(np.uint8)
    od = np.stack([table[rgb[..., c], c] for c in range(3)], axis=-1)
    od[rgb.max(axis=-1) == 0] = 0
    return od


def load_bank(folder: Path) -> list[Canvas]:
    """Load what segmenters train on: masked crops and fields, and the ALL-IDB1 fields with points.

    Groups held out, and those kept for validation, are left out; so are masks that do not lie on what is stained.

    Parameters
    ----------
    folder : Path
        The data, with `manifest.csv`.

    Raises
    ------
    SettingsError
        When there is no manifest, or nothing in it for this.
    """
    path = Path(folder) / "manifest.csv"
    if not path.is_file():
        raise SettingsError("no training data", "Name the folder that holds manifest.csv.", path)
    rows = pd.read_csv(path)
    rows = rows[~rows["group"].map(lambda g: is_held_out(str(g)) or is_validation(str(g)))]
    bank = [_masked(folder, r) for r in rows[rows["dataset"].isin(["jtsc", "bccd"])].itertuples()]
    bank = [c for c in bank if _lies_right(c)]
    masks = rows[rows["dataset"] == "all_idb2"]
    for row in rows[rows["dataset"] == "all_idb1"].itertuples():
        bank += _field(folder, row, masks[masks["group"] == row.group])
    if not bank:
        raise SettingsError("the manifest names no image to train on", "See the data folder's README.", path)
    return bank


def read_canvas(path: Path, mpp: float) -> NDArray[np.uint8]:
    """Read an image of `mpp` µm per pixel as optical density at 0.25 µm/px, (Y, X, 3); black is a mask, and empty."""
    return _read(path, mpp)[0]


def _read(path: Path, mpp: float) -> tuple[NDArray[np.uint8], float]:
    rgb = np.asarray(Image.open(path).convert("RGB"))
    step = BANK_MPP / mpp
    height, width = (max(1, int(n / step)) for n in rgb.shape[:2])
    small = read_working(rgb, step, (0, 0, height, width))
    return density(small, white_point(small)), step


def _mask(path: Path, step: float, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    mask = np.asarray(Image.open(path))
    at = [np.minimum(((np.arange(n) + 0.5) * step).astype(int), m - 1) for n, m in zip(shape, mask.shape, strict=False)]
    sampled: NDArray[np.uint8] = mask[at[0]][:, at[1]]
    return sampled


def _dark(od: NDArray[np.uint8]) -> Bool:
    """Nucleus-like pixels: they absorb red, and red cells do not."""
    red = ndimage.gaussian_filter(od[..., 0].astype(np.float32), 1) / 128
    strong = red[red > 0.2]
    level = 0.55 * float(np.median(strong)) if strong.size > 200 else 0.2
    dark: Bool = red > np.clip(level, 0.12, 0.3)
    return dark


def azure(od: NDArray[np.uint8]) -> Bool:
    """Tell which pixels of density (Y, X, 3) are stained as nuclei are: they absorb green beyond blue."""
    stained: Bool = ndimage.gaussian_filter(od[..., 1].astype(np.float32) - od[..., 2], 2) > 0.15 * 128
    return stained


def _lies_right(canvas: Canvas) -> bool:
    """Tell whether the nuclei are where the stain is: a few masks of BCCD lie beside their cell."""
    return not canvas.nuclei.any() or float(azure(canvas.density)[canvas.nuclei].mean()) > 0.6


def _disk(um: float) -> Bool:
    r = round(um / BANK_MPP)
    y, x = np.ogrid[-r : r + 1, -r : r + 1]
    disk: Bool = x * x + y * y <= r * r
    return disk


def _split(parts: NDArray[np.int32], area_um2: float) -> tuple[Bool, Bool]:
    """Tell large components from small ones (platelets, debris)."""
    area = np.bincount(parts.ravel()) * BANK_MPP**2
    large = area >= area_um2
    large[0] = False
    small = ~large
    small[0] = False
    return large[parts], small[parts]


def _masked(folder: Path, row: object) -> Canvas:
    source, group = str(row.dataset), str(row.group)  # type: ignore[attr-defined]
    od, step = _read(folder / row.path, JTSC_MPP if source == "jtsc" else BCCD_MPP)  # type: ignore[attr-defined]
    mask = _mask(folder / row.mask, step, od.shape[:2])  # type: ignore[attr-defined]
    cells, _ = ndimage.label(mask > 0)
    dark, _ = ndimage.label(_dark(od) if source == "jtsc" else azure(od))
    touching = np.unique(dark[mask > 0])
    rest = np.where(np.isin(dark, touching), 0, dark)
    large, _ = _split(rest, 2.0 if source == "jtsc" else 2 * PLATELET_UM2)
    unknown = ndimage.binary_dilation(large, _disk(3)) & (mask == 0)
    return Canvas(source, group, od, cells.astype(np.int16), mask == 2, unknown, unknown)


def _field(folder: Path, row: object, masks: pd.DataFrame) -> list[Canvas]:
    """Load a field with points, whose nuclei are thresholded where a point vouches for them, and its masked crops."""
    path = folder / row.path  # type: ignore[attr-defined]
    rgb = np.asarray(Image.open(path).convert("RGB"))
    mpp = estimate_mpp(rgb) or 0.1
    od, step = _read(path, mpp)
    points = pd.read_csv(folder / row.points)  # type: ignore[attr-defined]
    group = str(row.group)  # type: ignore[attr-defined]
    canvas = _with_points(od, points, step, group)
    crops = []
    for item in masks.itertuples():
        found = re.search(r"x0=(-?\d+) y0=(-?\d+)", str(item.note))
        if found is None:
            continue
        x0, y0 = (int(v) for v in found.groups())
        mask = np.asarray(Image.open(folder / str(item.path)))
        h, w = (max(1, int(n / step)) for n in mask.shape)
        crop = read_working(rgb[y0 : y0 + mask.shape[0], x0 : x0 + mask.shape[1]], step, (0, 0, h, w))
        crop = density(crop, white_point(read_working(rgb, 4 * step, (0, 0, rgb.shape[0] // 16, rgb.shape[1] // 16))))
        mask = _mask(folder / str(item.path), step, (h, w))
        dark, _ = ndimage.label(_dark(crop))
        large, _ = _split(np.where(mask > 0, 0, dark), 2.0)
        unknown = ndimage.binary_dilation(large, _disk(3)) & (mask == 0)
        cells = (mask > 0).astype(np.int16)
        crops.append(Canvas("all_idb2", group, crop, cells, mask == 2, unknown, unknown))
    return [canvas, *crops]


def _with_points(od: NDArray[np.uint8], points: pd.DataFrame, step: float, group: str) -> Canvas:
    dark = ndimage.binary_fill_holes(_dark(od))
    parts, _ = ndimage.label(dark)
    large, _ = _split(parts, PLATELET_UM2)
    seeds = np.zeros(od.shape[:2], np.int32)
    blasts = points[points["label"] == "blast"]
    for i, (x, y) in enumerate(zip(blasts["x"], blasts["y"], strict=True), start=1):
        seeds[int(np.clip(y / step, 0, od.shape[0] - 1)), int(np.clip(x / step, 0, od.shape[1] - 1))] = i
    # Blasts of one field are of one size: what is nearest to a point, and not far from it, is its nucleus.
    distance, at = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    near = large & (distance * BANK_MPP < BLAST_UM / 2)
    cells = np.where(near, seeds[tuple(at)], 0) if len(blasts) else np.zeros(seeds.shape, np.int32)
    # Where one point's share is much smaller or larger than the others', a neighbor without a point interferes.
    area = np.bincount(cells.ravel(), minlength=len(blasts) + 1)
    usual = float(np.median(area[1:])) if len(blasts) else 0.0
    odd = (area < 0.6 * usual) | (area > 1.7 * usual)
    odd[0] = False
    known = (cells > 0) & ~odd[cells]
    unknown_nucleus = ndimage.binary_dilation(large & ~known, _disk(3)) & ~known
    # Cytoplasm has no outline here: a ring around every nucleus stays open.
    unknown_cell = ndimage.binary_dilation(large, _disk(3.5)) & ~known | unknown_nucleus
    return Canvas(
        "all_idb1", group, od, np.where(known, cells, 0).astype(np.int16), known, unknown_cell, unknown_nucleus
    )


def cutouts(bank: list[Canvas]) -> list[Cutout]:
    """Cut single outlined cells out of the masked images."""
    out = []
    for canvas in bank:
        if not ((canvas.cells > 0) & ~canvas.nuclei).any():
            continue  # nuclei only, of a field with points
        for i, box in enumerate(ndimage.find_objects(canvas.cells.astype(np.int32)), start=1):
            if box is None:
                continue
            (top, bottom), (left, right) = ((s.start - 4, s.stop + 4) for s in box)
            if top < 0 or left < 0 or bottom > canvas.cells.shape[0] or right > canvas.cells.shape[1]:
                continue  # cut by the border
            window = slice(top, bottom), slice(left, right)
            cell = canvas.cells[window] == i
            area = cell.sum() * BANK_MPP**2
            if not 30 < area < 320 or max(cell.shape) * BANK_MPP > 24 or not canvas.nuclei[window][cell].any():
                continue
            out.append(Cutout(canvas.source, canvas.group, canvas.density[window], cell, canvas.nuclei[window] & cell))
    return out
