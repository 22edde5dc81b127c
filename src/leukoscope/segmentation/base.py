"""What every segmenter takes and gives: masks, calibration, and the way through the working grid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from numbers import Real
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ._cutout import BLACK, LARGEST_CUTOUT_UM, cutout, diameter, on_white, one_cell
from ._portrait import LARGEST_PORTRAIT_UM, with_middle
from ._resample import read_working, working_shape
from ._scale import guess_mpp
from ._upsample import upsample_labels
from .instances import HALO_UM, label_cells
from .kinds import cell_kinds

__all__ = [
    "MPP_RANGE",
    "Calibration",
    "GridSegmenter",
    "Masks",
    "Segmenter",
    "check_mpp",
    "check_rgb",
    "known_mpp",
    "white_point",
]

RGB = NDArray[np.uint8]
Map = NDArray[np.float32]

MPP_RANGE: Final = (0.001, 100.0)  # what can be a picture's µm per pixel


@dataclass(frozen=True)
class Masks:
    """The cells of an image: whole cells and their nuclei, under the same ids.

    Attributes
    ----------
    cells, nuclei : ndarray of int32, shape (Y, X)
        0 is background, 1..n the cells. A nucleus lies within its cell and carries its id.
    scores : ndarray of float32, shape (n,)
        How sure the segmenter is of each cell, 0..1; `scores[i - 1]` belongs to id `i`.
    mpp : float
        µm per pixel of the image, as it was taken to be.
    mpp_source : str
        "given", "red cells", "white cell" or "assumed".
    kinds : tuple of str
        What each is, "cell", "smudge" or "platelet" (see `kinds`); empty where nobody told.
    """

    cells: NDArray[np.int32]
    nuclei: NDArray[np.int32]
    scores: NDArray[np.float32]
    mpp: float
    mpp_source: str
    kinds: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Calibration:
    """What a segmenter must know of a whole slide, so that every tile of it is treated alike.

    Attributes
    ----------
    white : tuple of 3 floats
        The color of the empty background, RGB, 0..255.
    numbers : mapping of str to tuple of floats
        Figures of one segmenter's own, such as thresholds or latency bin edges.
    """

    white: tuple[float, float, float] = (255.0, 255.0, 255.0)
    numbers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Write as one line of JSON."""
        return json.dumps({"white": list(self.white), "numbers": {k: list(v) for k, v in self.numbers.items()}})

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read what `to_json` wrote.

        Raises
        ------
        SettingsError
            When the text is not a calibration.
        """
        try:
            data = json.loads(text)
            red, green, blue = (float(v) for v in data["white"])
            numbers = {str(k): tuple(float(x) for x in v) for k, v in data["numbers"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(f"not a calibration: {error}", "Calibrate the slide anew.") from error
        return cls((red, green, blue), numbers)


@runtime_checkable
class Segmenter(Protocol):
    """Finds the white cells of an image.

    Attributes
    ----------
    name : str
        As `get_segmenter` takes it.
    mpp : float
        The working resolution, µm per pixel.
    halo : int
        By how many working pixels a tile must be extended, so that its own cells come out as they would untiled.
    """

    name: str
    mpp: float

    @property
    def halo(self) -> int:
        """By how many working pixels a tile must be extended."""
        ...

    def calibrate(self, rgb: RGB) -> Calibration:
        """Take the measure of a slide from samples of it at about the working resolution, uint8 (Y, X, 3)."""
        ...

    def segment(self, rgb: RGB, mpp: float | None = None, calibration: Calibration | None = None) -> Masks:
        """Find the cells of `rgb`, uint8 (Y, X, 3); labels come at the resolution of `rgb`."""
        ...


class GridSegmenter:
    """The common way: to the working resolution, two probability maps, instances, and back.

    A sub-class sets `name` and `receptive`, and gives `_maps`; also `_numbers`, if it needs slide-level figures.

    Attributes
    ----------
    mpp : float
        The working resolution, µm per pixel.
    receptive : int
        By how many working pixels a pixel of the maps looks around.
    align : int
        The maps do not change when the image is shifted by multiples of this (the product of a network's strides);
        tiles are cut accordingly.
    """

    name: str = "grid"
    mpp: float = 0.5
    receptive: int = 0
    align: int = 1

    @property
    def halo(self) -> int:
        """By how many working pixels a tile must be extended: the maps' reach and the instances'."""
        reach = self.receptive + ceil(HALO_UM / self.mpp)
        return ceil(reach / self.align) * self.align

    def calibrate(self, rgb: RGB) -> Calibration:
        """Take the white point and the segmenter's own figures from samples of a slide.

        Parameters
        ----------
        rgb : ndarray of uint8, shape (Y, X, 3)
            Samples at about the working resolution; several samples may be stacked along Y.

        Returns
        -------
        Calibration
        """
        check_rgb(rgb)
        white = white_point(rgb)
        return Calibration(white, self._numbers(rgb, white))

    def segment(self, rgb: RGB, mpp: float | None = None, calibration: Calibration | None = None) -> Masks:
        """Find the white cells of an image.

        Parameters
        ----------
        rgb : ndarray of uint8, shape (Y, X, 3)
            The image, at any resolution.
        mpp : float, optional
            Its µm per pixel. Without it, estimated: from the red cells, else from the white cell of a crop.
        calibration : Calibration, optional
            That of the slide the image is from; else the image is its own slide.

        Returns
        -------
        Masks
            At the resolution of `rgb`. A cell that was cut out on black keeps that outline exactly. In a picture of at
            most 40 µm that is no part of a calibrated slide, a platelet in the middle is outlined, too.

        Raises
        ------
        SettingsError
            When `rgb` is no RGB image or `mpp` no resolution.
        """
        mpp, source = known_mpp(rgb, mpp)
        step = self.mpp / mpp
        height, width = rgb.shape[:2]
        working, cell = self._working(rgb, mpp, calibration)
        portrait = calibration is None and cell is None and max(height, width) * mpp <= LARGEST_PORTRAIT_UM
        calibration = calibration or self.calibrate(working)
        cells, nuclei, scores = self.segment_working(working, calibration)
        if portrait:
            cells, nuclei, scores = with_middle(working, cells, nuclei, scores, calibration.white, self.mpp)
        kinds = cell_kinds(working, cells, nuclei, len(scores), calibration.white, self.mpp)
        if step != 1:
            cells, nuclei = upsample_labels(cells, nuclei, len(scores), step, (height, width))
        if cell is not None:  # somebody cut it out, and took it for a cell
            cells, nuclei, scores = one_cell(rgb, cell, nuclei, scores)
            kinds = ("cell",)
        return Masks(cells, nuclei, scores, float(mpp), source, kinds)

    def _working(self, rgb: RGB, mpp: float, calibration: Calibration | None) -> tuple[RGB, NDArray[np.bool_] | None]:
        """Bring an image to the working resolution; also give the outline of a cell that was cut out on black."""
        step = self.mpp / mpp
        cell = None if calibration else cutout(rgb)  # a tile of a slide is no crop, whatever it looks like
        if cell is not None and diameter(cell) * mpp > LARGEST_CUTOUT_UM:
            cell = None
        shown = rgb if cell is None else on_white(rgb, cell)
        return read_working(shown, step, (0, 0, *working_shape(rgb.shape, step))), cell

    def segment_working(
        self, rgb: RGB, calibration: Calibration | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
        """Find the cells of an image that is at the working resolution: (cells, nuclei, scores), as in `Masks`."""
        nucleus, cell, *rest = self._maps(rgb, calibration or self.calibrate(rgb))
        return label_cells(nucleus, cell, self.mpp, rest[0] if rest else None)

    def _numbers(self, rgb: RGB, white: tuple[float, float, float]) -> dict[str, tuple[float, ...]]:
        """Slide-level figures of this segmenter, from samples of the slide."""
        return {}

    def _maps(self, rgb: RGB, calibration: Calibration) -> tuple[Map, ...]:
        """Probabilities of nucleus and of cell (nucleus or cytoplasm), float32 (Y, X) each, 0..1.

        A third map, where there is one, is the probability of a cell's inner part: what tells touching cells apart.
        """
        raise NotImplementedError


def known_mpp(rgb: RGB, mpp: float | None) -> tuple[float, str]:
    """Give an image's µm per pixel and where it is from: as given, else estimated from what the image shows.

    Raises
    ------
    SettingsError
        When `rgb` is no RGB image or `mpp` no resolution.
    """
    check_rgb(rgb)
    if mpp is None:
        return guess_mpp(rgb)
    return check_mpp(mpp), "given"


def check_mpp(mpp: Any) -> float:
    """Give an image's µm per pixel as a float; raise SettingsError when it is no resolution."""
    number = isinstance(mpp, Real) or (isinstance(mpp, np.ndarray) and mpp.ndim == 0 and mpp.dtype.kind in "iuf")
    if not (number and MPP_RANGE[0] <= float(mpp) <= MPP_RANGE[1]):
        raise SettingsError(f"{mpp} µm per pixel is no resolution", "Give a number such as 0.25, or None.")
    return float(mpp)


def check_rgb(rgb: Any) -> None:
    """Raise SettingsError unless `rgb` is a uint8 array (Y, X, 3) with at least one pixel."""
    shape, dtype = getattr(rgb, "shape", None), getattr(rgb, "dtype", None)
    if shape is None or len(shape) != 3 or shape[2] != 3 or dtype != np.uint8 or 0 in shape:
        raise SettingsError(f"the image is {dtype} {shape}", "An RGB image is wanted: uint8, (Y, X, 3).")


def white_point(rgb: RGB) -> tuple[float, float, float]:
    """Give the color of the empty background, RGB 0..255.

    The median color of the greenest fifth of the pixels: red cells, white cells and platelets all absorb green, and
    a fifth of a smear, at least, is empty. Black pixels do not count: they are a mask.
    """
    pixels = rgb.reshape(-1, 3)
    pixels = pixels[:: max(1, len(pixels) // 500_000)]
    pixels = pixels[pixels.max(axis=1) > BLACK]
    if not len(pixels):
        return (255.0, 255.0, 255.0)
    green = pixels[:, 1]
    bright = pixels[green >= np.percentile(green, 80)]
    median = np.maximum(np.median(bright, axis=0), 1)
    return float(median[0]), float(median[1]), float(median[2])
