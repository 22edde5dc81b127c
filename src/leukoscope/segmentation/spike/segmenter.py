"""The segmenter `spike`: a spiking network's maps, on the common working grid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from ... import __version__
from ...errors import SettingsError
from ..base import Calibration, GridSegmenter
from .coding import DENSITY_STEP, optical_density
from .gate import BLOCK_UM, GATE_REACH_UM, gate_blocks
from .weights import NETWORKS, SHIPPED, fingerprint, load_description, load_rstdp, load_snn

__all__ = ["SpikeSegmenter"]

RGB = NDArray[np.uint8]
Map = NDArray[np.float32]

WINDOW_UM = 256  # a longer window is cut, which bounds memory


class SpikeSegmenter(GridSegmenter):
    """White cells by a spiking network: the spiking U-Net (`snn`), or the first-spike network (`rstdp`).

    Work follows activity: neurons fire only near what is stained as a nucleus is (see `gate`), and windows without any
    such place are skipped. All sums inside are exact (see `fixedpoint`), so the maps do not depend on tiles, windows,
    threads or device.

    Parameters
    ----------
    network : str, optional
        "snn" or "rstdp"; by default the one that did better on groups held out from training.
    device : str
        "auto", "cpu", "cuda" or "mps".
    folder : Path, optional
        Of the weights; the shipped ones by default.

    Attributes
    ----------
    fingerprint : str
        Changes with the weights: a case is never gone on with by others.

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
            if _has_bfloat16(self.device):
                self._snn.fast()
            self._reach = self._snn.receptive
        else:
            self._rstdp, own = load_rstdp(folder)
            self._reach = self._rstdp.receptive
        self.fingerprint = f"{__version__} {fingerprint(folder, self.network)}"
        self.mpp = float(own["mpp"])
        self.align = round(BLOCK_UM / self.mpp)
        self.receptive = self._reach + round(GATE_REACH_UM / self.mpp) + self.align
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
        """Probabilities of nucleus, cell, and the inner part of a cell; 0 far from anything stained as a nucleus is."""
        height, width = rgb.shape[:2]
        image, gate = self.gated(rgb, calibration)
        maps = np.zeros((3 if self.network == "snn" else 2, *image.shape[2:]), np.float32)
        reach, longest = -(-self._reach // self.align), round(WINDOW_UM / BLOCK_UM)
        for own, seen in _windows(gate[0, 0].numpy(), reach, longest):
            (rows, columns), (top, left) = _pixels(own, self.align), (s.start for s in _pixels(seen, self.align))
            found = self._run(image[:, :, *_pixels(seen, self.align)], gate[:, :, *seen], calibration)[0]
            inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
            maps[:, rows, columns] = found[:, *inner]
        return tuple(maps[:, :height, :width])

    def gated(self, rgb: RGB, calibration: Calibration) -> tuple[Tensor, Tensor]:
        """Give what the network sees of an image at the working resolution, and where its neurons may fire.

        Returns
        -------
        density : Tensor of uint8, shape (1, 3, Y, X)
            In steps of 1/128; Y and X are filled up to whole blocks with empty glass.
        gate : Tensor of bool, shape (1, 1, y, x)
            See `gate_blocks`.
        """
        height, width = rgb.shape[:2]
        density = optical_density(rgb, calibration.white)
        density = np.pad(density, ((0, 0), (0, -height % self.align), (0, -width % self.align)))
        image = torch.from_numpy(density)[None]
        return image, gate_blocks(image.float(), self.mpp)

    @torch.inference_mode()
    def _run(self, density: Tensor, gate: Tensor, calibration: Calibration) -> Map:
        """Run the network on windows, uint8 (B, 3, Y, X), and give their maps, float32 (B, maps, Y, X)."""
        image, gate = density.to(self.device), gate.to(self.device)
        if self.network == "rstdp":
            gain = calibration.numbers.get("gain", (1.0,))[0]
            maps = self._rstdp.probabilities(image.float(), gain)
            return (maps * functional.interpolate(gate.float(), scale_factor=self.align)).cpu().numpy()
        logits = self._snn(image.bfloat16() * DENSITY_STEP, gate)  # densities have 8 bits
        shut = functional.interpolate((~gate).to(logits.dtype), scale_factor=self.align).bool()
        bits = logits.masked_fill_(shut, -torch.inf).cpu().view(torch.int16).numpy()
        # A table gives the 2^16 logits there are the same probabilities on every machine; an exp does not.
        probabilities: Map = self._table[bits.view(np.uint16)]
        return probabilities


Blocks = tuple[slice, slice]


def _windows(gate: NDArray[np.bool_], reach: int, longest: int) -> Iterator[tuple[Blocks, Blocks]]:
    """Cover the open blocks of a gate by windows: what each is for, and what the network must see for that.

    Beyond what a window is for it need only hold the open blocks within `reach`: nothing fires elsewhere. Windows that
    see the same places become one where that is less to compute.
    """
    todo = [
        (slice(y, min(y + longest, rows.stop)), slice(x, min(x + longest, columns.stop)))
        for rows, columns in ndimage.find_objects(ndimage.label(gate, np.ones((3, 3)))[0])
        for y in range(rows.start, rows.stop, longest)
        for x in range(columns.start, columns.stop, longest)
    ]
    done: list[tuple[Blocks, Blocks]] = []
    while todo:
        own = todo.pop()
        seen = _seen(gate, own, reach)
        for i, (other, others) in enumerate(done):
            if all(a.start < b.stop and b.start < a.stop for a, b in zip(seen, others, strict=True)):
                both = _hull(own, other)
                if max(s.stop - s.start for s in both) > longest:
                    continue
                if _area(_seen(gate, both, reach)) <= _area(seen) + _area(others):
                    del done[i]
                    todo.append(both)
                    break
        else:
            done.append((own, seen))
    yield from done


def _seen(gate: NDArray[np.bool_], own: Blocks, reach: int) -> Blocks:
    """Give the box that holds `own` and the open blocks within reach of it."""
    near = tuple(slice(max(0, s.start - reach), s.stop + reach) for s in own)
    open_ = gate[near]
    rows, columns = (
        slice(min(o.start, n.start + int(at[0])), max(o.stop, n.start + int(at[-1]) + 1)) if len(at) else o
        for o, n, at in zip(own, near, (np.flatnonzero(open_.any(axis)) for axis in (1, 0)), strict=True)
    )
    return rows, columns


def _hull(one: Blocks, other: Blocks) -> Blocks:
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return rows, columns


def _area(box: Blocks) -> int:
    rows, columns = box
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _pixels(blocks: Blocks, side: int) -> Blocks:
    rows, columns = (slice(s.start * side, s.stop * side) for s in blocks)
    return rows, columns


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def _sigmoid_table() -> Map:
    """Give the probability of each bfloat16, by its bits; no logit is infinite upwards or no number."""
    values = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16).double().nan_to_num(0).numpy()
    table: Map = (0.5 + 0.5 * np.tanh(values / 2)).astype(np.float32)
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
