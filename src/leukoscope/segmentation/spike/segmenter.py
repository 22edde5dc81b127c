"""The segmenter `spike`: a spiking network's maps, on the common working grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ...errors import SettingsError
from ..base import Calibration, GridSegmenter
from .coding import DENSITY_STEP, optical_density
from .weights import NETWORKS, SHIPPED, load_description, load_rstdp, load_snn

__all__ = ["SpikeSegmenter"]

RGB = NDArray[np.uint8]
Map = NDArray[np.float32]

WINDOW = 192  # px of a window's own, without its margin
NEAR = 24  # px: what is farther from any nucleus-dark pixel is no white cell, and is not computed
BATCH = 4


class SpikeSegmenter(GridSegmenter):
    """White cells by a spiking network: the spiking U-Net (`snn`), or the first-spike network (`rstdp`).

    Work follows activity: windows in which nothing absorbs red as a nucleus does send no spikes and are skipped. All
    sums inside are exact (see `fixedpoint`), so the maps do not depend on tiles, windows, threads or device.

    Parameters
    ----------
    network : str, optional
        "snn" or "rstdp"; by default the one that did better on groups held out from training.
    device : str
        "auto", "cpu", "cuda" or "mps".
    folder : Path, optional
        Of the weights; the shipped ones by default.

    Raises
    ------
    SettingsError
        When there is no such network or device.
    BundleError
        When the weights are missing or damaged.
    """

    name = "spike"

    def __init__(self, network: str | None = None, device: str = "auto", folder: Path = SHIPPED) -> None:
        description = load_description(folder)
        self.network = network or str(description["default"])
        if self.network not in NETWORKS:
            raise SettingsError(f"there is no spike network {network!r}", f"Choose one of {', '.join(NETWORKS)}.")
        if network is not None:
            self.name = f"spike-{network}"
        self.device = _device(device)
        if self.network == "snn":
            self._snn, own = load_snn(folder)
            self._snn = self._snn.to(self.device)
            self.align, self.receptive = self._snn.align, max(NEAR, self._snn.receptive)
        else:
            self._rstdp, own = load_rstdp(folder)
            self.align, self.receptive = 1, max(NEAR, self._rstdp.receptive)
        self.mpp = float(description["mpp"])
        self._least = int(description["least_red"])
        self._stain = float(own.get("stain", 0.0))
        self._table = _sigmoid_table()

    def _numbers(self, rgb: RGB, white: tuple[float, float, float]) -> dict[str, tuple[float, ...]]:
        """Give the slide's stain strength over that of training, from all that is stained (mostly red cells)."""
        if self.network != "rstdp":
            return {}
        green = optical_density(rgb, white)[1]
        stained = green[green > 8]
        if stained.size < 0.01 * green.size or not self._stain:
            return {"gain": (1.0,)}
        return {"gain": (float(np.clip(np.median(stained) / self._stain, 0.7, 1.4)),)}

    def _maps(self, rgb: RGB, calibration: Calibration) -> tuple[Map, ...]:
        """Probabilities of nucleus, cell, and the inner part of a cell; 0 far from anything as dark as a nucleus."""
        density = optical_density(rgb, calibration.white)
        near = ndimage.maximum_filter(density[0] >= self._least, 2 * NEAR + 1, mode="constant")
        height, width = near.shape
        maps = np.zeros((3 if self.network == "snn" else 2, height, width), np.float32)
        margin = -(-self.receptive // self.align) * self.align
        own = tuple(min(WINDOW, -(-n // self.align) * self.align) for n in (height, width))
        padded = np.pad(density, ((0, 0), (margin, margin + own[0]), (margin, margin + own[1])))
        spots = [
            (y, x)
            for y in range(0, height, own[0])
            for x in range(0, width, own[1])
            if near[y : y + own[0], x : x + own[1]].any()
        ]
        for first in range(0, len(spots), BATCH):
            batch = spots[first : first + BATCH]
            windows = np.stack([padded[:, y : y + own[0] + 2 * margin, x : x + own[1] + 2 * margin] for y, x in batch])
            found = self._run(torch.from_numpy(windows), calibration)[..., margin:-margin, margin:-margin]
            for (y, x), part in zip(batch, found, strict=True):
                h, w = min(own[0], height - y), min(own[1], width - x)
                maps[:, y : y + h, x : x + w] = part[:, :h, :w]
        maps *= near
        return tuple(maps)

    @torch.inference_mode()
    def _run(self, density: Tensor, calibration: Calibration) -> Map:
        """Run the network on windows, uint8 (B, 3, Y, X), and give their maps, float32 (B, maps, Y, X)."""
        image = density.to(self.device).float()
        if self.network == "rstdp":
            gain = calibration.numbers.get("gain", (1.0,))[0]
            return self._rstdp.probabilities(image, gain).cpu().numpy()
        logits = self._snn(image * DENSITY_STEP)
        # Logits are whole multiples of 2^-8: a table gives the same probability on every machine, an exp does not.
        index = torch.clamp(torch.round(logits * 256), -2048, 2047).to(torch.int32).cpu().numpy()
        probabilities: Map = self._table[index + 2048]
        return probabilities


def _sigmoid_table() -> Map:
    table: Map = (1 / (1 + np.exp(-np.arange(-2048, 2048) / 256))).astype(np.float32)
    return table


def _device(name: str) -> torch.device:
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("cpu")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(name.partition(":")[0], False):
        raise SettingsError(f"there is no device {name!r} here", "Choose auto or cpu.")
    return torch.device(name)
