"""OME-Zarr 0.4 and 0.5, in a local folder or behind any fsspec address."""

from __future__ import annotations

from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from leukoscope.errors import SlideError
from leukoscope.slides._pixels import Color, Pixels, Source, sample_range
from leukoscope.slides._tiffscale import LENGTH_UM, plausible

__all__ = ["open_omezarr"]

_REMEDY = "Give the folder that holds the image's multiscales metadata (OME-Zarr 0.4 or 0.5)."


def open_omezarr(address: str) -> Source:
    """Open an OME-Zarr image.

    Parameters
    ----------
    address : str
        A local folder, or an address such as ``https://…``, ``s3://…`` or ``memory://…``.

    Raises
    ------
    SlideError
        If there is no OME-Zarr image with red, green and blue channels.
    """
    try:
        group, multiscale = _multiscale(address)
        datasets = multiscale["datasets"]
        arrays = [_array(group, d["path"]) for d in datasets]
        axes = _axes(multiscale, arrays[0].ndim)
        color = _color(arrays, axes, address)
        levels = [ZarrPixels(a, axes, color, address) for a in arrays]
        return Source(levels, _mpp(multiscale, axes))
    except SlideError:
        raise
    except ImportError as error:
        raise SlideError(
            f"this kind of address needs another package ({error})", "Install what is named.", address
        ) from error
    except Exception as error:  # stores and codecs raise what their libraries raise
        raise SlideError(f"no readable OME-Zarr image ({type(error).__name__}: {error})", _REMEDY, address) from error


def _multiscale(address: str) -> tuple[zarr.Group, dict[str, Any]]:
    """Find the image: here, or in the first series of a bioformats2raw folder."""
    group = zarr.open_group(address, mode="r")
    for inner in (None, "0"):
        if inner is not None:
            if inner not in group or not isinstance(group[inner], zarr.Group):
                break
            group = group[inner]  # type: ignore[assignment]
        attributes: dict[str, Any] = dict(group.attrs)
        ome = attributes.get("ome")
        found = (ome if isinstance(ome, dict) else attributes).get("multiscales")
        if found:
            return group, found[0]
        if "plate" in attributes or (isinstance(ome, dict) and "plate" in ome):
            raise SlideError("a plate of many wells", "Give the folder of one image in it.", address)
    raise SlideError("a Zarr folder without multiscales metadata", _REMEDY, address)


def _array(group: zarr.Group, path: str) -> zarr.Array[Any]:
    found = group[path]
    if not isinstance(found, zarr.Array):
        raise TypeError(f"{path} is no array")
    return found


def _axes(multiscale: dict[str, Any], ndim: int) -> str:
    """Axes as letters, such as ``tczyx``."""
    names = [str(a["name"] if isinstance(a, dict) else a).lower() for a in multiscale.get("axes", "tczyx"[-ndim:])]
    axes = "".join(n[:1] for n in names)
    if len(axes) != ndim or axes.count("y") != 1 or axes.count("x") != 1:
        raise ValueError(f"axes {names}")
    return axes


def _color(arrays: list[Any], axes: str, address: str) -> Color:
    array = arrays[0]
    channels = array.shape[axes.index("c")] if "c" in axes else 1
    kinds: dict[int, tuple[Any, bool]] = {1: ("grey", False), 3: ("rgb", False), 4: ("rgb", True)}
    if channels not in kinds:
        raise SlideError(f"{channels} channels, which are not red, green and blue", "Export the image as RGB.", address)
    sample = None
    if array.dtype.kind == "f":  # only the pixels tell what white is
        small = ZarrPixels(arrays[-1], axes, Color("grey"), address)
        sample = small.raw(0, min(1024, small.shape[0]), 0, min(1024, small.shape[1]))
    low, high = sample_range(np.dtype(array.dtype), sample=sample)
    kind, alpha = kinds[channels]
    return Color(kind, alpha, low, high)


def _mpp(multiscale: dict[str, Any], axes: str) -> float | None:
    """µm per level-0 pixel along x; None without a unit, for then the scale means nothing."""
    entries = multiscale.get("axes", [])
    entry = entries[axes.index("x")] if entries else None
    unit = str(entry.get("unit", "")).lower() if isinstance(entry, dict) else ""
    if unit not in LENGTH_UM:
        return None
    scale = 1.0
    for transforms in (
        multiscale["datasets"][0].get("coordinateTransformations"),
        multiscale.get("coordinateTransformations"),
    ):
        for transform in transforms or ():
            if transform.get("type") == "scale":
                scale *= float(transform["scale"][axes.index("x")])
    return plausible(scale * LENGTH_UM[unit])


class ZarrPixels(Pixels):
    """A level of an OME-Zarr image; the middle of the axes that are not y, x or c."""

    def __init__(self, array: zarr.Array[Any], axes: str, color: Color, file: str) -> None:
        chunks = array.shards or array.chunks
        self._array, self._axes, self._color = array, axes, color
        at = {axis: i for i, axis in enumerate(axes)}
        fit = [max(1, 1024 // chunks[at[a]]) * chunks[at[a]] for a in "yx"]
        super().__init__(array.shape[at["y"]], array.shape[at["x"]], (fit[0], fit[1]), file)

    def _region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[np.uint8]:
        return self._color.rgb(self.raw(y0, y1, x0, x1))

    def raw(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        """Read samples as they are, (rows, columns, channels)."""
        spans: dict[str, Any] = {"y": slice(y0, y1), "x": slice(x0, x1), "c": slice(None)}
        index = tuple(spans.get(a, n // 2) for a, n in zip(self._axes, self._array.shape, strict=True))
        part = np.asarray(self._array[index])
        left = [a for a in self._axes if a in "yxc"]
        if "c" not in left:
            part, left = part[..., None], [*left, "c"]
        return np.transpose(part, [left.index(a) for a in "yxc"])
