"""The Spikes widget: what the spiking network does at the place in view, played by the time slider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from leukoscope.errors import SettingsError
from leukoscope.segmentation import Calibration, get_segmenter, guess_mpp, read_working, working_shape
from leukoscope.segmentation.spike import SpikeRaster, spike_edges, spike_raster
from leukoscope.segmentation.spike.unet import LAYERS

from ._napari import camera
from ._state import session_of
from .docks import Docked
from .layers import slide_of
from .notify import reporting_errors

if TYPE_CHECKING:
    import napari

    from leukoscope.segmentation.spike import SpikeSegmenter

__all__ = ["EDGES_NAME", "SpikesWidget", "Tile", "tile_in_view"]

TILE_UM = 64.0
AROUND_UM = 256.0  # what the white point is taken from
GUESS_PX = 1024  # what µm per pixel is estimated from where nothing tells
FIRST_SHOWN = "join1"
EDGES_NAME = "spike-edges (edge coder, no segmentation)"


@dataclass(frozen=True, eq=False)
class Tile:
    """A piece of a layer's finest level.

    Attributes
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
    origin : tuple of 2 int
        `(y, x)` of its corner in level-0 pixels.
    mpp : float
        µm per level-0 pixel.
    layer : Image
        Where it is from.
    """

    rgb: npt.NDArray[np.uint8]
    origin: tuple[int, int]
    mpp: float
    layer: Image

    def place(self, pitch: float) -> dict[str, Any]:
        """Give `scale`, `translate` and `units` of an image of this tile with a pixel every `pitch` level-0 pixels."""
        scale, shift = (np.asarray(v, float) for v in (self.layer.scale, self.layer.translate))
        # napari puts a pixel's center at its index, so the tile's corner is half a pixel before its first
        first = np.asarray(self.origin) - 0.5 + pitch / 2
        return {"scale": scale * pitch, "translate": shift + scale * first, "units": self.layer.units}


class SpikesWidget(Docked):
    """Shows the spikes of one layer of `spike-snn` over the place in view, and the edge code.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose image is looked at, and which gets the layers.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.session = session_of(napari_viewer)
        self._segmenter: SpikeSegmenter | None = None
        self.network_layer = QComboBox()
        self.network_layer.addItems(LAYERS)
        self.network_layer.setCurrentText(FIRST_SHOWN)
        self.network_layer.setToolTip("In firing order: stem sees the image, join1 is what the maps are read from")
        self.show_spikes = QPushButton("Show spikes here")
        self.show_spikes.setToolTip(f"Of the {TILE_UM:.0f} µm around the center of the view")
        self.show_spikes.clicked.connect(self.add_spikes)
        self.edge_code = QPushButton("Edge code")
        self.edge_code.setToolTip("Where the first spikes of a Gabor code fall; it marks edges and segments nothing")
        self.edge_code.clicked.connect(self.add_edges)
        self.status = QLabel("The center of the view is what is looked at.")
        self.status.setWordWrap(True)
        form = QFormLayout()
        form.addRow("Network layer", self.network_layer)
        buttons = QHBoxLayout()
        buttons.addWidget(self.show_spikes)
        buttons.addWidget(self.edge_code)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self.status)
        layout.addStretch()

    def add_spikes(self) -> None:
        """Add the spikes of the chosen network layer around the center of the view, in place of those before."""
        with reporting_errors():
            if self._segmenter is None:
                self._segmenter = get_segmenter("spike-snn")  # type: ignore[assignment]
            tile = tile_in_view(self.session.viewer)
            raster = spike_raster(tile.rgb, tile.mpp, self._segmenter, _calibration(tile, self._segmenter))
            self._show_raster(tile, raster, self.network_layer.currentText())

    def add_edges(self) -> None:
        """Add the edge code around the center of the view, in place of the one before."""
        with reporting_errors():
            tile = tile_in_view(self.session.viewer)
            edges = spike_edges(tile.rgb)
            self._add(edges, EDGES_NAME, contrast_limits=(0.0, max(1e-3, float(edges.max()))), **tile.place(1.0))
            self.status.setText("Edge code: the strongest fifteenth of the tile's edges, whatever it shows.")

    def _show_raster(self, tile: Tile, raster: SpikeRaster, name: str) -> None:
        spikes = raster.spikes[name]
        counts = spikes.sum(axis=1, dtype=np.uint8)
        place = tile.place(raster.pitch_um(name) / tile.mpp)
        self._add(
            counts,
            f"spikes: {name}",
            contrast_limits=(0, max(1, int(counts.max()))),
            scale=(1.0, *place["scale"]),
            translate=(0.0, *place["translate"]),
            units=("pixel", *place["units"]),
        )
        dims = self.session.viewer.dims
        dims.set_current_step(dims.ndim - 3, 0)
        dims.axis_labels = (*dims.axis_labels[:-3], "t", *dims.axis_labels[-2:])
        total = int(raster.counts()[name].sum())
        each = ", ".join(f"{n:,}" for n in raster.counts()[name])
        self.status.setText(
            f"{name}: {total:,} spikes of {spikes.shape[1]} maps ({each} in steps 0 to {raster.steps - 1}), "
            f"{100 * raster.rate()[name]:.2g} % of what all neurons could send. The slider is time."
            if total
            else f"{name}: no spikes. Nothing here is stained as a nucleus is."
        )

    def _add(self, data: npt.NDArray[Any], name: str, **options: Any) -> None:
        """Add an overlay in place of the one of its name; the view and the active layer stay what they were."""
        viewer = self.session.viewer
        view = camera(viewer)
        center, zoom = view.center, view.zoom
        active = viewer.layers.selection.active
        if name in viewer.layers:
            if active is viewer.layers[name]:
                active = None
            viewer.layers.remove(name)
        viewer.add_image(
            data, name=name, rgb=False, colormap="magma", blending="translucent_no_depth", opacity=0.75, **options
        )
        if active is not None:
            viewer.layers.selection.active = active
        view.center, view.zoom = center, zoom  # napari shows everything when time comes as the first axis


