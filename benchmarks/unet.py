"""The ordinary U-Net beside the spiking one: the same layers with ReLU for spikes, the same scenes and epochs.

    python benchmarks/unet.py --data ../shared/data --epochs 100

trains it and writes `unet.safetensors` beside this file, which `segmentation.py` reads. It sees the whole image, as
ordinary networks do, and goes through the same post-processing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from leukoscope.segmentation.base import Calibration, GridSegmenter
from leukoscope.segmentation.spike.coding import optical_density
from leukoscope.segmentation.spike.unet import LAYERS, SpikingUNet, _fold
from leukotrain.segment import load_bank
from leukotrain.segment.train_snn import train_snn

__all__ = ["WEIGHTS", "OrdinaryUNet", "UNetSegmenter"]

WEIGHTS = Path(__file__).with_name("unet.safetensors")


class OrdinaryUNet(SpikingUNet):
    """The layers of the spiking U-Net, each run once and followed by a ReLU."""

    def forward(self, density: Tensor, gate: Tensor | None = None) -> Tensor:
        """Give the logits of nucleus, cell and centers; arguments as of `SpikingUNet.forward`."""
        image = _fold(density)
        return self._readout(image, self._layers(image, gate)[-1])

    def _fire(self, current: Tensor) -> Tensor:
        return functional.relu(current)

    def fused(self) -> OrdinaryUNet:
        """Fold batch norm into the convolutions, as one does for use."""
        for name in LAYERS:
            conv, norm = getattr(self, name)
            transposed = isinstance(conv, nn.ConvTranspose2d)
            setattr(self, name, nn.Sequential(fuse_conv_bn_eval(conv, norm, transpose=transposed), nn.Identity()))
        return self


class UNetSegmenter(GridSegmenter):
    """White cells by the ordinary U-Net, in bfloat16 where the processor can, as the spiking one."""

    name = "unet"
    mpp = 0.25
    align = OrdinaryUNet.align
    receptive = OrdinaryUNet.receptive

    def __init__(self, weights: Path = WEIGHTS) -> None:
        network = OrdinaryUNet()
        network.load_state_dict({k: v.float() for k, v in load_file(weights).items()}, strict=False)
        self._network = network.eval().fused()
        self._fast = bool(torch.cpu._is_avx512_bf16_supported())

    @torch.inference_mode()
    def _maps(self, rgb: NDArray[np.uint8], calibration: Calibration) -> tuple[NDArray[np.float32], ...]:
        height, width = rgb.shape[:2]
        density = optical_density(rgb, calibration.white)
        density = np.pad(density, ((0, 0), (0, -height % self.align), (0, -width % self.align)))
        with torch.autocast("cpu", torch.bfloat16, enabled=self._fast):
            logits = self._network(torch.from_numpy(density)[None].float() / 128)
        maps = torch.sigmoid(logits.float())[0, :, :height, :width].numpy()
        return tuple(np.ascontiguousarray(m) for m in maps)


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--work", type=Path, default=Path("unet-training"), help="for checkpoints")
    args = parser.parse_args()
    network = train_snn(
        load_bank(args.data),
        args.work,
        args.epochs,
        progress=lambda epoch, loss: print(f"epoch {epoch + 1}/{args.epochs}  loss {loss:.4f}", flush=True),
        network=OrdinaryUNet,
    )
    kept = {k: v.half().contiguous() for k, v in network.state_dict().items() if v.is_floating_point()}
    save_file(kept, WEIGHTS)


if __name__ == "__main__":
    main()
