"""Blasts by region, and the map of where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leukoscope.hematology import density_map
from leukoscope.ui.review_dock.density_layer import density_layer
from leukoscope.ui.review_dock.places import counted_cells, square_name


@pytest.fixture
def regions(dock: Any) -> Any:
    dock.show_tab(dock.regions)
    return dock.regions


def test_regions_add_up_to_the_count(regions: Any, session: Any) -> None:
    regions.compute()
    counts = session.case.differential()
    rows = regions.model.rows
    assert sum(int(row[1]) for row in rows) == counts.denominator
    assert sum(int(row[2]) for row in rows) == counts.blasts
    assert "chance" in regions.dispersion.text()


def test_one_square_leaves_nothing_to_compare(regions: Any) -> None:
    regions.side.setValue(5.0)
    regions.compute()
    assert len(regions.model.rows) == 1
    assert "one square" in regions.dispersion.text()


def test_a_region_that_drives_the_count_is_named_and_found(viewer: Any, regions: Any, session: Any) -> None:
    cells = session.case.cells
    left = list(cells["cell_id"][cells["x"] < cells["x"].median()])
    session.relabel(left, "blast")
    session.relabel(sorted(set(cells["cell_id"]) - set(left)), "lymphocyte")
    regions.side.setValue(0.11)
    regions.compute()
    assert regions.regions.dispersion.p < 0.05
    row = next(i for i, text in enumerate(regions.model.rows) if "drives" in text[-1])
    assert regions.model.rows[row][0] in regions.warning.text()
    regions.table.clicked.emit(regions.model.index(row, 0))
    y, x = np.asarray(viewer.scene.camera.center)[-2:] / 0.25
    side = 110 / 0.25  # px
    column, line = int(x // side), int(y // side)
    assert regions.model.rows[row][0] == square_name(line, column)


def test_squares_are_named_as_on_a_chessboard() -> None:
    assert [square_name(*at) for at in ((0, 0), (1, 2), (25, 9), (26, 0))] == ["A1", "B3", "Z10", "AA1"]


def test_the_map_lies_where_the_cells_are_and_goes_when_switched_off(viewer: Any, regions: Any, session: Any) -> None:
    regions.kind.setCurrentIndex(regions.kind.findData("per_mm2"))
    regions.map.click()
    layer = density_layer(session)
    case = session.case
    table = case.cells
    inside = table["label"] != "smudge"
    blasts = (table["label"] == "blast")[inside]
    expected = density_map(table["x_um"][inside], table["y_um"][inside], blasts)
    row, column = (round(at / 50) for at in np.subtract(np.add(layer.translate, 0.125), expected.origin))
    height, width = layer.data.shape
    assert (height, width) == (5, 5), "what lies beside the slide of 225 µm is cut off"
    np.testing.assert_allclose(layer.data, expected.per_mm2[row : row + height, column : column + width])
    densest = np.unravel_index(np.argmax(layer.data), layer.data.shape)
    at = np.asarray(layer.data_to_world(densest))
    middle = np.median(table[["y_um", "x_um"]].to_numpy(), axis=0)
    assert np.abs(at - middle).max() < 150
    assert viewer.layers.selection.active is session.cells
    before = np.nanmax(layer.data)
    session.relabel([1, 2, 3, 4], "smudge")
    regions.compute()
    assert np.nanmax(density_layer(session).data) < before
    regions.map.setChecked(False)
    assert density_layer(session) is None


def test_a_map_that_is_deleted_or_left_behind_is_switched_off(viewer: Any, regions: Any, session: Any) -> None:
    regions.map.setChecked(True)
    viewer.layers.remove(density_layer(session))
    assert not regions.map.isChecked()
    regions.map.setChecked(True)
    session.close_case()
    assert density_layer(session) is None
    assert not regions.map.isChecked()


def test_counted_cells_are_those_of_the_profile(session: Any) -> None:
    session.relabel([1, 2], "erythroblast")
    for name in ("blood", "marrow"):
        counts = session.case.differential(name)
        cells = counted_cells(session, counts.profile)
        assert (len(cells.x), int(cells.is_blast.sum())) == (counts.denominator, counts.blasts)
