"""TIFF and what is built on it: SVS, NDPI, SCN, QPTIFF, OME-TIFF, generic pyramids and flat files, through tifffile.

Segments (tiles or strips) are read under a lock and decoded outside it, so that threads decode side by side.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from leukoscope.errors import SlideError
from leukoscope.slides._acquired import tiff_day
from leukoscope.slides._pixels import Color, Pixels, Source, sample_range
from leukoscope.slides._tiffscale import tiff_mpp

__all__ = ["open_tiff"]

_ASIDE = ("label", "macro", "thumbnail", "map", "overview")  # may carry a patient's name; never touched
_RGB_DECODERS = {6, 7, 33005, 34712, 34892, 34933, 33007, 50001, 50002}  # hand out RGB for YCbCr files
_CHUNK = 1024
_STRIP_LIMIT = 2**30  # bytes of one decoded strip


def open_tiff(path: str) -> Source:
    """Open a TIFF file's main image with all its levels.

    Parameters
    ----------
    path : str
        A local file.

    Raises
    ------
    SlideError
        If the file is damaged, truncated, or holds nothing that can be shown as RGB.
    """
    try:
        tif = tifffile.TiffFile(path)
    except Exception as error:  # tifffile and struct raise many classes on damaged headers
        raise SlideError(f"not a readable TIFF file ({error})", "Copy or export the slide again.", path) from error
    try:
        series = _main_series(tif, path)
        handle = _Handle(tif)
        pages = [_pages_of(level, path) for level in series.levels]
        size = tif.filehandle.size
        for page in pages[0]:
            end = max((o + c for o, c in zip(page.dataoffsets, page.databytecounts, strict=False)), default=0)
            if end > size and page.parent is tif:
                raise SlideError(
                    f"truncated: {size:,} of at least {end:,} bytes", "Copy the file again from the scanner.", path
                )
        color = _color(pages[0], path)
        levels = [TiffPixels(handle, level, color, path) for level in pages]
        if np.dtype(pages[0][0].dtype).kind == "f":
            # What white is in a file of floats, only its pixels tell: a look at the middle of the smallest level.
            low, high = levels[-1].raw_range()
            levels = [TiffPixels(handle, level, replace(color, low=low, high=high), path) for level in pages]
        mpp, day = tiff_mpp(tif, series, pages[0][0]), tiff_day(tif, pages[0][0])
        return Source(levels, mpp, close=handle.close, acquired=day)
    except SlideError:
        tif.close()
        raise
    except Exception as error:
        tif.close()
        raise SlideError(
            f"damaged TIFF file ({type(error).__name__}: {error})", "Copy or export the slide again.", path
        ) from error


def _main_series(tif: tifffile.TiffFile, path: str) -> tifffile.TiffPageSeries:
    """Find the largest image that is not a label, macro or thumbnail."""
    if not len(tif.pages):
        raise SlideError("the TIFF file holds no image", "Copy or export the slide again.", path)
    series = [s for s in tif.series if "Y" in s.axes and "X" in s.axes]
    main = [s for s in series if not any(word in s.name.lower() for word in _ASIDE)] or series[:1]
    if not main:
        raise SlideError("the TIFF file holds no image", "Export the slide again.", path)
    return max(main, key=_area)


def _area(series: tifffile.TiffPageSeries) -> int:
    return int(series.shape[series.axes.index("Y")] * series.shape[series.axes.index("X")])


def _pages_of(level: tifffile.TiffPageSeries, path: str) -> list[Any]:
    """Pages that hold a level's channels: the middle of every other axis (focus, time)."""
    page = level.keyframe
    inner = page.axes  # of one page: Y X, Y X S or S Y X
    outer, shape = level.axes[: -len(inner)], level.shape[: -len(inner)]
    if not level.axes.endswith(inner):  # a squeezed or merged axis; the first page is what there is
        outer, shape = "", ()
    index: list[Any] = [slice(None) if axis in "CS" else n // 2 for axis, n in zip(outer, shape, strict=True)]
    count = int(np.prod(shape, dtype=int)) if shape else 1
    numbers = np.arange(count).reshape(shape)[tuple(index)].ravel() if shape else np.array([0])
    pages = [level.pages[int(n)] for n in numbers]
    if any(p is None for p in pages):
        raise SlideError("some planes of the image are missing", "Keep all files of the set in one folder.", path)
    return pages


def _color(pages: Sequence[Any], path: str) -> Color:
    """Say what a pixel's samples mean."""
    page = pages[0].keyframe
    samples = page.samplesperpixel * len(pages)
    photometric = int(page.photometric)
    extra = tuple(int(e) for e in page.extrasamples)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else None
    low, high = sample_range(np.dtype(page.dtype), bits)
    if photometric == 3 and page.colormap is not None:
        table = np.asarray(page.colormap)
        table = table >> 8 if table.max() > 255 else table
        return Color("palette", palette=np.ascontiguousarray(table.T.astype(np.uint8)))
    if photometric == 5 and samples >= 4:
        return Color("cmyk", low=low, high=high)
    if photometric in (0, 1) and (samples == 1 or extra):
        alpha: Any = _alpha(extra, samples, 1)
        if samples == 1 or alpha:
            return Color("grey", alpha, low, high, inverted=photometric == 0)
    if (samples == 3 and photometric not in (8, 9, 10)) or (samples > 3 and photometric in (2, 6)):  # 8 to 10: Lab
        raw_ycbcr = photometric == 6 and int(page.compression) not in _RGB_DECODERS
        kind: Any = "ycbcr" if raw_ycbcr or int(page.compression) == 33003 else "rgb"
        return Color(kind, _alpha(extra, samples, 3), low, high)
    raise SlideError(
        f"{samples} channels, which are not red, green and blue", "Export the image as RGB, one channel a color.", path
    )


def _alpha(extra: tuple[int, ...], samples: int, colors: int) -> Any:
    if samples <= colors or not extra:
        return False
    return {1: "premultiplied", 2: True}.get(extra[0], False)


class _Handle:
    """An open file that closes with the last level that uses it, however a slide is dropped."""

    def __init__(self, tif: tifffile.TiffFile) -> None:
        self.lock = threading.RLock()
        self.close = weakref.finalize(self, tif.close)


class TiffPixels(Pixels):
    """A level of a TIFF file."""

    def __init__(self, handle: _Handle, pages: Sequence[Any], color: Color, file: str) -> None:
        frame = pages[0].keyframe
        height, width = frame.imagelength, frame.imagewidth
        super().__init__(height, width, (_CHUNK, _CHUNK), file)
        self._handle, self._pages, self._color, self._lock = handle, pages, color, handle.lock
        self._planes = frame.samplesperpixel if frame.planarconfig == 2 else 1
        self._per_plane = 1 if frame.planarconfig == 2 else frame.samplesperpixel
        self._tile = (frame.tilelength, frame.tilewidth) if frame.is_tiled else (frame.rowsperstrip, width)
        self._tile = (min(self._tile[0], height) if not frame.is_tiled else self._tile[0], self._tile[1])
        self._down, self._across = -(-height // self._tile[0]), -(-width // self._tile[1])
        self._kept: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._maps: list[NDArray[Any]] | None = None
        if all(p.is_memmappable for p in pages) and not frame.is_tiled:
            self._maps = [self._map(p) for p in pages]
        elif frame.is_tiled:
            self.chunk = (self._fit(self._tile[0]), self._fit(self._tile[1]))
        else:
            self._check_strips(frame)
            rows = self._tile[0] * max(1, 512 // self._tile[0])
            self.chunk = (min(rows, height), width)

    def _check_strips(self, frame: Any) -> None:
        size = self._tile[0] * self._tile[1] * self._per_plane * np.dtype(frame.dtype).itemsize
        if size > _STRIP_LIMIT:
            raise SlideError(
                f"one compressed strip holds {size / 2**30:.1f} GB of pixels, which cannot be read in parts",
                "Convert the slide to a tiled pyramidal TIFF (bfconvert, or vips tiffsave --tile --pyramid).",
                self.file,
            )

    @staticmethod
    def _fit(tile: int) -> int:
        return tile * max(1, _CHUNK // tile)

    def _map(self, page: Any) -> NDArray[Any]:
        frame = page.keyframe
        plane = (self.shape[0], self.shape[1])
        shape = (self._planes, *plane) if frame.planarconfig == 2 else (*plane, self._per_plane)
        dtype = np.dtype(page.parent.byteorder + np.dtype(frame.dtype).char)
        mapped = np.memmap(page.parent.filehandle.path, dtype, "r", page.dataoffsets[0], shape)
        return np.moveaxis(mapped, 0, -1) if frame.planarconfig == 2 else mapped

    def _region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8]:
        return self._color.rgb(self._raw(y0, y1, x0, x1))

    def raw_range(self) -> tuple[float, float]:
        """Black and white of float samples, judged by the level's middle."""
        h, w = self.shape[:2]
        y, x = max(h // 2 - 512, 0), max(w // 2 - 512, 0)
        raw = self._raw(y, min(y + 1024, h), x, min(x + 1024, w))
        return sample_range(raw.dtype, sample=raw)

    def _raw(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        if self._maps is not None:
            parts = [m[y0:y1, x0:x1] for m in self._maps]
        else:
            parts = [self._read(i, y0, y1, x0, x1) for i in range(len(self._pages))]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def _read(self, number: int, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        """Paste the segments that touch a region; a segment that is not there is white."""
        frame = self._pages[number].keyframe
        white = 0 if self._color.inverted or self._color.kind in ("cmyk", "palette") else self._color.high
        out = np.full((y1 - y0, x1 - x0, self._planes * self._per_plane), white, frame.dtype)
        th, tw = self._tile
        for plane in range(self._planes):
            band = slice(plane, plane + 1) if self._planes > 1 else slice(None)
            for row in range(y0 // th, -(-y1 // th)):
                for column in range(x0 // tw, -(-x1 // tw)):
                    segment = self._segment(number, (plane * self._down + row) * self._across + column)
                    if segment is None:
                        continue
                    a, b = max(row * th, y0), min(row * th + segment.shape[0], y1)
                    c, d = max(column * tw, x0), min(column * tw + segment.shape[1], x1)
                    if a < b and c < d:
                        part = segment[a - row * th : b - row * th, c - column * tw : d - column * tw]
                        out[a - y0 : b - y0, c - x0 : d - x0, band] = part
        return out

    def _segment(self, number: int, index: int) -> NDArray[Any] | None:
        """Decode one tile or strip: (rows, columns, samples), or None where the file has none."""
        page = self._pages[number]
        frame = page.keyframe
        if not frame.is_tiled:
            with self._lock:
                kept = self._kept.get((number, index))
            if kept is not None:
                return kept
        offset, count = page.dataoffsets[index], page.databytecounts[index]
        if count == 0 or offset == 0:
            return None
        handle = page.parent.filehandle
        with self._lock:
            if handle.closed:
                raise SlideError("the slide was closed", "Open it again.", self.file)
            handle.seek(offset)
            data = handle.read(count)
        if len(data) < count:
            raise SlideError("truncated: a part of the image is missing", "Copy the file again.", self.file)
        options: dict[str, Any] = {}
        if int(frame.compression) in (6, 7, 34892, 33007):
            options = {"jpegtables": page.jpegtables, "jpegheader": frame.jpegheader}
        decoded = frame.decode(data, index, **options)[0]
        if decoded is None:
            return None
        segment: NDArray[Any] = decoded[0]
        if not frame.is_tiled:
            with self._lock:  # neighbors in a strip are asked for next
                self._kept[number, index] = segment
                while len(self._kept) > 1 and sum(s.nbytes for s in self._kept.values()) > 64 * 2**20:
                    self._kept.popitem(last=False)
        return segment
