"""What a spiking network does with an image: which neuron fires where, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...errors import SettingsError
from .._resample import working_shape
from ..base import Calibration, known_mpp
from .coding import DENSITY_STEP
from .gate import BLOCK_UM

if TYPE_CHECKING:
    from .segmenter import SpikeSegmenter

__all__ = ["LARGEST_PX", "SpikeRaster", "spike_raster"]

Spikes = NDArray[np.bool_]

LARGEST_PX = 512  # working px a side: what one keeps of every neuron and step fits into memory


@dataclass(frozen=True, eq=False)
class SpikeRaster:
    """The spikes that a network sends for one image.

    Attributes
    ----------
    layers : tuple of str
        Names of the spiking layers, in the order in which they fire.
    spikes : mapping of str to ndarray of bool, shape (T, maps, y, x)
        Every layer's spikes on its own grid, whose corner is the image's; it may reach beyond the image by up to 7
        working pixels of empty glass. Steps count from the beginning of a layer's own window in `spike-snn`, whose
        layers fire one after the other, and from that of the image in `spike-rstdp`.
    gate : ndarray of bool, shape (Y, X)
        In which blocks of 2 µm neurons may fire.
    mpp : float
        The working resolution, µm per pixel.
    image_mpp : float
        That of the image, as it was taken to be.
    shape : tuple of 2 int
        Height and width of the image, px.
    """

    layers: tuple[str, ...]
    spikes: Mapping[str, Spikes]
    gate: NDArray[np.bool_]
    mpp: float
    image_mpp: float
    shape: tuple[int, int]

    @property
    def steps(self) -> int:
        """T, time steps."""
        return len(self.spikes[self.layers[0]])

    def pitch_um(self, layer: str) -> float:
        """Give the distance between neighboring neurons of a layer's map, µm."""
        return float(BLOCK_UM * self.gate.shape[0] / self._of(layer).shape[2])

    def counts(self) -> dict[str, NDArray[np.int64]]:
        """Count every layer's spikes in each time step.

        Returns
        -------
        dict of str to ndarray of int64, shape (T,)
        """
        return {name: np.count_nonzero(self.spikes[name], axis=(1, 2, 3)).astype(np.int64) for name in self.layers}

    def rate(self) -> dict[str, float]:
        """Give every layer's spikes per neuron and time step, 0..1; neurons where the gate is shut count, too."""
        return {name: float(self.spikes[name].mean()) for name in self.layers}

    def times(self, layer: str) -> NDArray[np.int64]:
        """Give when the neurons of a layer fire first.

        Returns
        -------
        ndarray of int64, shape (maps, y, x)
            0..T-1; T for those who never fire.
        """
        fired = self._of(layer)
        return np.where(fired.any(axis=0), fired.argmax(axis=0), self.steps)

    def at(self, y: float, x: float) -> dict[str, NDArray[np.int64]]:
        """Give the raster of one point: what one plots as neuron against time.

        Parameters
        ----------
        y, x : float
            Where, in pixels of the image; a pixel's center is at its index + 0.5.

        Returns
        -------
        dict of str to ndarray of int64, shape (n, 2)
            For every layer one row a spike, (neuron, t), sorted; the neurons are the layer's maps over this point.

        Raises
        ------
        SettingsError
            When the point is not in the image.
        """
        if not (0 <= y < self.shape[0] and 0 <= x < self.shape[1]):
            raise SettingsError(
                f"y {y}, x {x} is outside the image", f"Its size is {self.shape[0]} × {self.shape[1]} px."
            )
        rows = {}
        for name in self.layers:
            fired, px = self.spikes[name], self.pitch_um(name) / self.image_mpp
            row, column = min(int(y / px), fired.shape[2] - 1), min(int(x / px), fired.shape[3] - 1)
            rows[name] = np.argwhere(fired[:, :, row, column].T).astype(np.int64)
        return rows

    def _of(self, layer: str) -> Spikes:
        if layer not in self.spikes:
            raise SettingsError(f"there is no spiking layer {layer!r}", f"Choose one of {', '.join(self.layers)}.")
        return self.spikes[layer]


def spike_raster(
    rgb: NDArray[np.uint8],
    mpp: float | None = None,
    segmenter: SpikeSegmenter | None = None,
    calibration: Calibration | None = None,
) -> SpikeRaster:
    """Run a spiking network on an image and keep every spike.

    These are the very spikes that outlines come from: the image is brought to the working grid as for `segment`.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
        A cell or a tile, at any resolution; at most 512 × 512 working pixels (128 µm for `spike-snn`).
    mpp : float, optional
        Its µm per pixel; estimated without it.
    segmenter : SpikeSegmenter, optional
        Whose network; `spike-snn` by default. Of `spike-rstdp` there are the layers "input" (the coder's maps) and
        "output" (the first neuron of each class to fire); what it does where the gate is shut is left out.
    calibration : Calibration, optional
        That of the slide the image is from; else the image is its own slide.

    Returns
    -------
    SpikeRaster

    Raises
    ------
    SettingsError
        When `rgb` is no RGB image or too large, `mpp` no resolution, or the segmenter runs no spiking network.
    """
    mpp, _ = known_mpp(rgb, mpp)
    if segmenter is None:
        from .segmenter import SpikeSegmenter

        segmenter = SpikeSegmenter("snn")
    if getattr(segmenter, "network", None) not in ("snn", "rstdp"):
        name = getattr(segmenter, "name", type(segmenter).__name__)
        raise SettingsError(f"{name} sends no spikes", 'Take get_segmenter("spike-snn").')
    height, width = working_shape(rgb.shape, segmenter.mpp / mpp)
    if max(height, width) > LARGEST_PX:
        raise SettingsError(
            f"{height} × {width} px of {segmenter.mpp} µm are too many to keep all their spikes",
            f"Cut out a part of at most {LARGEST_PX * segmenter.mpp:.0f} µm a side, such as one cell.",
        )
    working, _ = segmenter._working(rgb, mpp, calibration)
    calibration = calibration or segmenter.calibrate(working)
    density, gate = segmenter.gated(working, calibration)
    image = density.float()
    spikes = _snn(segmenter, image, gate) if segmenter.network == "snn" else _rstdp(segmenter, image, gate, calibration)
    size = rgb.shape[0], rgb.shape[1]
    return SpikeRaster(tuple(spikes), spikes, gate[0, 0].numpy(), segmenter.mpp, float(mpp), size)


def _snn(segmenter: SpikeSegmenter, image: Tensor, gate: Tensor) -> dict[str, Spikes]:
    """Give the U-Net's spikes, bool (T, maps, y, x)."""
    network = segmenter._snn
    device = next(network.parameters()).device
    raster = network.raster(image.to(device) * DENSITY_STEP, gate.to(device))
    return {name: spikes[:, 0].bool().cpu().numpy() for name, spikes in raster.items()}


def _rstdp(segmenter: SpikeSegmenter, image: Tensor, gate: Tensor, calibration: Calibration) -> dict[str, Spikes]:
    """Give the first-spike network's spikes, bool (T, maps, y, x); nobody fires twice."""
    network, gain = segmenter._rstdp, calibration.numbers.get("gain", (1.0,))[0]
    image = image.to(segmenter.device)
    layers = {"input": network.times(image, gain), "output": network.decide(image, gain)[0]}
    open_ = functional.interpolate(gate.float(), image.shape[2:]).bool().to(image.device)
    waves = {name: torch.stack([(times == t) & open_ for t in range(network.steps)]) for name, times in layers.items()}
    return {name: fired[:, 0].cpu().numpy() for name, fired in waves.items()}
