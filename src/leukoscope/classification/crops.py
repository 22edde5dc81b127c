"""From a cell's pixels to what a network sees: outlined, centered, scaled, balanced; training and inference alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ..errors import SettingsError
from ._outline import BLACK, black_surroundings, central, equivalent_diameter

__all__ = [
    "CropSpec",
    "balance",
    "check_image",
    "cut",
    "finish",
    "frame",
    "resolve_mask",
    "resolve_scale",
    "standardize",
    "window",
]

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Optical density (red, green, blue) given to the lightest part of a cell, and its contrast over the three channels:
# about what a Wright-Giemsa stained white cell shows on a white background.
LIGHT_OD: Final = np.array([0.20, 0.35, 0.15], np.float32)
CONTRAST_OD: Final = 1.1


@dataclass(frozen=True)
class CropSpec:
    """How crops are made for one model; it travels with the model's weights.

    Attributes
    ----------
    size : int
        Width and height of the crop in pixels.
    mpp : float
        Its resolution in µm per pixel.
    masked : bool
        Whether all but the cell is painted over with `background`.
    background : int
        That gray value, 0..255.
    balance : str
        "cell": optical densities are shifted and stretched so that the light and the dark end of the cell's own
        pixels lie where they do in every other cell; no white point is needed, so that cells cut out on black meet
        cells of a slide alike. "none": the colors stay as they are.
    cell_um : float
        The diameter that a cell of unknown scale is taken to have, in µm.
    plausible_um : tuple of float
        The range of diameters that a white cell can have, in µm, to judge an assumed scale by.
    assumed_mpp : mapping of str to float
        µm per pixel of crops that come without: "black" for cells cut out on black, "plain" for others. Used where
        the cell's diameter is then plausible; otherwise the cell is taken as `cell_um` wide.
    """

    size: int = 112
    mpp: float = 0.15
    masked: bool = True
    background: int = 255
    balance: str = "cell"
    cell_um: float = 12.0
    plausible_um: tuple[float, float] = (7.0, 22.0)
    assumed_mpp: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Give the specification as plain JSON values."""
        return {**asdict(self), "plausible_um": list(self.plausible_um), "assumed_mpp": dict(self.assumed_mpp)}

    def resized(self, size: int) -> CropSpec:
        """Give the same field of view in other pixels."""
        return replace(self, size=size, mpp=self.mpp * self.size / size)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CropSpec:
        """Make a specification from what `to_json` gave."""
        low, high = values["plausible_um"]
        return cls(**{**values, "plausible_um": (float(low), float(high))})


