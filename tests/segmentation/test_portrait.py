"""A picture cut around one object: a platelet in its middle is outlined, as anywhere else it is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from leukoscope.segmentation import Calibration, get_segmenter

MPP = 0.1
GLASS, PLATELET, RED_CELL = (235, 232, 228), (125, 80, 160), (205, 140, 130)


def picture(side_um: float, *disks: tuple[float, float, float, tuple[int, int, int]]) -> NDArray[np.uint8]:
    """Draw disks, (y, x, radius in µm, color), a little out of focus."""
    n = round(side_um / MPP)
    y, x = np.mgrid[:n, :n] * MPP
    rgb = np.full((n, n, 3), GLASS, float)
    for cy, cx, radius, color in disks:
        rgb[np.hypot(y - cy, x - cx) < radius] = color
    return np.rint(ndimage.gaussian_filter(rgb, (2, 2, 0))).astype(np.uint8)


@pytest.mark.parametrize("name", ["spike", "watershed"])
def test_the_platelet_a_picture_was_cut_around_is_outlined(name: str) -> None:
    masks = get_segmenter(name).segment(picture(20, (10, 10, 2.2, PLATELET)), MPP)
    assert masks.kinds == ("platelet",)
    assert masks.cells[100, 100] == masks.nuclei[100, 100] == 1
    assert np.count_nonzero(masks.cells) * MPP**2 == pytest.approx(np.pi * 2.2**2, rel=0.35)
    assert not masks.nuclei[masks.cells == 0].any()


@pytest.mark.parametrize("name", ["spike", "watershed"])
def test_elsewhere_platelets_are_left_out(name: str) -> None:
    segmenter = get_segmenter(name)
    assert len(segmenter.segment(picture(20, (5, 5, 2.2, PLATELET)), MPP)) == 0
    assert len(segmenter.segment(picture(60, (30, 30, 2.2, PLATELET)), MPP)) == 0
    tile = picture(20, (10, 10, 2.2, PLATELET))
    assert len(segmenter.segment(tile, MPP, Calibration(GLASS, segmenter.calibrate(tile).numbers))) == 0


@pytest.mark.parametrize("name", ["spike", "watershed"])
def test_nothing_is_made_up_in_the_middle(name: str) -> None:
    segmenter = get_segmenter(name)
    for disks in ([], [(10, 10, 3.6, RED_CELL)], [(10, 10, 0.7, PLATELET)], [(10, 1, 2.2, PLATELET)]):
        assert len(segmenter.segment(picture(20, *disks), MPP)) == 0
