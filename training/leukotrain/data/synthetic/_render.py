"""Smears that are drawn from scratch, with the truth about every cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from leukoscope.errors import SettingsError
from leukotrain.data.synthetic._optics import DYES, Look, photograph
from leukotrain.data.synthetic._outline import Array
from leukotrain.data.synthetic._paint import Textures, paint_red, paint_speck, paint_white
from leukotrain.data.synthetic._recipes import BLOOD_MIX
from leukotrain.data.synthetic._world import WhiteCell, World, draw_world

__all__ = ["Smear", "render_smear"]

STRIP = 512
WHITE_PER_MM2 = 200.0


@dataclass(frozen=True)
class Smear:
    """A drawn smear and its truth.

    Attributes
    ----------
    rgb : ndarray (Y, X, 3), uint8
        The picture.
    cells, nuclei : ndarray (Y, X), int32
        White cells and their nuclei, the same ids, 1..n, 0 elsewhere.
    table : pandas.DataFrame
        A row per white cell: `cell_id, label, x, y` (centroid, px, a pixel's center at +0.5), `x_um, y_um, area_um2,
        nucleus_area_um2`.
    others : pandas.DataFrame
        What is not a white cell: `kind` (red_cell, platelet, precipitate), `x, y` (px), `diameter_um`.
    mpp : float
        µm per pixel.
    """

    rgb: NDArray[np.uint8]
    cells: NDArray[np.int32]
    nuclei: NDArray[np.int32]
    table: pd.DataFrame
    others: pd.DataFrame
    mpp: float


def render_smear(
    height: int,
    width: int,
    mpp: float = 0.25,
    seed: int = 0,
    mix: Mapping[str, float] | None = None,
    *,
    white_cells: int | None = None,
    density: float = 0.42,
    clumping: float = 0.4,
    look: Look | None = None,
) -> Smear:
    """Draw a Romanowsky-stained blood smear.

    The smear is laid out in µm: the same seed over the same area shows the same cells at any resolution. No pixel of
    a real smear is used.

    Parameters
    ----------
    height, width : int
        Size in pixels.
    mpp : float
        µm per pixel.
    seed : int
        The same arguments draw the same pixels.
    mix : mapping of str to float, optional
        Relative parts of the kinds of white cell (keys of `RECIPES`); an empty one draws none. Default `BLOOD_MIX`.
    white_cells : int, optional
        How many, shared out exactly by `mix`; default 200 per mm², at least one. All lie wholly within the picture.
    density : float
        The part of the glass that red cells cover, 0..0.6.
    clumping : float
        The part of the blasts that lie in clumps that touch, 0..1.
    look : Look, optional
        Stain, light, focus and noise.

    Returns
    -------
    Smear

    Raises
    ------
    SettingsError
        For sizes that are not positive, an unknown kind of cell, or more white cells than find room.
    """
    if height < 1 or width < 1 or not 0 < mpp < np.inf:
        raise SettingsError(
            f"a smear cannot be {height} by {width} px at {mpp} µm/px", "Give a positive size and resolution."
        )
    if not 0 <= density <= 0.6 or not 0 <= clumping <= 1:
        raise SettingsError(f"density {density} or clumping {clumping} is out of range", "Use 0..0.6 and 0..1.")
    mix = BLOOD_MIX if mix is None else mix
    if white_cells is None:
        white_cells = max(1, round(height * width * mpp**2 * 1e-6 * WHITE_PER_MM2)) if sum(mix.values()) else 0
    world = draw_world(width * mpp, height * mpp, seed, mix, white_cells, density, clumping)
    return _render(world, height, width, mpp, seed, look or Look())


def _render(world: World, height: int, width: int, mpp: float, seed: int, look: Look) -> Smear:
    rng = np.random.default_rng([seed, 1])
    textures = Textures(rng, mpp)
    dyes = np.zeros((height, width, len(DYES)), np.float32)
    cells = np.zeros((height, width), np.int32)
    nuclei = np.zeros((height, width), np.int32)
    for red in world.red:
        rows, columns, x, y = _patch(*red.outline.center, red.outline.reach + 0.6, mpp, height, width)
        if x.size and y.size:
            under, over = dyes[rows, columns, 0], np.float32(0.145) * paint_red(red, x, y)
            # Dried cells do not lie on each other whole: an overlap is darker, but not twice as dark.
            dyes[rows, columns, 0] = np.maximum(under, over) + np.float32(0.3) * np.minimum(under, over)
    for speck in world.specks:
        rows, columns, x, y = _patch(speck.x, speck.y, speck.outline.reach + 0.6, mpp, height, width)
        if x.size and y.size:
            dyes[rows, columns, 1:] += paint_speck(speck, x, y, textures)
    for index, (white, neighbors) in enumerate(_with_neighbors(world.white), start=1):
        rows, columns, x, y = _patch(white.x, white.y, white.cell.reach + 1.5, mpp, height, width)
        cell = white.cell.depth(x, y)
        for neighbor in neighbors:  # two cells that touch flatten each other along the line between them
            cell = np.minimum(cell, (cell - neighbor.cell.depth(x, y)) / 2)
        nucleus = np.minimum(white.nucleus.depth(x, y), cell - 0.25)
        # Red cells make way: what lies where the white cell is, is only just visible.
        dyes[rows, columns] *= 1 - 0.9 * np.clip(cell / 0.5 + 0.5, 0, 1)[..., None]
        dyes[rows, columns, 1:] += paint_white(white, cell, nucleus, x, y, textures)
        cells[rows, columns][cell > 0] = index
        nuclei[rows, columns][nucleus > 0] = index
    rgb = np.empty((height, width, 3), np.uint8)
    halo = int(np.ceil(3 * look.blur / mpp)) + 1
    for top in range(0, height, STRIP):
        low, high = max(top - halo, 0), min(top + STRIP + halo, height)
        strip = photograph(dyes[low:high], mpp, look, rng, low)
        rgb[top : top + STRIP] = strip[top - low : top - low + STRIP]
    return Smear(rgb, cells, nuclei, _table(world, cells, nuclei, mpp), _others(world, mpp), mpp)


def _patch(x: float, y: float, reach: float, mpp: float, height: int, width: int) -> tuple[slice, slice, Array, Array]:
    """Give the pixels within `reach` µm of a place: slices and the pixels' centers in µm, (1, w) and (h, 1)."""
    left, right = (int(np.clip(np.floor((x + k * reach) / mpp), 0, width)) for k in (-1, 1))
    top, bottom = (int(np.clip(np.floor((y + k * reach) / mpp), 0, height)) for k in (-1, 1))
    across = ((np.arange(left, right) + 0.5) * mpp).astype(np.float32)[None, :]
    down = ((np.arange(top, bottom) + 0.5) * mpp).astype(np.float32)[:, None]
    return slice(top, bottom), slice(left, right), across, down


def _with_neighbors(white: tuple[WhiteCell, ...]) -> Iterator[tuple[WhiteCell, list[WhiteCell]]]:
    """Pair each white cell with those that it may touch."""
    if not white:
        return
    tree = cKDTree([(c.x, c.y) for c in white])
    far = 2 * max(c.cell.reach for c in white)
    for cell in white:
        near = sorted(tree.query_ball_point((cell.x, cell.y), far))
        yield cell, [white[i] for i in near if white[i] is not cell]


def _table(world: World, cells: NDArray[np.int32], nuclei: NDArray[np.int32], mpp: float) -> pd.DataFrame:
    """List the white cells as they came out in pixels."""
    n = len(world.white)
    rows, columns = np.nonzero(cells)
    ids = cells[rows, columns]
    area = np.bincount(ids, minlength=n + 1)[1:]
    weight = np.maximum(area, 1)
    x = np.bincount(ids, columns + 0.5, n + 1)[1:] / weight
    y = np.bincount(ids, rows + 0.5, n + 1)[1:] / weight
    nucleus = np.bincount(nuclei[nuclei > 0], minlength=n + 1)[1:]
    return pd.DataFrame(
        {
            "cell_id": np.arange(1, n + 1),
            "label": [cell.label for cell in world.white],
            "x": x,
            "y": y,
            "x_um": x * mpp,
            "y_um": y * mpp,
            "area_um2": area * mpp**2,
            "nucleus_area_um2": nucleus * mpp**2,
        }
    )


def _others(world: World, mpp: float) -> pd.DataFrame:
    """List red cells, platelets and precipitate as they were laid out."""
    found = [("red_cell", red.outline) for red in world.red] + [(speck.kind, speck.outline) for speck in world.specks]
    return pd.DataFrame(
        {
            "kind": [kind for kind, _ in found],
            "x": [outline.center[0] / mpp for _, outline in found],
            "y": [outline.center[1] / mpp for _, outline in found],
            "diameter_um": [2 * float(outline.radii[0]) for _, outline in found],
        }
    )
