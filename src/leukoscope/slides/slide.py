"""The slide that everything above works on: a lazy pyramid of 8-bit RGB with its scale."""

from __future__ import annotations

import datetime
import operator
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import SlideError
from leukoscope.slides._pixels import Pixels, Source
from leukoscope.slides._pyramid import complete
from leukoscope.slides._sampling import sample_mpp

__all__ = ["Field", "Slide"]

MPP_BOUNDS = (0.01, 20.0)
"""µm per pixel that a user may give."""


@dataclass(frozen=True)
class Field:
    """One picture on a slide, in level-0 px.

    Attributes
    ----------
    name : str
        The file's name without its suffix.
    y, x, height, width : int
        Its place.
    """

    name: str
    y: int
    x: int
    height: int
    width: int


class Slide:
    """A slide, a field or a folder of fields, opened by `open_slide`.

    Nothing but headers is read until pixels are asked for. A slide is pickled by its address, may be read from many
    threads, and closes its file when it and its arrays are gone, at the end of a ``with`` block, or by `close`.

    Parameters
    ----------
    source : Source
        What a backend found.
    address : str
        What `open_slide` takes again.
    name : str
        A stem for file names.
    fingerprint : str
        Of the pixels' file.
    former_fingerprint : str
        As version 0.1.0 made it, for the cases that have that one.
    mpp : float, optional
        µm per level-0 pixel where the user knows better.

    Attributes
    ----------
    levels : tuple of dask arrays (Y, X, 3) uint8
        Level 0 first, each next one coarser, the last about 1,024 px or less.
    downsamples : tuple of float
        Level-0 px per px of each level.
    name, address, fingerprint, former_fingerprint : str
        See above. The fingerprint changes when the file's content does; renamed or copied it is the same.
    fields : tuple of Field
        The fields of a folder; for everything else one field, the whole.
    """

    def __init__(
        self,
        source: Source,
        address: str,
        name: str,
        fingerprint: str,
        former_fingerprint: str = "",
        mpp: float | None = None,
    ) -> None:
        self._source = source
        self._pixels = complete(source.levels)
        self.address = address
        self.name = name
        self.fingerprint = fingerprint
        self.former_fingerprint = former_fingerprint
        height, width = self._pixels[0].shape[:2]
        places = source.fields or [(name, 0, 0, height, width)]
        self.fields = tuple(Field(*place) for place in places)
        self.downsamples = tuple(_downsamples(self._pixels))
        self.levels = tuple(_lazy(p, f"slide-{fingerprint}-{i}") for i, p in enumerate(self._pixels))
        self._scale: tuple[float | None, str] | None = None
        self._measuring = threading.Lock()
        if mpp is not None:
            self._scale = (_checked(mpp, address), "given")
        elif source.mpp is not None:
            self._scale = (source.mpp, "metadata")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0, px."""
        return self._pixels[0].shape[:2]

    @property
    def acquired(self) -> datetime.date | None:
        """The day on which the file says that it was scanned, None where it does not.

        That is not the day on which blood was drawn or the smear made: a proposal, for somebody to confirm.
        """
        return self._source.acquired

    @property
    def mpp(self) -> float | None:
        """µm per level-0 pixel; estimated from red cells on first access where the file has none; None if unknown."""
        return self._measured()[0]

    @property
    def mpp_source(self) -> str:
        """Where `mpp` is from: "metadata", "red cells", "given" or "unknown"."""
        return self._measured()[1]

    def _measured(self) -> tuple[float | None, str]:
        with self._measuring:
            if self._scale is None:
                estimate = sample_mpp(self._pixels, self.fields, self.address)
                self._scale = (estimate, "unknown" if estimate is None else "red cells")
            return self._scale

    def read(self, region: Sequence[Any], level: int = 0) -> NDArray[np.uint8]:
        """Read a region into memory.

        Parameters
        ----------
        region : (y, x, height, width) or a pair of slices
            In px of that level. What lies outside the slide is cut off.
        level : int
            Index into `levels`.

        Returns
        -------
        uint8 array (Y, X, 3)
            Empty where the region does not touch the slide.

        Raises
        ------
        SlideError
            If the file is damaged there, or the level does not exist.
        """
        if not -len(self._pixels) <= level < len(self._pixels):
            raise SlideError(f"no level {level}", f"The slide has levels 0 to {len(self._pixels) - 1}.", self.address)
        pixels = self._pixels[level]
        return pixels.region(*_bounds(region, pixels.shape, self.address))

    def overview(self, max_px: int = 2048) -> NDArray[np.uint8]:
        """Read the whole slide, small.

        Parameters
        ----------
        max_px : int
            The longer side is at most this.

        Returns
        -------
        uint8 array (Y, X, 3)
        """
        if max_px < 1:
            raise SlideError(f"an overview of {max_px} px", "Ask for at least one pixel.", self.address)
        fitting = [level for level in self.levels if max(level.shape) <= max_px]
        image: NDArray[np.uint8] = np.asarray((fitting or self.levels[-1:])[0].compute(scheduler="threads"))
        step = -(-max(image.shape[:2]) // max_px)
        return np.ascontiguousarray(image[step // 2 :: step, step // 2 :: step]) if step > 1 else image

    def with_mpp(self, mpp: float) -> Slide:
        """Return the same slide with a scale that the user gives, µm per level-0 pixel."""
        return Slide(self._source, self.address, self.name, self.fingerprint, self.former_fingerprint, mpp)

    def close(self) -> None:
        """Close the file; reading afterwards fails."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.address, self._scale)

    def __repr__(self) -> str:
        height, width = self.shape
        return f"<Slide {self.name!r}: {width} × {height} px, {len(self.levels)} levels>"


