"""Stain normalization: a slide's white point and stain vectors brought to those of the training slides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from .base import Crops, FittedOn, Image, Mask, Masks, Stage, Step

__all__ = ["Stain", "StainNormalize", "estimate_stain"]

BLACK: Final = 8  # of 255: surroundings of cells cut out on black, neither glass nor stain
THIN: Final = 0.15  # optical density: below, glass and noise
SATURATED: Final = 3.0  # optical density: above, noise of the camera
FEWEST: Final = 500  # stained pixels: fewer, and the vectors are noise
MOST: Final = 500_000  # pixels looked at
CUT_OUT: Final = 0.2  # of the pixels black: cells cut out, if there is little glass between
GLASS: Final = 0.15  # of the other pixels as light as the white point, at least, where cells may be cut out
UNLIKE: Final = np.radians(40.0)  # a slide's dye farther than this from the model's is another stain
MOST_GAIN: Final = 2.0  # a dye is made at most so many times as strong, or as weak
NARROW: Final = np.radians(5.0)  # stain vectors closer than this are one stain seen twice

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stain:
    """How a slide is stained and lit.

    Attributes
    ----------
    white : tuple of float
        Red, green and blue of the empty glass, 0..255.
    vectors : tuple of tuples of float
        Optical density (red, green, blue) of the two dyes, unit length; the one that takes more red first: azure, then
        eosin or hemoglobin.
    strength : tuple of float
        The 99th percentile of each dye's amount.
    """

    white: tuple[float, float, float]
    vectors: tuple[tuple[float, float, float], tuple[float, float, float]]
    strength: tuple[float, float]

    def __post_init__(self) -> None:
        first, second = np.array(self.vectors, np.float64)
        lengths = np.linalg.norm(first) * np.linalg.norm(second)
        if not lengths > 0 or np.linalg.norm(np.cross(first, second)) < np.sin(NARROW / 2) * lengths:
            raise SettingsError("the two stain vectors are alike, or one is zero", "Fit the stain normalization again.")

    def like(self, other: Stain) -> Stain:
        """Order the dyes as another slide's lie: on blood alone the red that they take decides nothing."""
        cosines = np.array(self.vectors) @ np.array(other.vectors).T
        if cosines[0, 0] + cosines[1, 1] >= cosines[0, 1] + cosines[1, 0]:
            return self
        return Stain(self.white, self.vectors[::-1], self.strength[::-1])

    def basis(self) -> Floats:
        """Give azure, eosin and the direction that neither covers, as rows of unit length, (3, 3)."""
        first, second = (np.array(v, np.float64) / np.linalg.norm(v) for v in self.vectors)
        third = np.cross(first, second)
        return np.stack([first, second, third / np.linalg.norm(third)])


