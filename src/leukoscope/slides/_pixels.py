"""One level of a slide as something that can be sliced, and the 8-bit RGB that comes out whatever lies in the file."""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import SlideError

__all__ = ["Color", "Pixels", "Source", "sample_range"]

_MAX_AREA = 4e11  # px; ten times the largest slide a scanner makes


class Pixels(ABC):
    """A level: ``(Y, X, 3)`` uint8, read region by region, safe to read from many threads.

    Parameters
    ----------
    height, width : int
        Size, px.
    chunk : tuple of int
        Height and width of the pieces that are cheap to read, px.
    file : str
        Named in errors.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, height: int, width: int, chunk: tuple[int, int], file: str) -> None:
        if height < 1 or width < 1 or height * width > _MAX_AREA:
            raise SlideError(
                f"the header claims {width} × {height} px",
                "The file is damaged, or not a slide; export it again.",
                file,
            )
        self.shape = (int(height), int(width), 3)
        self.chunk = (min(chunk[0], self.shape[0]), min(chunk[1], self.shape[1]))
        self.file = file

    @abstractmethod
    def _region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8]:
        """Read rows y0..y1 and columns x0..x1, all inside the level and not empty."""

    def region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8]:
        """Read rows ``y0..y1`` and columns ``x0..x1``, clipped to the level; uint8 (rows, columns, 3)."""
        y0, y1 = max(y0, 0), min(y1, self.shape[0])
        x0, x1 = max(x0, 0), min(x1, self.shape[1])
        if y1 <= y0 or x1 <= x0:
            return np.zeros((max(y1 - y0, 0), max(x1 - x0, 0), 3), np.uint8)
        try:
            return self._region(y0, y1, x0, x1)
        except SlideError:
            raise
        except Exception as error:  # a decoder's own words, whatever its exception classes
            raise SlideError(
                f"the pixels at x {x0}..{x1}, y {y0}..{y1} cannot be decoded ({type(error).__name__}: {error})",
                "The file is damaged or truncated: copy it again from the scanner.",
                self.file,
            ) from error

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Numpy's slicing, as dask uses it."""
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) == 3 and all(isinstance(k, slice) and k.step in (None, 1) for k in keys[:2]):
            (y0, y1, _), (x0, x1, _) = (k.indices(n) for k, n in zip(keys[:2], self.shape, strict=False))
            return self.region(y0, y1, x0, x1)[:, :, keys[2]]
        picked: NDArray[np.uint8] = self.region(0, self.shape[0], 0, self.shape[1])[key]
        return picked


@dataclass
class Source:
    """What a backend found in a file.

    Attributes
    ----------
    levels : sequence of Pixels
        Level 0 first.
    mpp : float or None
        µm per level-0 pixel, where the metadata tell.
    fields : sequence of (name, y, x, height, width)
        The fields of a folder, level-0 px; empty for one image.
    close : callable
        Closes the file.
    acquired : datetime.date or None
        When it was scanned, where the metadata tell.
    """

    levels: Sequence[Pixels]
    mpp: float | None = None
    fields: Sequence[tuple[str, int, int, int, int]] = ()
    close: Callable[[], None] = field(default=lambda: None)
    acquired: datetime.date | None = None


@dataclass(frozen=True)
class Color:
    """How a file's samples become 8-bit RGB.

    Attributes
    ----------
    kind : str
        What the leading samples mean.
    alpha : bool or "premultiplied"
        Whether one more sample is opacity; it is composited over white, the color of glass.
    low, high : float
        The samples' values of black and white.
    inverted : bool
        Whether the least value is white.
    palette : uint8 array (n, 3), optional
        The colors of an indexed image.
    """

    kind: Literal["grey", "rgb", "cmyk", "ycbcr", "palette"]
    alpha: bool | Literal["premultiplied"] = False
    low: float = 0.0
    high: float = 255.0
    inverted: bool = False
    palette: NDArray[np.uint8] | None = None

    @property
    def samples(self) -> int:
        """How many samples of a pixel are used."""
        return {"grey": 1, "palette": 1, "rgb": 3, "ycbcr": 3, "cmyk": 4}[self.kind] + bool(self.alpha)

    def rgb(self, raw: NDArray[Any]) -> NDArray[np.uint8]:
        """Convert samples (Y, X, S) of any type into uint8 (Y, X, 3)."""
        if self.kind == "palette" and self.palette is not None:
            shown: NDArray[np.uint8] = self.palette[np.minimum(raw[..., 0], len(self.palette) - 1)]
            return shown
        raw = self._eight_bits(raw[..., : self.samples])
        opacity = raw[..., -1:].astype(np.float32) / 255 if self.alpha else None
        color = raw[..., :-1] if self.alpha else raw
        if self.inverted:
            color = 255 - color
        if self.kind == "cmyk":
            ink = color.astype(np.float32)
            color = _bytes((255 - ink[..., :3]) * (255 - ink[..., 3:]) / 255)
        elif self.kind == "ycbcr":
            color = _from_ycbcr(color)
        if opacity is not None:
            weight = 1.0 if self.alpha == "premultiplied" else opacity
            color = _bytes(color * weight + 255 * (1 - opacity))
        return np.ascontiguousarray(np.broadcast_to(color, (*color.shape[:2], 3)))

    def _eight_bits(self, raw: NDArray[Any]) -> NDArray[np.uint8]:
        if raw.dtype == np.uint8 and (self.low, self.high) == (0, 255):
            return raw
        if raw.dtype == np.bool_:
            raw = raw.astype(np.uint8)
        scaled = (raw.astype(np.float32) - np.float32(self.low)) * np.float32(255 / (self.high - self.low))
        return _bytes(np.nan_to_num(scaled, nan=0, posinf=255, neginf=0))


def _from_ycbcr(color: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert full-range ITU-R BT.601 YCbCr (JFIF) into RGB."""
    y, cb, cr = np.moveaxis(color.astype(np.float32), -1, 0)
    cb, cr = cb - 128, cr - 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], -1)
    return _bytes(rgb)


def _bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return rounded


def sample_range(
    dtype: np.dtype[Any], bits: int | None = None, sample: NDArray[Any] | None = None
) -> tuple[float, float]:
    """Black and white of a sample type.

    Parameters
    ----------
    dtype : numpy dtype
        The samples' type.
    bits : int, optional
        Bits per sample where the file says so (12 bits in a 16-bit word).
    sample : array, optional
        Some pixels, to tell floats of 0..1 from floats of 0..255 or others.
    """
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind == "u":
        return 0.0, float(2 ** (bits or 8 * dtype.itemsize) - 1)
    if dtype.kind == "i":
        return 0.0, float(np.iinfo(dtype).max)
    if dtype.kind != "f":
        raise SlideError(f"samples of type {dtype} are no picture", "Export the image as 8-bit RGB.")
    finite = np.zeros(1) if sample is None else sample[np.isfinite(sample)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low >= 0 and high <= 1.001:
        return 0.0, 1.0
    if low >= 0 and high <= 255.5:
        return 0.0, 255.0
    return low, high
