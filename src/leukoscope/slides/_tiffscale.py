"""µm per pixel of a TIFF file, from each maker's own place for it."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

import tifffile

__all__ = ["LENGTH_UM", "plausible", "tiff_mpp"]

_BOUNDS = (0.03, 5.0)  # µm/px a microscope can have; 72, 96 and 300 dpi lie far outside
LENGTH_UM = {
    "m": 1e6, "meter": 1e6, "cm": 1e4, "centimeter": 1e4, "mm": 1e3, "millimeter": 1e3, "in": 25400.0, "inch": 25400.0,
    "um": 1.0, "µm": 1.0, "μm": 1.0, "\\u00b5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0,
    "nm": 1e-3, "nanometer": 1e-3, "pm": 1e-6, "picometer": 1e-6, "angstrom": 1e-4, "å": 1e-4,
}  # fmt: skip
"""Units of length in µm, by the names that OME, OME-Zarr, ImageJ and makers use (lower case)."""


def plausible(mpp: float | None) -> float | None:
    """Return a microscope's µm/px, None for anything that cannot be one."""
    if mpp is None or not math.isfinite(mpp):
        return None
    return mpp if _BOUNDS[0] <= mpp <= _BOUNDS[1] else None


def tiff_mpp(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, page: Any) -> float | None:
    """µm per level-0 pixel of a series, or None where the file does not say.

    Parameters
    ----------
    tif : tifffile.TiffFile
        The open file.
    series : tifffile.TiffPageSeries
        Its main image.
    page : tifffile.TiffPage or TiffFrame
        The first page of level 0.
    """
    frame = page.keyframe
    description = frame.description or ""
    if tif.is_svs:
        found = re.search(r"\bMPP\s*=\s*([0-9.]+)", description)
        return plausible(_number(found))  # Aperio writes no resolution tags that mean anything
    if tif.is_ome:
        return plausible(_ome(tif.ome_metadata or "", frame.imagewidth, frame.imagelength))
    if tif.is_philips:
        found = re.search(r'DICOM_PIXEL_SPACING"[^>]*>[^0-9]*([0-9.eE+-]+)', tif.philips_metadata or "")
        spacing = _number(found)
        return plausible(None if spacing is None else spacing * 1000)
    resolution = _tag(frame, "XResolution")
    if tif.is_imagej:
        unit = str((tif.imagej_metadata or {}).get("unit", "")).lower()
        if unit in LENGTH_UM and resolution:
            return plausible(LENGTH_UM[unit] / resolution)
    unit_tag = frame.tags.valueof("ResolutionUnit", 1)
    per_unit = {2: 25400.0, 3: 10000.0}.get(int(unit_tag))
    return plausible(per_unit / resolution) if per_unit and resolution else None


def _number(found: re.Match[str] | None) -> float | None:
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _tag(frame: Any, name: str) -> float | None:
    value = frame.tags.valueof(name)
    if isinstance(value, tuple) and len(value) == 2 and value[1]:
        return float(value[0]) / float(value[1])
    return float(value) if isinstance(value, (int, float)) and value else None


def _ome(xml: str, width: int, height: int) -> float | None:
    """PhysicalSizeX, in µm, of the image with these sizes."""
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314  # expat refuses entity bombs since 2.4.1
    except ElementTree.ParseError:
        return None
    for pixels in root.iter():
        if not pixels.tag.endswith("}Pixels") and pixels.tag != "Pixels":
            continue
        size = pixels.get("PhysicalSizeX")
        if size and (pixels.get("SizeX"), pixels.get("SizeY")) == (str(width), str(height)):
            unit = pixels.get("PhysicalSizeXUnit", "µm").strip().lower()
            try:
                return float(size) * LENGTH_UM[unit]
            except (ValueError, KeyError):
                return None
    return None