def check_image(image: Any, mask: Any = None) -> None:
    """Refuse what is no 8-bit color image, or a mask of another shape.

    Raises
    ------
    SettingsError
        With the shape and dtype that were given.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        given = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise SettingsError(f"a cell image is {given}, not uint8 (height, width, 3)", "Convert it to 8-bit RGB.")
    if 0 in image.shape:
        raise SettingsError(f"a cell image has no pixels (shape {image.shape})", "Leave empty crops out.")
    if mask is not None and (not isinstance(mask, np.ndarray) or mask.ndim != 2 or mask.shape != image.shape[:2]):
        raise SettingsError(
            f"a mask is {getattr(mask, 'shape', type(mask).__name__)}, its image {image.shape[:2]}",
            "Give each image a mask of its height and width.",
        )


def resolve_scale(image: Image, mask: Mask, mpp: float | None, spec: CropSpec) -> float:
    """Find the µm per pixel to use for a cell.

    Parameters
    ----------
    image : uint8 array (h, w, 3)
    mask : bool array (h, w)
    mpp : float or None
        Taken as it is where given.
    spec : CropSpec

    Returns
    -------
    float
        µm per pixel: given, else the one assumed for crops of this kind, else from the cell's own diameter.
    """
    if mpp is not None:
        if not (np.isfinite(mpp) and mpp > 0):
            raise SettingsError(f"µm per pixel is {mpp}", "Give a positive number, or None to estimate it.")
        return float(mpp)
    diameter = max(equivalent_diameter(mask), 1.0)
    outside = image.max(axis=2)[~mask]
    black = outside.size > 0 and float(np.mean(outside <= BLACK)) > 0.5
    assumed = spec.assumed_mpp.get("black" if black else "plain")
    if assumed is not None and spec.plausible_um[0] <= assumed * diameter <= spec.plausible_um[1]:
        return float(assumed)
    return spec.cell_um / diameter


def cut(image: Image, mask: Mask, mpp: float, size: int, crop_mpp: float) -> tuple[Image, Mask]:
    """Scale a cell and put its center into the middle of a square crop.

    Parameters
    ----------
    image : uint8 array (h, w, 3)
    mask : bool array (h, w)
        The cell; must not be empty.
    mpp : float
        µm per pixel of the image.
    size : int
        Width and height of the crop in pixels.
    crop_mpp : float
        µm per pixel of the crop.

    Returns
    -------
    crop : uint8 array (size, size, 3)
        Beyond the image, and where the mask does not reach, the cell's mean color.
    mask : bool array (size, size)
    """
    top, left, step = window(mask, mpp, size, crop_mpp)
    y, x = _axis(top, step, size, mask.shape[0]), _axis(left, step, size, mask.shape[1])
    inside = mask[y.part, x.part]
    # The mean color around the cell: neither black surroundings nor a neighbor bleeds into its edge when scaled.
    mean = image[mask].mean(axis=0).astype(np.uint8)
    canvas = np.empty((y.length, x.length, 3), np.uint8)
    canvas[:] = mean
    canvas[y.at, x.at] = np.where(inside[..., None], image[y.part, x.part], mean)
    shown = np.zeros((y.length, x.length), np.uint8)
    shown[y.at, x.at] = inside * np.uint8(255)
    shape, box = (x.pixels, y.pixels), (x.low, y.low, x.high, y.high)
    crop = np.empty((size, size, 3), np.uint8)
    crop[:] = mean
    crop[y.target, x.target] = np.asarray(
        PillowImage.fromarray(canvas).resize(shape, PillowImage.Resampling.BICUBIC, box=box)
    )
    cover = np.zeros((size, size), bool)
    scaled = PillowImage.fromarray(shown).resize(shape, PillowImage.Resampling.BILINEAR, box=box)
    cover[y.target, x.target] = np.asarray(scaled) > 127
    return crop, cover


def window(mask: Mask, mpp: float, size: int, crop_mpp: float) -> tuple[float, float, float]:
    """Give where the crop of `cut` lies on the image: its upper left corner (y, x), and image pixels per crop pixel."""
    # A cell never gets smaller than a pixel, however wrong the scale.
    step = min(crop_mpp / mpp, float(max(mask.shape)))
    rows, columns = np.nonzero(mask)
    return float(rows.mean()) + 0.5 - size * step / 2, float(columns.mean()) + 0.5 - size * step / 2, step


class _Axis(NamedTuple):
    """Along one axis: what is read, where it lies on a padded canvas, and which crop pixels it fills."""

    part: slice  # of the image
    at: slice  # where that lies on the canvas
    length: int  # of the canvas
    low: float  # the stretch of the canvas that is scaled
    high: float
    target: slice  # onto these pixels of the crop
    pixels: int


def _axis(start: float, step: float, size: int, length: int) -> _Axis:
    first = min(max(0, math.floor(-start / step)), size - 1)
    last = max(min(size, math.ceil((length - start) / step)), first + 1)
    low, high = start + first * step, start + last * step  # reaches beyond the image by less than a crop pixel
    begin, end = max(0, math.floor(low) - 1), min(length, math.ceil(high) + 1)
    before, after = max(0, math.ceil(begin - low)), max(0, math.ceil(high - end))
    return _Axis(
        slice(begin, end),
        slice(before, before + end - begin),
        before + end - begin + after,
        low - begin + before,
        high - begin + before,
        slice(first, last),
        last - first,
    )


def balance(crop: Image, mask: Mask) -> Image:
    """Put the light and the dark end of a cell's own optical density where they are in every other cell.

    Per channel, the cell's third percentile of optical density goes to a fixed value; one factor for the three
    channels gives the span to the 97th percentile a fixed mean. The colors' relation within the cell stays.

    Parameters
    ----------
    crop : uint8 array (h, w, 3)
    mask : bool array (h, w)

    Returns
    -------
    uint8 array (h, w, 3)
    """
    density = _DENSITY[crop]
    values = density[mask]
    if not len(values):
        return crop
    light, dark = np.percentile(values, [3, 97], axis=0).astype(np.float32)
    # A cell without any contrast (a flat color) is not blown up into noise.
    span = max(float((dark - light).mean()), 0.15)
    balanced = np.clip((density - light) * np.float32(CONTRAST_OD / span) + LIGHT_OD, 0, None)
    return np.asarray(255 * np.exp(-balanced) + np.float32(0.5)).astype(np.uint8)


def standardize(image: Image, mask: Mask | None, mpp: float | None, spec: CropSpec) -> Image:
    """Make the crop that a network sees: the one way, in training and inference.

    Parameters
    ----------
    image : uint8 array (h, w, 3)
        A picture with the cell.
    mask : bool array (h, w) or None
        The cell. None: what is not exactly black around the picture's border, else the whole picture.
    mpp : float or None
        µm per pixel of the image; None: see `CropSpec.assumed_mpp`.
    spec : CropSpec

    Returns
    -------
    uint8 array (spec.size, spec.size, 3)

    Raises
    ------
    SettingsError
        Not an 8-bit color image, a mask of another shape, or a scale that is no positive number.
    """
    return frame(image, mask, mpp, spec)[0]


def frame(image: Image, mask: Mask | None, mpp: float | None, spec: CropSpec) -> tuple[Image, Mask]:
    """Make the crop of `standardize`, and give the cell's mask with it, bool (spec.size, spec.size)."""
    check_image(image, mask)
    mask = resolve_mask(image, mask, spec)
    crop, cover = cut(image, mask, resolve_scale(image, mask, mpp, spec), spec.size, spec.mpp)
    return finish(crop, cover, spec), cover


def resolve_mask(image: Image, mask: Mask | None, spec: CropSpec) -> Mask:
    """Give the mask by which an image is cut, bool (h, w), never empty; None as in `standardize`."""
    if mask is None:
        mask = black_surroundings(image)
    if mask is None or not mask.any():
        mask = np.ones(image.shape[:2], bool)
    return central(mask.astype(bool, copy=False)) if spec.masked else mask.astype(bool, copy=False)


def finish(crop: Image, cover: Mask, spec: CropSpec) -> Image:
    """Balance a cut crop and paint over what is not the cell, as the specification says."""
    if not cover.any():  # a cell smaller than a pixel of the crop
        cover = np.ones_like(cover)
    if spec.balance == "cell":
        crop = balance(crop, cover)
    return np.where(cover[..., None], crop, np.uint8(spec.background)) if spec.masked else crop


_DENSITY = -np.log((np.arange(256, dtype=np.float32) + 1) / 256)
