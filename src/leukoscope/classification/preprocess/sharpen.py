"""Adaptive sharpening: blurred cells are brought up to the training cells' usual sharpness, and no cell past it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...errors import SettingsError
from .base import Crops, FittedOn, Image, Mask, Masks, Step, mask_of

__all__ = ["AdaptiveSharpen", "focus"]

SCALE: Final = 1.0  # px: of the Laplacian of Gaussian
EDGE: Final = 3  # px: the outline of a painted crop is no detail of the cell
FEWEST: Final = 64  # px: less of a cell tells nothing of its focus
CONTRAST: Final = 2.0  # of 255: a flatter cell has noise to sharpen and nothing else
FIRST: Final = 0.5  # px: the smallest radius
GROWTH: Final = 2**0.5
HALVINGS: Final = 5

Plane = NDArray[np.float32]


def _smooth(values: Plane, mask: Mask, sigma: float) -> Plane:
    """Smooth (h, w) or (h, w, c) within the mask; what lies outside has no weight."""
    weight = mask.astype(np.float32)
    share = ndimage.gaussian_filter(weight, sigma)
    if values.ndim == 3:
        weight, share = weight[..., None], share[..., None]
    smooth = ndimage.gaussian_filter(values * weight, sigma, axes=(0, 1)) / np.maximum(share, 1e-6)
    return np.where(weight > 0, smooth, values)


def focus(image: Image, mask: Mask | None = None) -> float | None:
    """Measure how sharp a cell is, whatever its contrast and brightness.

    The scale-normalized Laplacian of Gaussian, σ²∇²(G*I) (Lindeberg 1998), of the brightness at σ = 1 px: its root
    mean square within the cell, away from the outline, over the brightness' standard deviation there.

    Parameters
    ----------
    image : uint8 array (h, w, 3)
    mask : bool array (h, w), optional
        The cell; without, the whole picture.

    Returns
    -------
    float or None
        Without unit. None where there is too little of a cell, or no contrast in it.
    """
    mask = np.ones(image.shape[:2], bool) if mask is None else mask
    inside = ndimage.binary_erosion(mask, iterations=EDGE)
    if np.count_nonzero(inside) < FEWEST:
        return None
    return _measure(image, mask, inside)


def _measure(image: Image, mask: Mask, inside: Mask) -> float | None:
    bright: Plane = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    contrast = float(bright[inside].std())
    if contrast < CONTRAST:
        return None
    edges = ndimage.laplace(_smooth(bright, mask, SCALE))[inside]
    return float(SCALE**2 * np.sqrt(np.mean(edges.astype(np.float64) ** 2)) / contrast)


@dataclass(frozen=True, eq=False)
class AdaptiveSharpen(Step):
    """Unsharp masking with a growing radius, until the target or the largest radius.

    Attributes
    ----------
    target : float
        The `focus` to reach; a cell that has it stays as it is.
    amount : float
        How much of the difference to the smoothed cell is added, at most.
    radius : float
        The largest standard deviation of the smoothing, in pixels of the crop.
    """

    name: ClassVar[str] = "adaptive_sharpen"
    target: float = 0.2
    amount: float = 1.5
    radius: float = 3.0

    @classmethod
    def fit(
        cls,
        crops: Crops,
        masks: Masks,
        groups: Sequence[str],
        *,
        percentile: float = 50.0,
        amount: float = 1.5,
        radius: float = 3.0,
    ) -> Self:
        """Take a percentile of the training cells' focus as the target; else as `Step.fit`."""
        fitted = FittedOn.of(crops, groups)
        measured = [focus(crops[i], mask_of(masks, crops, i)) for i in range(len(crops))]
        known = [value for value in measured if value is not None]
        if not known:
            raise SettingsError("no training cell has any contrast", "Check the crops and their masks.")
        return cls(fitted, round(float(np.percentile(known, percentile)), 6), amount, radius)

    def parameters(self) -> dict[str, Any]:
        """Give the parameters as plain JSON values."""
        return {"target": self.target, "amount": self.amount, "radius": self.radius}

    def _one(self, image: Image, mask: Mask) -> Image:
        inside = ndimage.binary_erosion(mask, iterations=EDGE)
        if np.count_nonzero(inside) < FEWEST:
            return image
        best, reached = image, _measure(image, mask, inside)
        if reached is None or reached >= self.target:
            return image
        pixels = image.astype(np.float32)
        radius = FIRST
        while radius <= self.radius:
            detail = pixels - _smooth(pixels, mask, radius)
            low, high, amount = 0.0, self.amount, self.amount
            over = False
            for _ in range(HALVINGS + 1):
                # measured on the rounded pixels that are handed out: "never past it" holds for them
                sharper = np.clip(pixels + amount * detail + 0.5, 0, 255).astype(np.uint8)
                sharper = np.where(mask[..., None], sharper, image)
                value = _measure(sharper, mask, inside)
                if value is not None and reached < value <= self.target:
                    best, reached, low = sharper, value, amount
                if value is not None and value > self.target:
                    over, high = True, amount
                elif not over:
                    break  # the whole amount is not enough: a larger radius
                else:
                    low = amount
                amount = (low + high) / 2
            if over:
                break
            radius *= GROWTH
        return best