def tile_in_view(viewer: napari.Viewer) -> Tile:
    """Read the 64 µm around the center of the view from the active image, else from the slide or the first image.

    Raises
    ------
    SettingsError
        When there is no RGB image, or the view's center lies beside it.
    """
    layer = _image(viewer)
    level = _finest(layer)
    center = np.asarray(layer.world_to_data(np.asarray(camera(viewer).center, float)[-2:])) + 0.5
    if not (0 <= center[0] <= level.shape[0] and 0 <= center[1] <= level.shape[1]):
        raise SettingsError(f"the center of the view is outside {layer.name}", "Move a cell to the middle of the view.")
    mpp = _mpp(layer)
    if mpp is None:
        mpp, _ = guess_mpp(_read(level, center, GUESS_PX)[0])
    rgb, origin = _read(level, center, max(1, round(TILE_UM / mpp)))
    return Tile(rgb, origin, mpp, layer)


def _image(viewer: Any) -> Image:
    """Give the image that is meant: the active one, the case's slide, or the first."""
    for layer in (viewer.layers.selection.active, session_of(viewer).slide, *viewer.layers):
        if isinstance(layer, Image) and layer.rgb and layer.ndim == 2:
            return layer
    raise SettingsError("no image in color is open", "Open a slide with File, Open, or the sample.")


def _finest(layer: Image) -> Any:
    return layer.data[0] if layer.multiscale else layer.data


def _mpp(layer: Image) -> float | None:
    if all(str(unit) == "micrometer" for unit in layer.units):
        return float(layer.scale[-1])
    slide = slide_of(layer)
    return None if slide is None else slide.mpp


def _read(level: Any, center: npt.NDArray[np.float64], side: int) -> tuple[npt.NDArray[np.uint8], tuple[int, int]]:
    """Read the part of a square around a point that lies in the image, and tell where it begins."""
    first = [round(float(c) - side / 2) for c in center]
    y, x = (max(0, f) for f in first)
    bottom, right = (min(n, f + side) for n, f in zip(level.shape[:2], first, strict=True))
    return np.ascontiguousarray(np.asarray(level[y:bottom, x:right])[..., :3]), (y, x)


def _calibration(tile: Tile, segmenter: Any) -> Calibration | None:
    """Take the white point from a wider part of the slide than the tile, which one clump of cells may fill."""
    level = _finest(tile.layer)
    if tile.rgb.shape[:2] == tuple(level.shape[:2]):
        return None  # an image of its own, such as a cell that was cut out
    center = np.asarray(tile.origin) + np.asarray(tile.rgb.shape[:2]) / 2
    around, _ = _read(level, center, round(AROUND_UM / tile.mpp))
    step = segmenter.mpp / tile.mpp
    return segmenter.calibrate(read_working(around, step, (0, 0, *working_shape(around.shape, step))))
