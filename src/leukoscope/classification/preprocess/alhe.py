"""Adaptive local histogram equalization (ALHE): CLAHE on lightness, its clip limit set by each tile's own contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab, xyz2rgb

from ...errors import SettingsError
from .base import Crops, FittedOn, Image, Mask, Masks, Step, mask_of

__all__ = ["Alhe"]

BINS: Final = 256
TOP: Final = 100.0  # L of Lab reaches from 0 to 100
FEWEST: Final = 0.1  # a tile with less of the cell, as a share of its area, has no histogram to speak of
WHITE: Final = np.array([0.95047, 1.0, 1.08883])  # XYZ of D65, the white of rgb2lab

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alhe(Step):
    """CLAHE (Zuiderveld 1994) on L of Lab; the colors' a and b stay.

    A tile's clip limit is `clip` · clamp(`contrast` / σ, 0.5, 2), σ being the deviation of its lightness: flat tiles
    are stretched more, rich ones less, and near-uniform ones not at all. Tiles lie on a grid that belongs to the
    slide, not to the picture given: with a halo of two tiles, parts of a slide come out as the whole does.

    Attributes
    ----------
    tile : int
        Width and height of a tile in pixels.
    clip : float
        c₀, in multiples of a flat histogram's height.
    contrast : float
        σ of reference, in units of L (0..100); fitted on training crops.
    flat : float
        Tiles with less σ than this are left alone; from twice as much on they are equalized in full.
    strength : float
        Share of the equalized lightness in the result, 0..1.
    """

    name: ClassVar[str] = "alhe"
    tile: int = 28
    clip: float = 2.0
    contrast: float = 8.0
    flat: float = 1.5
    strength: float = 0.6

    @classmethod
    def fit(
        cls,
        crops: Crops,
        masks: Masks,
        groups: Sequence[str],
        *,
        tile: int = 28,
        clip: float = 2.0,
        flat: float = 1.5,
        strength: float = 0.6,
    ) -> Self:
        """Take the median deviation of the training crops' tiles as the reference; else as `Step.fit`."""
        fitted = FittedOn.of(crops, groups)
        found = []
        for i in range(len(crops)):
            counts = _Grid(crops[i].shape[:2], tile, (0, 0)).histograms(
                _lightness(rgb2lab(crops[i])), mask_of(masks, crops, i)
            )
            sigma = _deviation(counts)[counts.sum(axis=-1) >= FEWEST * tile**2]
            found.append(sigma[sigma > flat])
        sigmas = np.concatenate(found)
        if not len(sigmas):
            raise SettingsError("no training crop has any contrast", "Check the crops and their masks.")
        return cls(fitted, tile, clip, round(float(np.median(sigmas)), 6), flat, strength)

    def parameters(self) -> dict[str, Any]:
        """Give the parameters as plain JSON values."""
        return {key: getattr(self, key) for key in ("tile", "clip", "contrast", "flat", "strength")}

    def _one(self, image: Image, mask: Mask) -> Image:
        return self.part(image, mask, (0, 0))

    def part(self, image: Image, mask: Mask | None, origin: tuple[int, int]) -> Image:
        """Equalize a part of a slide.

        Parameters
        ----------
        image : uint8 array (h, w, 3)
            With a halo of two tiles, to be cut off from the result, where the slide goes on.
        mask : bool array (h, w) or None
            Only these pixels count and change; None: all.
        origin : tuple of int
            y, x of its top left pixel on the slide.

        Returns
        -------
        uint8 array (h, w, 3)
        """
        mask = np.ones(image.shape[:2], bool) if mask is None else mask
        lab = rgb2lab(image)
        level = _lightness(lab)
        grid = _Grid(image.shape[:2], self.tile, origin)
        change = self.strength * grid.interpolate(self._changes(grid.histograms(level, mask)), level)
        moved = mask & (change != 0)
        if not moved.any():
            return image
        lab[..., 0] = np.clip(lab[..., 0] + change, 0, TOP)
        out = image.copy()
        out[moved] = _rgb(lab[moved])
        return out

    def _changes(self, counts: NDArray[np.int64]) -> Floats:
        """Give what each level of each tile's lightness is raised by, (rows, columns, BINS)."""
        total = counts.sum(axis=-1)
        sigma = _deviation(counts)
        weight = np.clip(sigma / self.flat - 1, 0, 1) * (total >= FEWEST * self.tile**2)
        limit = self.clip * np.clip(self.contrast / np.maximum(sigma, 1e-6), 0.5, 2)
        share = counts / np.maximum(total, 1)[..., None]
        clipped = np.minimum(share, limit[..., None] / BINS)
        # What was cut off is spread evenly; the share missing before it is exactly that.
        clipped += (1 - clipped.sum(axis=-1, keepdims=True)) / BINS
        middle = np.cumsum(clipped, axis=-1) - clipped / 2  # a flat histogram changes nothing
        return np.asarray(weight[..., None] * (TOP * middle - _LEVELS))


