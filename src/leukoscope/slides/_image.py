"""A field in a picture file: JPG, PNG, BMP, through Pillow."""

from __future__ import annotations

import os
import threading
import warnings
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from leukoscope.errors import SlideError
from leukoscope.slides._pixels import Color, Pixels, Source, sample_range
from leukoscope.slides._tiffscale import plausible

__all__ = ["FIELD_SUFFIXES", "FieldPixels", "open_image", "read_picture"]

FIELD_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
"""Files that count as fields when they lie in a folder."""

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_decoding = [threading.Lock() for _ in range(16)]  # else every thread that waits for a picture would decode it


def open_image(path: str, verify: bool = True) -> Source:
    """Open a picture file.

    Parameters
    ----------
    path : str
        A local file.
    verify : bool
        Decode it now, so that damage is told at once; the pixels stay at hand for the first reads.

    Raises
    ------
    SlideError
        If it is no picture, damaged, truncated, or larger than a field can be.
    """
    image = _open(path)
    with image:
        width, height = image.size
        try:
            turned = image.getexif().get(0x0112) in _SIDEWAYS
        except Exception as error:  # a PNG is decoded for it, for its EXIF may stand at the end
            raise SlideError(
                f"cannot be decoded ({error})", "The file is damaged or truncated: copy it again.", path
            ) from error
        if turned:
            width, height = height, width
        dpi = image.info.get("dpi")
    pixels = FieldPixels(height, width, path)
    if verify:
        pixels.region(0, 1, 0, 1)
    try:
        mpp = plausible(25400 / float(dpi[0])) if dpi and dpi[0] else None
    except (TypeError, ValueError, ZeroDivisionError):
        mpp = None
    return Source([pixels], mpp)


def read_picture(file: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture file whole, as a slide of it shows it: 16 bits scaled, transparent places white, EXIF's turn done.

    Returns
    -------
    uint8 array (Y, X, 3)

    Raises
    ------
    SlideError
        If it is missing, no picture, damaged, truncated, or larger than a field can be.
    """
    path = os.fspath(file)
    if not os.path.isfile(path):
        raise SlideError("no such file", "Check the path.", path)
    pixels = open_image(path, verify=False).levels[0]
    return pixels.region(0, pixels.shape[0], 0, pixels.shape[1])


def _open(path: str) -> Image.Image:
    """Read the header, refusing what Pillow thinks would exhaust memory."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", ResourceWarning)
            return Image.open(path)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise SlideError(
            f"a picture of more than {limit:.0f} million pixels, too large to be decoded whole",
            "Convert it to a tiled pyramidal TIFF (bfconvert, or vips tiffsave --tile --pyramid).",
            path,
        ) from error
    except Exception as error:  # Pillow's plugins raise many classes on damaged headers
        raise SlideError(
            "not a picture that can be read", "Give a JPG, PNG, BMP, TIFF or a slide's own file.", path
        ) from error


class FieldPixels(Pixels):
    """A picture's pixels, decoded whole when first read; the last few pictures stay in memory.

    Parameters
    ----------
    height, width : int
        Size as shown, px.
    path : str
        A local file.
    """

    def __init__(self, height: int, width: int, path: str) -> None:
        super().__init__(height, width, (1024, 1024), path)
        self._stamp = os.stat(path).st_mtime_ns

    def _region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8]:
        with _decoding[hash(self.file) % len(_decoding)]:
            pixels = _decode(self.file, self._stamp)
        if pixels.shape != self.shape:
            raise SlideError("the picture changed while it was open", "Open it again.", self.file)
        return pixels[y0:y1, x0:x1].copy()


@lru_cache(maxsize=4)
def _decode(path: str, _stamp: int) -> NDArray[np.uint8]:
    with _open(path) as image:
        shown = ImageOps.exif_transpose(image)
        return _rgb(shown)


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Convert a picture of any mode."""
    if "transparency" in image.info or image.mode in ("PA", "LA", "La", "RGBa"):
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        return Color("rgb", alpha=True).rgb(np.asarray(image))
    if image.mode.startswith("I") or image.mode == "F":
        raw: NDArray[Any] = np.asarray(image)[..., None]
        if image.mode == "F":
            low, high = sample_range(raw.dtype, sample=raw)
        else:  # Pillow holds 16-bit grey in "I;16" or in 32-bit "I"
            low, high = 0.0, 65535.0
        return Color("grey", low=low, high=high).rgb(raw)
    return np.asarray(image.convert("RGB"))
