"""The Cells dock and the slide have one selection."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from leukoscope.ui.overlay import MARK, rgba

from .conftest import CELLS, cells, center, choose, chosen


def test_selecting_a_thumbnail_moves_the_camera_and_marks_the_cell(viewer: Any, gallery: Any, qtbot: Any) -> None:
    QTest.mouseClick(gallery.grid.viewport(), Qt.MouseButton.LeftButton, pos=center(gallery, 7))
    layer = gallery.session.cells
    assert layer.selected_data == {6}
    goal = layer.data_to_world(layer.data[6])
    qtbot.waitUntil(lambda: np.allclose(np.asarray(viewer.scene.camera.center)[-2:], goal))
    labels = gallery.session.overlay
    code = np.asarray(labels.data[0])[tuple(layer.data[6].round().astype(int))]
    np.testing.assert_allclose(labels.colormap.map(code), rgba(MARK), atol=1e-6)


def test_several_are_selected_with_shift_and_ctrl_and_the_camera_stays(viewer: Any, gallery: Any, qtbot: Any) -> None:
    order, port, left = cells(gallery), gallery.grid.viewport(), Qt.MouseButton.LeftButton
    QTest.mouseClick(port, left, pos=center(gallery, order[1]))
    qtbot.wait(100)
    before = tuple(viewer.scene.camera.center)
    QTest.mouseClick(port, left, Qt.KeyboardModifier.ShiftModifier, center(gallery, order[4]))
    assert chosen(gallery) == order[1:5]
    QTest.mouseClick(port, left, Qt.KeyboardModifier.ControlModifier, center(gallery, order[2]))
    assert chosen(gallery) == [order[1], *order[3:5]]
    QTest.mouseClick(port, left, Qt.KeyboardModifier.ControlModifier, center(gallery, order[8]))
    assert chosen(gallery) == [order[1], *order[3:5], order[8]]
    qtbot.wait(100)
    assert tuple(viewer.scene.camera.center) == before
    assert gallery.session.cells.selected_data == {cell - 1 for cell in chosen(gallery)}
    QTest.mouseClick(port, left, pos=center(gallery, order[6]))
    QTest.mouseClick(port, left, Qt.KeyboardModifier.ShiftModifier, center(gallery, order[3]))
    assert chosen(gallery) == order[3:7], "backward too"


def test_arrow_keys_walk_through_the_grid(gallery: Any) -> None:
    order, columns = cells(gallery), gallery.grid.columns
    choose(gallery, order[0])
    for key, at in ((Qt.Key.Key_Right, 1), (Qt.Key.Key_Down, 1 + columns), (Qt.Key.Key_Left, columns)):
        QTest.keyClick(gallery.grid, key)
        assert chosen(gallery) == [order[at]]
    QTest.keyClick(gallery.grid, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert chosen(gallery) == order[columns : columns + 2]
    QTest.keyClick(gallery.grid, Qt.Key.Key_End)
    assert chosen(gallery) == order[-1:]
    QTest.keyClick(gallery.grid, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert chosen(gallery) == order


def test_a_cell_selected_on_the_slide_is_selected_and_in_sight_here(gallery: Any) -> None:
    gallery.controls.zoom.setValue(256)
    last = cells(gallery)[-1]
    gallery.session.cells.selected_data = {last - 1}
    assert chosen(gallery) == [last]
    (place,) = gallery.model.places([last])
    assert place in gallery.grid.items_in_sight()
    gallery.session.cells.selected_data = set()
    assert chosen(gallery) == []


def test_a_click_on_a_cell_of_the_slide_selects_it(viewer: Any, gallery: Any) -> None:
    layer = gallery.session.cells
    assert str(layer.mode) == "pan_zoom"
    click(layer, layer.data_to_world(layer.data[4]))
    assert chosen(gallery) == [5]
    click(layer, layer.data_to_world(layer.data[8]), dragged=30.0)
    assert chosen(gallery) == [5], "that moved the view"
    click(layer, (-50.0, -50.0))
    assert chosen(gallery) == []


def click(layer: Any, place: Any, dragged: float = 0.0) -> None:
    """Do what napari does at a press, a move and a release of the mouse."""
    from types import SimpleNamespace

    event = SimpleNamespace(type="mouse_press", pos=(100.0, 100.0), position=tuple(place))
    (steps,) = [step for call in layer.mouse_drag_callbacks if (step := call(layer, event)) is not None]
    next(steps)
    event.type, event.pos = "mouse_move", (100.0 + dragged, 100.0)
    next(steps)
    event.type = "mouse_release"
    assert next(steps, None) is None


def test_a_selection_that_is_filtered_out_is_said_to_be(gallery: Any) -> None:
    QTest.mouseClick(gallery.chips.chips["blast"], Qt.MouseButton.LeftButton)
    other = next(c for c in range(1, CELLS + 1) if c not in cells(gallery))
    gallery.session.cells.selected_data = {other - 1}
    assert "filters leave it out" in gallery.status.text()