class _Grid:
    """Tiles of a slide that a part of it touches.

    Parameters
    ----------
    shape : tuple of int
        Height and width of the part.
    tile : int
    origin : tuple of int
        y, x of the part on the slide.
    """

    def __init__(self, shape: tuple[int, int], tile: int, origin: tuple[int, int]) -> None:
        at = [np.arange(length) + start for length, start in zip(shape, origin, strict=True)]
        self._first = [int(a[0]) // tile for a in at]
        self.rows, self.columns = (int(a[-1]) // tile - int(a[0]) // tile + 1 for a in at)
        self._own = [a // tile - first for a, first in zip(at, self._first, strict=True)]
        between = [(a + 0.5) / tile - 0.5 for a in at]
        self._low = [np.floor(b).astype(int) - first for b, first in zip(between, self._first, strict=True)]
        self._part = [b - np.floor(b) for b in between]

    def histograms(self, level: NDArray[np.intp], mask: Mask) -> NDArray[np.int64]:
        """Count each tile's levels within the mask, (rows, columns, BINS)."""
        tile = self._own[0][:, None] * self.columns + self._own[1]
        index = (tile * BINS + level)[mask]
        counts = np.bincount(index, minlength=self.rows * self.columns * BINS)
        return counts.reshape(self.rows, self.columns, BINS).astype(np.int64)

    def interpolate(self, table: Floats, level: NDArray[np.intp]) -> Floats:
        """Look each pixel's level up in the four nearest tiles, bilinear between their centers."""
        out = np.zeros(level.shape)
        for dy in (0, 1):
            y = np.clip(self._low[0] + dy, 0, self.rows - 1)
            wy = self._part[0] if dy else 1 - self._part[0]
            for dx in (0, 1):
                x = np.clip(self._low[1] + dx, 0, self.columns - 1)
                wx = self._part[1] if dx else 1 - self._part[1]
                out += wy[:, None] * wx * table[y[:, None], x, level]
        return out


_LEVELS = (np.arange(BINS) + 0.5) * TOP / BINS


def _lightness(lab: Floats) -> NDArray[np.intp]:
    return np.clip(lab[..., 0] * (BINS / TOP), 0, BINS - 1).astype(np.intp)


def _deviation(counts: NDArray[np.int64]) -> Floats:
    total = np.maximum(counts.sum(axis=-1), 1)
    mean = counts @ _LEVELS / total
    return np.asarray(np.sqrt(np.maximum(counts @ _LEVELS**2 / total - mean**2, 0)))


def _rgb(lab: Floats) -> Image:
    """Convert Lab (n, 3); skimage's lab2rgb warns of colors that no screen shows, and those are clipped here."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (f - 16 / 116) / 7.787) * WHITE
    return np.asarray(np.clip(xyz2rgb(np.maximum(xyz, 0)) * 255 + 0.5, 0, 255)).astype(np.uint8)
