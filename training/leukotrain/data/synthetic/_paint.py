"""How much of each dye lies where: one function for each thing on the smear."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri

from leukotrain.data.synthetic._outline import Array
from leukotrain.data.synthetic._recipes import RECIPES
from leukotrain.data.synthetic._world import RedCell, Speck, WhiteCell

__all__ = ["Textures", "paint_red", "paint_speck", "paint_white", "ramp"]

Rng = np.random.Generator
LARGEST = 40.0
"""No patch is wider than this, in µm."""


class Textures:
    """Band-limited noise of unit variance at any grain size, cut from tiles that are made once.

    Parameters
    ----------
    rng : numpy.random.Generator
        The source of the tiles.
    mpp : float
        µm per pixel.
    """

    def __init__(self, rng: Rng, mpp: float) -> None:
        self._rng = rng
        self._mpp = mpp
        self._size = int(np.clip(LARGEST / mpp, 64, 1024))
        self._tiles: dict[float, Array] = {}

    def cut(self, rng: Rng, shape: tuple[int, ...], grain: float) -> Array:
        """Cut a patch (h, w) of noise whose clumps are `grain` µm across."""
        if grain not in self._tiles:
            sigma = grain / 2.35 / self._mpp
            white = self._rng.standard_normal((self._size, self._size)).astype(np.float32)
            band = gaussian_filter(white, sigma, mode="wrap") - gaussian_filter(white, 2.5 * sigma, mode="wrap")
            # Clumps smaller than a pixel average out.
            tile = band / band.std() * min(1.0, sigma / 0.5)
            self._tiles[grain] = np.tile(tile, (2, 2))
        top, left = rng.integers(self._size, size=2)
        return self._tiles[grain][top : top + shape[0], left : left + shape[1]]


def ramp(depth: Array, width: float) -> Array:
    """Rise smoothly from 0 to 1 over `width` µm around a border."""
    t: Array = np.clip(depth / np.float32(width) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def paint_red(red: RedCell, x: Array, y: Array) -> Array:
    """Give the stained hemoglobin of a red cell: a disc, thinner in its middle."""
    depth = red.outline.depth(x, y)
    radius = red.outline.radii[0]
    center_x, center_y = red.outline.center
    from_center = np.hypot(x - center_x, y - center_y)
    dimple = 1 - ramp(from_center - red.pallor_radius * radius, 0.55 * radius)
    thickness = ramp(depth, 0.4) * (1 - np.float32(0.75 * red.pallor) * dimple)
    rim = np.exp(-((depth - 0.5) ** 2) / 0.15)  # the thick, dark margin of a biconcave disc
    hemoglobin: Array = (thickness + np.float32(0.10) * rim * ramp(depth, 0.3)) * np.float32(red.strength)
    return hemoglobin


def paint_white(white: WhiteCell, cell: Array, nucleus: Array, x: Array, y: Array, textures: Textures) -> Array:
    """Give the three dyes (h, w, 3) of a white cell from its and its nucleus's depth in µm."""
    recipe = RECIPES[white.label]
    rng = np.random.default_rng(white.seed)
    shape = cell.shape
    strength = float(np.clip(rng.normal(1, 0.08), 0.8, 1.2))
    if white.label == "smudge":
        return _paint_smudge(cell, rng, textures, strength)
    inside, core = ramp(cell, 0.35), ramp(nucleus, 0.4)

    plasma = inside * (1 + 0.12 * textures.cut(rng, shape, 0.5) + 0.10 * textures.cut(rng, shape, 2.0))
    plasma = plasma * (1 + recipe.edge * np.exp(-np.maximum(cell, 0) / 0.8))
    for _ in range(rng.poisson(recipe.vacuoles)):
        angle, at = rng.uniform(0, 2 * np.pi), white.radius * rng.uniform(0.55, 0.9)
        hole = rng.uniform(0.25, 0.65) - np.hypot(x - white.x - at * np.cos(angle), y - white.y - at * np.sin(angle))
        plasma = plasma * (1 - 0.85 * ramp(hole, 0.4))
    dyes = plasma[..., None] * np.asarray(recipe.cytoplasm, np.float32)
    if recipe.cover:
        level = np.float32(ndtri(1 - recipe.cover))  # the noise is about normal
        grains = ramp((textures.cut(rng, shape, recipe.granule) - level) * 0.5, 1.0) * ramp(cell - 0.3, 0.5)
        dyes = dyes + grains[..., None] * np.asarray(recipe.granules, np.float32)

    clumps = textures.cut(rng, shape, recipe.grain) + 0.6 * textures.cut(rng, shape, 3 * recipe.grain)
    clumps = clumps + 0.5 * textures.cut(rng, shape, 0.3)
    chromatin = 1 + np.float32(recipe.contrast) * np.clip(clumps, -2.2, 2.2)
    chromatin = chromatin + np.float32(recipe.mottle) * textures.cut(rng, shape, 3.5)
    chromatin = chromatin * (0.92 + 0.12 * np.exp(-((nucleus - 0.35) ** 2) / 0.12))  # the nuclear membrane
    pale = np.zeros(shape, np.float32)
    for _ in range(min(rng.poisson(recipe.nucleoli), 4)):
        angle, at = rng.uniform(0, 2 * np.pi), white.radius * 0.5 * np.sqrt(rng.random())
        spot = rng.uniform(0.75, 1.3) - np.hypot(x - white.x - at * np.cos(angle), y - white.y - at * np.sin(angle))
        pale = np.maximum(pale, ramp(spot, 0.9))
    colors = np.asarray(recipe.chromatin, np.float32) * np.float32(strength)
    colors[2] *= rng.uniform(0.6, 1.5)  # no two nuclei are of the same purple
    solid = (core * chromatin * (1 - 0.38 * pale))[..., None] * colors
    solid[..., 2] += core * pale * 0.12  # nucleoli hold RNA: bluer
    # Basophilic granules lie over the nucleus as well, other cytoplasm lies beside it.
    over = 0.45 if white.label == "basophil" else 0.12
    result: Array = dyes * (1 - (1 - over) * core[..., None]) + solid
    return result


def _paint_smudge(cell: Array, rng: Rng, textures: Textures, strength: float) -> Array:
    """Draw a burst nucleus: pale, streaky, with a ragged border."""
    coarse, fine = textures.cut(rng, cell.shape, 3.0), textures.cut(rng, cell.shape, 0.9)
    torn = ramp(cell - 0.5 + 0.5 * coarse + 0.25 * fine, 1.2)
    body = torn * np.clip(0.75 + 0.25 * coarse + 0.22 * fine, 0.1, 1.6)
    dyes: Array = body[..., None] * np.asarray(RECIPES["smudge"].chromatin, np.float32) * np.float32(strength)
    return dyes


def paint_speck(speck: Speck, x: Array, y: Array, textures: Textures) -> Array:
    """Give the three dyes (h, w, 3) of a platelet or a grain of precipitate."""
    depth = speck.outline.depth(x, y)
    rng = np.random.default_rng(speck.seed)
    precipitate, granule, plasma = np.array([[0.02, 0.75, 0.12], [0.0, 0.33, 0.05], [0.01, 0.04, 0.05]], np.float32)
    dyes: Array
    if speck.kind == "precipitate":
        dyes = ramp(depth, 0.4)[..., None] * precipitate
        return dyes
    granular = np.clip(0.7 + 0.45 * textures.cut(rng, depth.shape, 0.5), 0.1, 1.6)
    dyes = (ramp(depth - 0.35, 0.9) * granular)[..., None] * granule + ramp(depth, 0.5)[..., None] * plasma
    return dyes
