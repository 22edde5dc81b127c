"""Outlines: where the pixels are, smooth, valid, and back again."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon

from leukoscope.segmentation import Masks, found_cells, rasterize


def ellipse(shape: tuple[int, int], y: float, x: float, a: float, b: float, turn: float) -> np.ndarray:
    dy, dx = np.indices(shape) + 0.5 - np.array([y, x])[:, None, None]
    u, v = dy * np.cos(turn) + dx * np.sin(turn), dx * np.cos(turn) - dy * np.sin(turn)
    return (u / a) ** 2 + (v / b) ** 2 <= 1


def masks_of(cell: np.ndarray, nucleus: np.ndarray) -> Masks:
    return Masks(cell.astype(np.int32), (nucleus & cell).astype(np.int32), np.ones(1, np.float32), 0.5, "given")


@given(
    y=st.floats(0, 60), x=st.floats(0, 60), a=st.floats(6, 18), ratio=st.floats(0.6, 1), turn=st.floats(0, 3),
    origin=st.tuples(st.integers(-5, 90000), st.integers(-5, 90000)), scale=st.sampled_from([1.0, 2.0, 4.7619]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_outlines_hold_what_the_masks_hold(
    y: float, x: float, a: float, ratio: float, turn: float, origin: tuple[int, int], scale: float
) -> None:
    cell = ellipse((60, 60), y, x, a, a * ratio, turn)
    nucleus = ellipse((60, 60), y, x, a / 2, a / 2, 0)
    if cell.sum() < 40 or (cell & nucleus).sum() < 12:
        return
    (found,) = found_cells(masks_of(cell, nucleus), origin, scale)
    assert found.cell.is_valid
    assert found.nucleus.is_valid
    assert found.nucleus.within(found.cell.buffer(1e-6 * scale))
    assert found.cell.area / scale**2 == pytest.approx(cell.sum(), rel=0.06)
    rows, columns = np.nonzero(cell)
    assert found.x / scale - origin[1] == pytest.approx(columns.mean() + 0.5, abs=0.3)
    assert found.y / scale - origin[0] == pytest.approx(rows.mean() + 0.5, abs=0.3)
    back = rasterize(found.cell, cell.shape, origin, scale)
    assert (back & cell).sum() / (back | cell).sum() > 0.93


def test_an_outline_does_not_depend_on_the_tile_it_was_cut_from() -> None:
    cell = np.pad(ellipse((40, 40), 20.2, 19.1, 12, 9, 0.4), 20)
    nucleus = np.pad(ellipse((40, 40), 20, 19, 6, 5, 0), 20)
    (one,) = found_cells(masks_of(cell, nucleus), (1000, 3000), 4.7619)
    (other,) = found_cells(masks_of(cell[7:, 11:], nucleus[7:, 11:]), (1007, 3011), 4.7619)
    assert one == other


def test_a_straight_edge_has_no_staircase() -> None:
    cell = np.tri(60, 60, dtype=bool) & ellipse((60, 60), 30, 30, 25, 25, 0)
    (found,) = found_cells(masks_of(cell, cell))
    # Along the diagonal the outline stays within a tenth of a pixel of a straight line.
    xy = shapely.get_coordinates(found.cell.exterior.segmentize(0.5))
    along = xy[(np.abs(xy[:, 0] - 30) < 10) & (np.abs(xy[:, 0] - xy[:, 1]) < 3)]
    assert len(along) > 20
    assert np.ptp(along[:, 0] - along[:, 1]) < 0.15


def test_lobes_make_a_nucleus_of_several_pieces() -> None:
    cell = ellipse((60, 60), 30, 30, 20, 20, 0)
    lobes = ellipse((60, 60), 30, 20, 5, 5, 0) | ellipse((60, 60), 30, 40, 5, 5, 0)
    (found,) = found_cells(masks_of(cell, lobes))
    assert found.nucleus.geom_type == "MultiPolygon"
    assert len(found.nucleus.geoms) == 2
    back = rasterize(found.nucleus, cell.shape)
    assert (back & lobes).sum() / (back | lobes).sum() > 0.9


def test_holes_survive_the_way_to_pixels() -> None:
    ring = Polygon([(0, 0), (20, 0), (20, 20), (0, 20)], [[(4, 4), (16, 4), (16, 16), (4, 16)]])
    assert rasterize(ring, (30, 30)).sum() == 256
    assert rasterize(ring, (10, 10), (5, 5)).sum() == 0
    assert rasterize(ring, (15, 15), scale=2.0).sum() == 64


def test_the_top_left_pixel_is_the_square_from_0_to_1() -> None:
    assert rasterize(Polygon([(0, 0), (1, 0), (1, 1), (0, 1)]), (3, 3)).nonzero() == (np.array([0]), np.array([0]))
