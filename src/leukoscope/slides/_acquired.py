"""The day on which a file says that its slide was scanned, from each maker's own place for it.

Only headers of the main image are looked at, never label or macro images, and nothing there but the date.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree

import tifffile

__all__ = ["day_of", "openslide_day", "tiff_day"]

_EARLIEST = datetime.date(1995, 1, 1)  # no slide was scanned before; clocks that were never set are
_PATTERNS = (
    r"(?P<year>\d{4})([-/.:])(?P<month>\d{1,2})\2(?P<day>\d{1,2})(?!\d)",  # TIFF, ISO 8601
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})(?=\D|$|\d{6}(?:\D|$))",  # DICOM; a time may follow
    r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}|\d{2})(?!\d)",  # Aperio
)
_PROPERTIES = (
    "aperio.Date", "dicom.AcquisitionDateTime", "dicom.AcquisitionDate", "dicom.StudyDate", "hamamatsu.Created",
    "leica.creation-date", "mirax.GENERAL.SLIDE_CREATIONDATETIME", "mirax.GENERAL.SLIDE_UTC_CREATIONDATETIME",
    "philips.DICOM_ACQUISITION_DATETIME", "tiff.DateTime",
)  # fmt: skip

# what makers call an image, its pixels, their numbers across and down, and the image's date
_OME = ("Image", "Pixels", "SizeX", "SizeY", "AcquisitionDate")
_LEICA = ("image", "pixels", "sizeX", "sizeY", "creationDate")


def day_of(text: object) -> datetime.date | None:
    """Read the day at the beginning of a text.

    Parameters
    ----------
    text : object
        Such as ``2024:02:01 12:00:00`` (TIFF), ``2024-02-01T12:00:00Z``, ``20240201120000`` (DICOM) or ``02/01/24``
        (Aperio: month, day, year).

    Returns
    -------
    datetime.date or None
        None for anything else, for days that do not exist, are still to come, or are older than slide scanners.
    """
    stripped = str(text).strip().strip("\0\"'")
    for pattern in _PATTERNS:
        if found := re.match(pattern, stripped):
            year = int(found["year"])
            try:
                day = datetime.date(year + 2000 if year < 100 else year, int(found["month"]), int(found["day"]))
            except ValueError:
                return None
            # where it is a day later than here, tomorrow has begun
            return day if _EARLIEST <= day <= datetime.date.today() + datetime.timedelta(days=1) else None
    return None


def tiff_day(tif: tifffile.TiffFile, page: Any) -> datetime.date | None:
    """Read when a TIFF file's main image was scanned, None where the file does not say.

    Parameters
    ----------
    tif : tifffile.TiffFile
        The open file.
    page : tifffile.TiffPage or TiffFrame
        The first page of level 0.
    """
    frame = page.keyframe
    said: list[object] = []
    if tif.is_svs:
        said += re.findall(r"\|\s*Date\s*=\s*([^|]+)", frame.description or "")[:1]
    elif tif.is_ome:
        said += _xml_days(tif.ome_metadata or "", _OME, frame.imagewidth, frame.imagelength)
    elif tif.is_philips:
        said += re.findall(r'Name="DICOM_ACQUISITION_DATETIME"[^>]*>\s*"?(\d{8})', tif.philips_metadata or "")[:1]
    elif tif.is_scn:
        said += _xml_days(tif.scn_metadata or "", _LEICA, frame.imagewidth, frame.imagelength)
    return _first((*said, frame.tags.valueof("DateTime", "")))


def openslide_day(properties: Mapping[str, str]) -> datetime.date | None:
    """Read when a slide was scanned from the properties that OpenSlide gives."""
    return _first(properties.get(name, "") for name in _PROPERTIES)


def _first(said: Iterable[object]) -> datetime.date | None:
    return next((day for one in said if (day := day_of(one))), None)


def _xml_days(xml: str, names: tuple[str, str, str, str, str], width: int, height: int) -> list[str]:
    """Give the dates of the images with these sizes: a file's macro image has its own."""
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314  # expat refuses entity bombs since 2.4.1
    except ElementTree.ParseError:
        return []
    image, pixels, across, down, day = names
    size = {across: str(width), down: str(height)}
    return [
        date.text
        for found in root.iterfind(f".//{{*}}{image}")
        if any(size.items() <= each.attrib.items() for each in found.iterfind(f"{{*}}{pixels}"))
        for date in found.iterfind(f"{{*}}{day}")
        if date.text
    ]
