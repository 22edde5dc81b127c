"""Smudges and large platelets are named as such."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from leukoscope.segmentation.kinds import KINDS, cell_kinds

MPP = 0.25
SIZE = 160
WHITE = (245.0, 245.0, 245.0)
BLUE_NUCLEUS = (0.5, 0.9, 0.15)  # optical density in red, green and blue
PALE_RED_STAIN = (0.13, 0.45, 0.12)


def drawn(
    radius_um: float,
    color: tuple[float, float, float],
    ragged: float = 0.0,
    at: tuple[int, int] = (80, 80),
    blur: float = 1.0,
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Draw one nucleus on glass; `ragged` is how far its edge wanders, a part of the radius."""
    y, x = np.indices((SIZE, SIZE)) - np.array(at)[:, None, None]
    angle = np.arctan2(y, x)
    wander = sum(np.sin(k * angle + k * k) for k in (3, 5, 8, 13)) / 4
    mask = np.hypot(y, x) < radius_um / MPP * (1 + ragged * wander)
    soft = ndimage.gaussian_filter(mask.astype(float), blur)
    rgb = np.array(WHITE) * 10.0 ** -(soft[..., None] * np.array(color))
    return rgb.astype(np.uint8), mask.astype(np.int32)


def kind(rgb: NDArray[np.uint8], cells: NDArray[np.int32], nuclei: NDArray[np.int32] | None = None) -> str:
    return cell_kinds(rgb, cells, cells if nuclei is None else nuclei, 1, WHITE, MPP)[0]


def test_a_round_blue_nucleus_is_a_cell() -> None:
    assert kind(*drawn(4.5, BLUE_NUCLEUS)) == "cell"


def test_a_ragged_pale_red_stain_without_an_edge_is_a_smudge() -> None:
    assert kind(*drawn(7, PALE_RED_STAIN, ragged=0.35, blur=3)) == "smudge"


def test_something_smaller_than_any_nucleus_is_a_platelet() -> None:
    rgb, core = drawn(2.5, BLUE_NUCLEUS)
    assert kind(rgb, ndimage.binary_dilation(core, iterations=3).astype(np.int32), core) == "platelet"


def test_a_cell_cut_by_the_border_is_no_platelet() -> None:
    rgb, core = drawn(4.5, BLUE_NUCLEUS, at=(-6, 80))
    assert core.sum() * MPP**2 < 24
    assert kind(rgb, core) == "cell"


def test_a_crop_of_nothing_but_a_cell_is_judged_too() -> None:
    rgb = np.full((40, 40, 3), (90, 40, 170), np.uint8)
    assert kind(rgb, np.ones((40, 40), np.int32)) in KINDS
    speck = np.zeros((40, 40), np.int32)
    speck[20, 20] = 1
    assert kind(rgb, speck, 0 * speck) == "platelet"


def test_each_of_several_is_judged_by_itself() -> None:
    first, a = drawn(4.5, BLUE_NUCLEUS, at=(35, 35))
    second, b = drawn(6, PALE_RED_STAIN, ragged=0.35, at=(110, 110), blur=3)
    rgb = np.minimum(first, second)
    assert cell_kinds(rgb, a + 2 * b, a + 2 * b, 2, WHITE, MPP) == ("cell", "smudge")
    assert cell_kinds(rgb, 0 * a, 0 * a, 0, WHITE, MPP) == ()


@pytest.mark.parametrize("mpp", [0.25, 0.5])
def test_the_verdict_holds_at_other_working_resolutions(mpp: float) -> None:
    step = round(mpp / MPP)
    for made, wanted in ((drawn(4.5, BLUE_NUCLEUS), "cell"), (drawn(7, PALE_RED_STAIN, 0.35, blur=3), "smudge")):
        rgb, cells = (np.ascontiguousarray(a[::step, ::step]) for a in made)
        assert cell_kinds(rgb, cells, cells, 1, WHITE, mpp) == (wanted,)
