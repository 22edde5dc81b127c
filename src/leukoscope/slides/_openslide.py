"""What only OpenSlide reads: MIRAX, Ventana, Hamamatsu VMS, Zeiss, DICOM and more. An optional extra."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import SlideError
from leukoscope.slides._acquired import openslide_day
from leukoscope.slides._pixels import Color, Pixels, Source
from leukoscope.slides._tiffscale import plausible

__all__ = ["OPENSLIDE_SUFFIXES", "open_openslide"]

OPENSLIDE_SUFFIXES = (".mrxs", ".bif", ".vms", ".vmu", ".svslide", ".dcm", ".czi")
"""Suffixes that only OpenSlide reads."""


def open_openslide(path: str) -> Source:
    """Open a slide through OpenSlide.

    Parameters
    ----------
    path : str
        A local file.

    Raises
    ------
    SlideError
        If OpenSlide is not installed, or cannot read the file.
    """
    try:
        import openslide
    except (ImportError, OSError) as error:  # OSError: the Python part without its library
        raise SlideError(
            "only OpenSlide reads this kind of slide, and it is not installed",
            'Run: pip install "leukoscope[openslide]".',
            path,
        ) from error
    try:
        slide = openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise SlideError("not a slide that OpenSlide knows", "Export it as OME-TIFF or SVS.", path) from error
    except Exception as error:
        raise SlideError(
            f"OpenSlide cannot read it ({error})", "Copy the slide again, with its companion folder.", path
        ) from error
    handle = _Handle(slide)
    try:
        levels = [OpenSlidePixels(handle, i, path) for i in range(slide.level_count)]
        try:
            mpp = plausible(float(slide.properties.get(openslide.PROPERTY_NAME_MPP_X, "nan")))
        except ValueError:
            mpp = None
    except SlideError:
        handle.close()
        raise
    return Source(levels, mpp, close=handle.close, acquired=openslide_day(slide.properties))


class _Handle:
    """An open slide that closes with the last level that uses it."""

    def __init__(self, slide: Any) -> None:
        self.slide = slide
        self.close = weakref.finalize(self, slide.close)


class OpenSlidePixels(Pixels):
    """A level as OpenSlide gives it, transparent parts white."""

    def __init__(self, handle: _Handle, level: int, path: str) -> None:
        width, height = handle.slide.level_dimensions[level]
        super().__init__(height, width, (512, 512), path)
        self._handle, self._level = handle, level
        self._scale = handle.slide.level_downsamples[level]

    def _region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8]:
        slide = self._handle.slide
        corner = (round(x0 * self._scale), round(y0 * self._scale))
        image = slide.read_region(corner, self._level, (x1 - x0, y1 - y0))
        return Color("rgb", alpha=True).rgb(np.asarray(image))
