"""The day of a scan in whole files, as Philips and Leica write them."""

from __future__ import annotations

import datetime

import numpy as np
import pytest
import tifffile

from leukoscope import open_slide
from leukoscope.slides._acquired import openslide_day

DAY = datetime.date(2016, 7, 18)
PIXELS = np.full((256, 256, 3), 230, np.uint8)

# The day of the scanner's calibration stands beside that of the scan, and before it.
PHILIPS = """<?xml version="1.0" encoding="UTF-8" ?>
<DataObject ObjectType="DPUfsImport">
\t<Attribute Name="DICOM_DATE_OF_LAST_CALIBRATION" Group="0x0018" Element="0x1200" PMSVR="IStringArray">"20160717"</Attribute>
{said}\t<Attribute Name="DICOM_MANUFACTURER" Group="0x0008" Element="0x0070" PMSVR="IString">PHILIPS</Attribute>
\t<Attribute Name="PIM_DP_SCANNED_IMAGES" Group="0x301D" Element="0x1003" PMSVR="IDataObjectArray">
\t\t<Array>
\t\t\t<DataObject ObjectType="DPScannedImage">
\t\t\t\t<Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" Element="0x0030" PMSVR="IDoubleArray">"0.000226891" "0.000226907"</Attribute>
\t\t\t\t<Attribute Name="PIM_DP_IMAGE_TYPE" Group="0x301D" Element="0x1004" PMSVR="IString">WSI</Attribute>
\t\t\t</DataObject>
\t\t</Array>
\t</Attribute>
</DataObject>
"""  # noqa: E501
PHILIPS_DAY = (
    '\t<Attribute Name="DICOM_ACQUISITION_DATETIME" Group="0x0008" Element="0x002A" PMSVR="IString">{}</Attribute>\n'
)

# The macro image comes first.
LEICA = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
  <collection name="Leica_1" uuid="urn:uuid:1" sizeX="26564529" sizeY="76734331">
    <barcode>MDA=</barcode>
    <image name="image_0000000590" uuid="urn:uuid:2">
      <creationDate>{}</creationDate>
      <device model="Leica SCN400;Leica SCN" version="1.4.0.9691 2011/03/08 15:11:21;1.4.0.9691" />
      <pixels sizeX="128" sizeY="128"><dimension sizeX="128" sizeY="128" r="0" ifd="0" /></pixels>
      <view sizeX="26564529" sizeY="76734331" offsetX="0" offsetY="0" spacingZ="0" />
      <scanSettings><objectiveSettings><objective>0.6</objective></objectiveSettings></scanSettings>
    </image>
    <image name="image_0000000591" uuid="urn:uuid:3">
      <creationDate>{}</creationDate>
      <device model="Leica SCN400;Leica SCN" version="1.4.0.9691 2011/03/08 15:11:21;1.4.0.9691" />
      <pixels sizeX="256" sizeY="256">
        <dimension sizeX="256" sizeY="256" r="0" ifd="1" />
        <dimension sizeX="64" sizeY="64" r="1" ifd="2" />
      </pixels>
      <view sizeX="64000" sizeY="64000" offsetX="5000" offsetY="9000" spacingZ="0" />
      <scanSettings><objectiveSettings><objective>20</objective></objectiveSettings></scanSettings>
    </image>
  </collection>
</scn>"""


def write_philips(path, said, tag=None):
    with tifffile.TiffWriter(path) as tif:
        for shape, text in ((256, PHILIPS.format(said=said)), (128, "level=1")):
            tif.write(
                PIXELS[:shape, :shape], photometric="rgb", tile=(64, 64), metadata=None, description=text,
                software="Philips DP v1.0", subfiletype=0 if shape == 256 else 1,
                extratags=() if tag is None else ((306, 2, len(tag) + 1, tag, True),),
            )  # fmt: skip


def write_leica(path, macro, main):
    with tifffile.TiffWriter(path) as tif:
        for i, size in enumerate((128, 256, 64)):
            tif.write(
                PIXELS[:size, :size], photometric="rgb", tile=(64, 64), metadata=None, software=False,
                description=LEICA.format(macro, main) if i == 0 else None,
            )  # fmt: skip


def test_a_philips_file_says_it_in_its_xml(tmp_path):
    path = tmp_path / "a.tiff"
    for said, tag, day in (
        (PHILIPS_DAY.format("20160718122300.000000"), None, DAY),
        (PHILIPS_DAY.format("20160718122300.000000"), "2020:01:01 00:00:00", DAY),
        (PHILIPS_DAY.format(""), None, None),
        ("", None, None),  # many have none; the calibration's is not taken for it
        ("", "2016:07:18 12:23:00", DAY),
    ):
        write_philips(path, said, tag)
        with open_slide(path) as slide:
            assert slide.acquired == day
            assert (slide.shape[:2], round(slide.mpp, 6)) == ((256, 256), 0.226891)


@pytest.mark.parametrize(
    ("macro", "main", "day"),
    [
        ("2016-07-18T08:01:12.125Z", "2016-07-18T08:03:40.250Z", DAY),
        ("2016-07-17T23:58:12.125Z", "2016-07-18T00:03:40.250Z", DAY),  # the slide's own, not its macro image's
        ("", "", None),
    ],
)
def test_a_leica_file_says_it_of_each_image(tmp_path, macro, main, day):
    path = tmp_path / "a.scn"
    write_leica(path, macro, main)
    with open_slide(path) as slide:
        assert slide.shape[:2] == (256, 256)
        assert slide.acquired == day


def test_openslide_says_it_for_both():
    said = {"philips.DICOM_ACQUISITION_DATETIME": "20160718122300.000000"}
    assert openslide_day(said | {"philips.DICOM_DATE_OF_LAST_CALIBRATION": '"20160717"'}) == DAY
    assert openslide_day({"leica.creation-date": "2016-07-18T08:03:40.250Z"}) == DAY
