"""The segmenter `spike`: a spiking network's maps, on the common working grid."""

from __future__ import annotations

from collections.abc import Iterator
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

WINDOW = 384  # px; a longer window is cut, which bounds memory
NEAR = 16  # px: what is farther from anything nucleus-dark is no white cell (see `instances.CYTOPLASM_UM`)


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
            self.align, self.receptive = self._snn.align, max(NEAR + 1, self._snn.receptive)
        else:
            self._rstdp, own = load_rstdp(folder)
            self.align, self.receptive = 1, max(NEAR + 1, self._rstdp.receptive)
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
        dark = ndimage.minimum_filter(density[0], 3, mode="nearest") >= self._least
        near = ndimage.maximum_filter(dark, 2 * NEAR + 1, mode="constant")
        maps = np.zeros((3 if self.network == "snn" else 2, *near.shape), np.float32)
        margin = -(-self.receptive // self.align) * self.align
        padded = np.pad(density, ((0, 0), *((margin, margin + self.align),) * 2))
        for y, x, height, width in _windows(near, self.align):
            window = padded[:, y : y + height + 2 * margin, x : x + width + 2 * margin]
            found = self._run(torch.from_numpy(window[None]), calibration)[0, :, margin:-margin, margin:-margin]
            part = maps[:, y : y + height, x : x + width]  # smaller than the window at the image's border
            part[...] = found[:, : part.shape[1], : part.shape[2]]
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


def _windows(near: NDArray[np.bool_], align: int) -> Iterator[tuple[int, int, int, int]]:
    """Cover what is marked by windows, `(y, x, height, width)`, that begin and end at multiples of `align`."""
    for rows, columns in ndimage.find_objects(ndimage.label(near)[0]):
        top, left = (s.start // align * align for s in (rows, columns))
        bottom, right = (-(-s.stop // align) * align for s in (rows, columns))
        for y in range(top, bottom, WINDOW):
            for x in range(left, right, WINDOW):
                yield y, x, min(WINDOW, bottom - y), min(WINDOW, right - x)


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
