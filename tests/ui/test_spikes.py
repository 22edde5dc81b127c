"""The Spikes widget in a real viewer: spikes where the cells are, time on the slider, one line without an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spiking import untrained

from leukoscope.segmentation.spike import spike_edges, spike_raster
from leukoscope.ui import session_of
from leukoscope.ui._napari import camera
from leukoscope.ui.spikes import EDGES_NAME, tile_in_view


@pytest.fixture(scope="module")
def segmenter() -> Any:
    return untrained()


@pytest.fixture
def widget(viewer: Any, smear: Path, segmenter: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("leukoscope.ui.spikes.get_segmenter", lambda name: segmenter)
    _, widget = viewer.window.add_plugin_dock_widget("leukoscope", "Spikes")
    viewer.open(smear, plugin="leukoscope")
    return widget


def look_at(viewer: Any, place: tuple[float, float]) -> None:
    camera(viewer).center = (0.0, *place)


def corner_um(layer: Any) -> np.ndarray:
    """Give the outer corner of a layer's first pixel, world coordinates."""
    return np.asarray(layer.data_to_world(np.array([0.0, *(-0.5,) * 2])[-layer.ndim :]))[-2:]


def test_spikes_play_over_the_place_in_view(viewer: Any, widget: Any, segmenter: Any) -> None:
    slide = viewer.layers[0]
    look_at(viewer, (100.0, 120.0))
    widget.show_spikes.click()
    layer = viewer.layers["spikes: join1"]
    assert layer.data.shape == (4, 128, 128)
    assert layer.data.any()
    assert viewer.dims.range[0][:2] == (0, 3)
    assert viewer.dims.current_step[0] == 0
    assert viewer.dims.axis_labels[0] == "t"
    np.testing.assert_allclose(layer.scale, (1, 0.5, 0.5))
    # 64 µm around the center; napari counts from the center of the slide's first pixel
    np.testing.assert_allclose(corner_um(layer), (68, 88), atol=0.25)
    assert layer.colormap.name == "magma"
    assert viewer.layers.selection.active is slide
    assert tuple(camera(viewer).center)[-2:] == (100.0, 120.0)

    y, x = (round(v) for v in slide.world_to_data(corner_um(layer)) + 0.5)
    rgb = np.asarray(slide.data[0])
    raster = spike_raster(rgb[y : y + 256, x : x + 256], 0.25, segmenter, segmenter.calibrate(rgb))
    assert np.array_equal(layer.data, raster.spikes["join1"].sum(axis=1))
    assert f"{int(raster.counts()['join1'].sum()):,} spikes" in widget.status.text()


def test_another_layer_lies_on_the_same_tile_with_its_own_pitch(viewer: Any, widget: Any) -> None:
    look_at(viewer, (100.0, 120.0))
    widget.show_spikes.click()
    widget.network_layer.setCurrentText("wide1")
    widget.show_spikes.click()
    fine, coarse = viewer.layers["spikes: join1"], viewer.layers["spikes: wide1"]
    np.testing.assert_allclose(coarse.scale, (1, 2, 2))
    np.testing.assert_allclose(corner_um(fine), corner_um(coarse))
    look_at(viewer, (60.0, 60.0))
    widget.show_spikes.click()
    assert [layer.name for layer in viewer.layers].count("spikes: wide1") == 1
    np.testing.assert_allclose(corner_um(viewer.layers["spikes: wide1"]), (28, 28), atol=0.25)


def test_at_the_border_the_tile_is_what_there_is(viewer: Any, widget: Any) -> None:
    look_at(viewer, (2.0, 120.0))
    widget.show_spikes.click()
    layer = viewer.layers["spikes: join1"]
    assert layer.data.shape == (4, 68, 128)
    np.testing.assert_allclose(corner_um(layer)[0], -0.125)


def test_the_edge_code_is_an_overlay_that_claims_nothing(viewer: Any, widget: Any) -> None:
    look_at(viewer, (100.0, 120.0))
    widget.edge_code.click()
    layer = viewer.layers[EDGES_NAME]
    tile = tile_in_view(viewer)
    assert tile.rgb.shape == (256, 256, 3)
    np.testing.assert_allclose(layer.data, spike_edges(tile.rgb))
    np.testing.assert_allclose(corner_um(layer), (68, 88), atol=0.25)
    assert "no segmentation" in layer.name


def test_glass_shows_no_spikes(viewer: Any, widget: Any) -> None:
    viewer.layers.clear()
    viewer.add_image(np.full((300, 300, 3), 235, np.uint8), scale=(0.25, 0.25), units=("µm", "µm"))
    widget.show_spikes.click()
    assert not viewer.layers["spikes: join1"].data.any()
    assert "no spikes" in widget.status.text()


def test_a_picture_without_scale_is_measured(viewer: Any, widget: Any) -> None:
    rgb = np.array(viewer.layers[0].data[0])
    viewer.layers.clear()
    viewer.add_image(rgb)
    tile = tile_in_view(viewer)
    assert tile.mpp == pytest.approx(0.25, rel=0.2)
    widget.show_spikes.click()
    layer = viewer.layers["spikes: join1"]
    middle = corner_um(layer) + np.array(layer.data.shape[1:]) * layer.scale[1:] / 2
    np.testing.assert_allclose(middle, np.array(rgb.shape[:2]) / 2 - 0.5, atol=8)


def test_without_an_image_or_beside_it_one_line_tells(viewer: Any, widget: Any, notes: list[str]) -> None:
    look_at(viewer, (-50.0, 10.0))
    widget.show_spikes.click()
    assert "outside smear" in notes[-1]
    viewer.layers.clear()
    widget.edge_code.click()
    assert "no image in color" in notes[-1]
    assert len(notes) == 2
    assert session_of(viewer).slide is None