def _reopen(address: str, scale: tuple[float | None, str] | None) -> Slide:
    """Open a slide in another process without measuring its scale again."""
    from leukoscope.slides._open import open_slide

    slide = open_slide(address)
    slide._scale = scale or slide._scale
    return slide


def _lazy(pixels: Pixels, name: str) -> da.Array:
    return da.from_array(
        pixels, chunks=(*pixels.chunk, 3), name=name, asarray=False, fancy=False, meta=np.empty((0, 0, 0), np.uint8)
    )


def _downsamples(pixels: Sequence[Pixels]) -> list[float]:
    """Level-0 px per px; exact powers of two for levels that are computed, whose last pixel may be half empty."""
    factors: list[float] = []
    for i, level in enumerate(pixels):
        parent = getattr(level, "parent", None)
        if parent is not None:
            factors.append(2 * factors[pixels.index(parent)])
        else:
            factors.append(
                (pixels[0].shape[0] / level.shape[0] + pixels[0].shape[1] / level.shape[1]) / 2 if i else 1.0
            )
    return factors


def _bounds(region: Sequence[Any], shape: tuple[int, ...], file: str) -> tuple[int, int, int, int]:
    try:
        if len(region) == 2 and all(isinstance(r, slice) and r.step in (None, 1) for r in region):
            y0, x0 = (0 if r.start is None else operator.index(r.start) for r in region)
            y1, x1 = (n if r.stop is None else operator.index(r.stop) for r, n in zip(region, shape, strict=False))
            return y0, y1, x0, x1
        y, x, height, width = (operator.index(r) for r in region)
        return y, y + height, x, x + width
    except (TypeError, ValueError) as error:
        raise SlideError(
            f"region {region!r}", "Give (y, x, height, width) in whole pixels, or a pair of slices.", file
        ) from error


def _checked(mpp: float, file: str) -> float:
    if not MPP_BOUNDS[0] <= mpp <= MPP_BOUNDS[1]:  # also false for NaN
        raise SlideError(
            f"{mpp} µm/px is outside {MPP_BOUNDS[0]} to {MPP_BOUNDS[1]}", "A 40× scan has about 0.25 µm/px.", file
        )
    return float(mpp)
