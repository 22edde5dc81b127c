"""The day of a scan, from each place where a file keeps it."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
import tifffile

from leukoscope import open_slide
from leukoscope.slides._acquired import day_of, openslide_day

DAY = datetime.date(2024, 2, 1)
PIXELS = np.full((64, 64, 3), 230, np.uint8)


@pytest.mark.parametrize(
    "text",
    [
        "2024:02:01 12:00:00",
        "2024-02-01T12:00:00Z",
        "20240201",
        "20240201093000.000000+0100",
        "2024/02/01",
        "02/01/24",
        "02/01/2024",
        " 2024:2:1\0",
    ],
)
def test_a_day_is_read_as_each_maker_writes_it(text):
    assert day_of(text) == DAY


@pytest.mark.parametrize(
    "text",
    [
        "",
        None,
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2024:02:30 10:00:00",
        "1970-01-01T00:00:00",
        "2999-01-01",
        "13/01/24",
        "yesterday",
        "Patient 20240201",
        "20240201123456789012345",
        "12345",
        (datetime.date.today() + datetime.timedelta(days=3)).isoformat(),
    ],
)
def test_what_is_no_day_of_a_scan_is_none(text):
    assert day_of(text) is None


def test_a_tiff_file_says_when_it_was_scanned(tmp_path):
    path = tmp_path / "a.tif"
    for written, read in (("2024:02:01 08:30:00", DAY), ("0000:00:00 00:00:00", None), (None, None)):
        tifffile.imwrite(path, PIXELS, photometric="rgb", datetime=None, extratags=_tag(306, written))
        with open_slide(path) as slide:
            assert slide.acquired == read


def test_an_aperio_file_says_it_in_its_description(tmp_path):
    said = "Aperio Image Library v11.2.1\r\n64x64 (256x256) RGB|AppMag = 40|MPP = 0.2500|Date = {}|Time = 09:59:15"
    path = tmp_path / "a.svs"
    for written, read in (("02/01/24", DAY), ("31/31/24", None)):
        tifffile.imwrite(path, PIXELS, photometric="rgb", description=said.format(written), metadata=None)
        with open_slide(path) as slide:
            assert (slide.mpp, slide.acquired) == (0.25, read)


def test_an_ome_file_says_it_of_each_image(tmp_path):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        scale = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm"}
        tif.write(PIXELS[:32, :32], photometric="rgb", metadata={"AcquisitionDate": "2001-01-01T00:00:00", **scale})
        tif.write(PIXELS, photometric="rgb", metadata={"AcquisitionDate": "2024-02-01T09:00:00", **scale})
    with open_slide(path) as slide:
        assert slide.shape == (64, 64)
        assert slide.acquired == DAY


def test_openslide_hands_on_what_makers_say():
    assert openslide_day({"dicom.StudyDate": "20240201", "dicom.PatientName": "2020-01-01"}) == DAY
    assert openslide_day({"hamamatsu.Created": "2024/02/01", "tiff.DateTime": "2024:02:03 00:00:00"}) == DAY
    assert openslide_day({"aperio.Date": "", "tiff.DateTime": "2024:02:01 00:00:00"}) == DAY
    assert openslide_day({"openslide.vendor": "trestle"}) is None


def _tag(code, text):
    return () if text is None else ((code, 2, len(text) + 1, text, True),)