def estimate_stain(pixels: Image) -> tuple[Stain | None, str]:
    """Find a slide's white point and stain vectors (Macenko et al. 2009, in optical density; no random choice).

    Parameters
    ----------
    pixels : uint8 array (..., 3)
        Of one slide: an overview, or crops with some glass about the cells. Pixels that are about black (the
        surroundings of cells that were cut out) are left out.

    Returns
    -------
    stain : Stain or None
    reason : str
        Why there is none: "" where there is one.
    """
    flat = np.asarray(pixels).reshape(-1, 3)
    flat = flat[:: max(1, len(flat) // MOST)]
    whole = len(flat)
    flat = flat[flat.max(axis=1) > BLACK].astype(np.float64)
    if len(flat) < FEWEST:
        return None, f"only {len(flat)} pixels that are not black"
    green = flat[:, 1]
    bright = flat[green >= np.percentile(green, 95)]
    white = np.maximum(np.median(bright, axis=0), 2.0)
    glass = -np.log((flat + 1) / (white + 1)).mean(axis=1) < THIN / 2
    if len(flat) < (1 - CUT_OUT) * whole and np.mean(glass) < GLASS:
        return None, "no glass: the cells are cut out on black"
    white = np.maximum(np.median(flat[glass], axis=0), 2.0)  # its usual color, not its noise's bright end
    density = -np.log((flat + 1) / (white + 1))
    usable = (density.mean(axis=1) > THIN) & (density.max(axis=1) < SATURATED)
    stained = density[usable]
    if len(stained) < FEWEST:
        return None, f"only {len(stained)} stained pixels"
    _, axes = np.linalg.eigh(stained.T @ stained)  # about the origin: dyes mix from no dye at all
    plane = axes[:, [2, 1]]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1.0, 1.0)
    seen = stained @ plane
    low, high = np.percentile(np.arctan2(seen[:, 1], seen[:, 0]), [1, 99])
    if high - low < NARROW:
        return None, "one color of stain only"
    vectors = np.array([plane @ [np.cos(angle), np.sin(angle)] for angle in (low, high)])
    vectors = vectors[np.argsort(-vectors[:, 0])]
    amounts = stained @ np.linalg.pinv(vectors)
    strength = np.percentile(amounts, 99, axis=0)
    if strength.min() < THIN / 2:
        return None, "too little of one of the two stains"
    return _stain(white, vectors, strength), ""


def _stain(white: Floats, vectors: Floats, strength: Floats) -> Stain:
    def three(values: Floats) -> tuple[float, float, float]:
        red, green, blue = (round(float(v), 6) for v in values)
        return red, green, blue

    first, second = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Stain(
        three(white), (three(first), three(second)), (round(float(strength[0]), 6), round(float(strength[1]), 6))
    )


_TYPICAL = Stain((245.0, 243.0, 240.0), ((0.65, 0.70, 0.29), (0.27, 0.91, 0.31)), (1.5, 1.0))


@dataclass(frozen=True, eq=False)
class StainNormalize(Step):
    """Pixels as they would be on a slide stained and lit like the training slides'.

    A model's bundle holds the target. What a slide has is found on the slide: `for_slide`. Without, or where too
    little stain is found, pixels stay as they are and `reason` says why.

    Attributes
    ----------
    target : Stain
    source : Stain or None
        Of the slide at hand; not stored.
    reason : str
        Why nothing is changed; "" where pixels are changed.
    """

    name: ClassVar[str] = "stain_normalize"
    stage: ClassVar[Stage] = "image"
    target: Stain = _TYPICAL
    source: Stain | None = None
    reason: str = "no slide was looked at"

    @classmethod
    def fit(cls, crops: Crops, masks: Masks, groups: Sequence[str]) -> Self:
        """Take the median stain of the training groups (patients, slides) as the target; else as `Step.fit`.

        Pictures as they came, with some glass in them; masks are not looked at.
        """
        fitted = FittedOn.of(crops, groups)
        found: list[Stain] = []
        reasons: list[str] = []
        for group in sorted(set(groups)):
            its = [np.asarray(crops[i]).reshape(-1, 3) for i in range(len(crops)) if groups[i] == group]
            stain, reason = estimate_stain(np.concatenate(its))
            if stain is None:
                reasons.append(reason)
            else:
                found.append(stain.like(found[0] if found else stain))
        if not found:
            raise SettingsError(f"no training group shows its stain: {reasons[0]}", "Give pictures with stained cells.")
        middle = [np.median([np.array(getattr(s, k)) for s in found], axis=0) for k in ("white", "vectors", "strength")]
        return cls(fitted, _stain(*middle))

    @classmethod
    def load(cls, parameters: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], fitted: FittedOn | None) -> Self:
        """Make the step from what was stored; see `Step.load`."""
        if tensors:
            raise SettingsError(f"{cls.name} takes no tensor {min(tensors)}", "Remove it from the bundle.")
        first, second = parameters["vectors"]
        target = Stain(tuple(parameters["white"]), (tuple(first), tuple(second)), tuple(parameters["strength"]))
        return cls(fitted, target)

    def parameters(self) -> dict[str, Any]:
        """Give the target as plain JSON values."""
        return {
            "white": list(self.target.white),
            "vectors": [list(v) for v in self.target.vectors],
            "strength": list(self.target.strength),
        }

    def for_slide(self, pixels: Image) -> Self:
        """Give the step for one slide.

        Parameters
        ----------
        pixels : uint8 array (..., 3)
            See `estimate_stain`.
        """
        source, reason = estimate_stain(pixels)
        if source is not None:
            source = source.like(self.target)
            cosines = np.sum(source.basis()[:2] * self.target.basis()[:2], axis=1)
            if cosines.min() < np.cos(UNLIKE):
                source, reason = None, "the slide's stain is unlike those that the model was trained on"
        return type(self)(self.fitted, self.target, source, reason)

    def _one(self, image: Image, mask: Mask) -> Image:
        if self.source is None or self.source == self.target:
            return image
        # a field without white cells has no azure to measure: its red cells must not be stretched to nuclei
        ratio = np.clip(np.divide(self.target.strength, self.source.strength), 1 / MOST_GAIN, MOST_GAIN)
        scale = np.diag([*ratio, 1.0])  # what is neither dye keeps its amount
        change = np.linalg.inv(self.source.basis()) @ scale @ self.target.basis()
        logs = np.log((np.arange(256) + 1.0)[:, None] / (np.array(self.source.white) + 1)).astype(np.float32)
        density = -np.stack([logs[image[..., c], c] for c in range(3)], axis=-1)
        moved = (np.array(self.target.white, np.float32) + 1) * np.exp(-(density @ change.astype(np.float32))) - 1
        out = np.clip(moved + 0.5, 0, 255).astype(np.uint8)
        # the surroundings of a cell cut out on black stay black: that is what it is recognized by
        return np.where(image.max(axis=2, keepdims=True) > BLACK, out, image)
