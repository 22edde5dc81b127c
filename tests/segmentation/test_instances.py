"""Maps to cells: touching cells apart, lobes together, the rest out."""

from __future__ import annotations

import numpy as np
import pytest

from leukoscope.segmentation.instances import label_cells

MPP = 0.5
SHAPE = (120, 140)


def disks(*disks: tuple[float, float, float], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Draw disks (y, x, radius), all in µm, as a map with soft edges."""
    y, x = (np.indices(shape) + 0.5) * MPP
    inside = np.max([r - np.hypot(y - cy, x - cx) for cy, cx, r in disks], axis=0)
    return np.clip(0.5 + inside / MPP, 0, 1).astype(np.float32)


def count(nucleus: np.ndarray, cell: np.ndarray) -> int:
    cells, nuclei, scores = label_cells(nucleus, cell, MPP)
    ids = np.arange(1, len(scores) + 1)
    np.testing.assert_array_equal(np.unique(cells[cells > 0]), ids)
    np.testing.assert_array_equal(np.unique(nuclei[nuclei > 0]), ids)
    assert (cells[nuclei > 0] == nuclei[nuclei > 0]).all()
    return len(scores)


@pytest.mark.parametrize("gap", [-1.5, -0.5, 0.0, 1.0])
def test_touching_blasts_are_two_cells(gap: float) -> None:
    first, second = (30, 25, 5.5), (30, 36 + gap, 5.5)
    assert count(disks(first, second), disks((30, 25, 6.2), (30, 36 + gap, 6.2))) == 2


def test_a_ring_of_six_blasts_is_six_cells() -> None:
    ring = [(30 + 10.5 * np.sin(a), 35 + 10.5 * np.cos(a), 5.4) for a in np.arange(6) * np.pi / 3]
    nucleus = disks(*ring)
    assert count(nucleus, nucleus) == 6


@pytest.mark.parametrize("lobes", [2, 3, 4, 5])
def test_the_lobes_of_a_neutrophil_are_one_cell(lobes: int) -> None:
    places = [(30 + 3.4 * np.sin(a), 35 + 3.4 * np.cos(a), 1.8) for a in np.arange(lobes) * 1.25]
    assert count(disks(*places), disks((30, 35, 6.5))) == 1


def test_two_neutrophils_that_touch_are_two_cells() -> None:
    lobes = [(30 + dy, x + dx, 1.8) for x in (24, 37) for dy, dx in ((-3, 0), (2, -2.6), (2, 2.6))]
    assert count(disks(*lobes), disks((30, 24, 6.5), (30, 37, 6.5))) == 2


def test_platelets_and_debris_are_no_cells() -> None:
    specks = disks((10, 10, 1.2), (30, 40, 1.5), (50, 20, 0.6))
    assert count(specks, specks) == 0


def test_a_blot_of_stain_is_no_cell() -> None:
    blot = disks((60, 60, 30), shape=(240, 240))
    assert count(blot, blot) == 0


def test_cells_cut_by_the_border_stay() -> None:
    nucleus = disks((0, 20, 5), (30, 70, 5), (30, 35, 5))
    assert count(nucleus, nucleus) == 3


def test_cytoplasm_goes_to_its_own_nucleus() -> None:
    cells, _, _ = label_cells(disks((30, 24, 4), (30, 38, 4)), disks((30, 24, 7.2), (30, 38, 7.2)), MPP)
    assert cells[60, 36] == cells[60, 48] != cells[60, 76] == cells[60, 88]
    areas = np.bincount(cells.ravel())[1:]
    assert abs(areas[0] - areas[1]) < 0.05 * areas.mean()


def test_centers_decide_where_there_are_some() -> None:
    # A shape without any neck: only the learned inner parts can tell that it is two cells.
    nucleus = disks((30, 26, 5), (30, 28, 5), (30, 30, 5), (30, 32, 5), (30, 34, 5))
    assert count(nucleus, nucleus) == 1
    _, _, scores = label_cells(nucleus, nucleus, MPP, disks((30, 26, 2.5), (30, 34, 2.5)))
    assert len(scores) == 2
    # A nucleus that has no inner part anywhere near is not lost.
    lone = disks((30, 26, 5), (10, 55, 5))
    assert len(label_cells(lone, lone, MPP, disks((30, 26, 3)))[2]) == 2


def test_nothing_in_nothing_out() -> None:
    empty = np.zeros((7, 1), np.float32)
    cells, nuclei, scores = label_cells(empty, empty, MPP)
    assert cells.shape == nuclei.shape == (7, 1)
    assert scores.shape == (0,)
    assert not cells.any()
