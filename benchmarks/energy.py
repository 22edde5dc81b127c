"""Spikes and estimated energy of `spike-snn` on ALL-IDB1's held-out fields, beside an ordinary U-Net of equal size.

    python benchmarks/energy.py

As the spiking literature reports it (Rathi & Roy 2021, and many after them): a spike that reaches a synapse costs an
addition, everything else a multiplication and addition, with the energies of 32-bit units at 45 nm (Horowitz 2014).
This counts arithmetic only; memory, which dominates on real hardware, is left out, and a CPU multiplies zeros all the
same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from leukoscope.segmentation.base import white_point
from leukoscope.segmentation.spike.coding import DENSITY_STEP, optical_density
from leukoscope.segmentation.spike.gate import gate_blocks
from leukoscope.segmentation.spike.unet import LAYERS, SpikingUNet
from leukoscope.segmentation.spike.weights import load_snn
from leukoscope.segmentation.tiling import read_working, working_shape
from leukotrain.data.masks import Field, fields

ADDITION_PJ, MULTIPLICATION_PJ = 0.9, 4.6
MPP = 0.25
# Which layers' spikes each layer receives; the stem and part of the head see the image.
INPUTS = {
    "down1": ("stem",),
    "mix": ("down1",),
    "down2": ("mix",),
    "wide1": ("down2",),
    "wide2": ("wide1",),
    "up2": ("wide2",),
    "join2": ("up2", "mix"),
    "up1": ("join2",),
    "join1": ("up1", "stem"),
    "head": ("join1",),
}


def synapses(conv: nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Give how many neurons one input reaches."""
    taps = conv.kernel_size[0] * conv.kernel_size[1] * conv.out_channels
    return taps if isinstance(conv, nn.ConvTranspose2d) else taps / (conv.stride[0] * conv.stride[1])


def convolution(network: SpikingUNet, name: str) -> nn.Conv2d | nn.ConvTranspose2d:
    """Give a layer's convolution."""
    module = getattr(network, name)
    found = module[0] if isinstance(module, nn.Sequential) else module
    if not isinstance(found, nn.Conv2d | nn.ConvTranspose2d):
        raise TypeError(f"{name} is no convolution")
    return found


def count(network: SpikingUNet, field: Field) -> dict[str, float]:
    """Count neurons, spikes and operations over one field."""
    step = MPP / field.mpp
    rgb = read_working(field.rgb, step, (0, 0, *working_shape(field.rgb.shape, step)))
    density = optical_density(rgb, white_point(rgb))
    side = network.align
    density = np.pad(density, ((0, 0), (0, -density.shape[1] % side), (0, -density.shape[2] % side)))
    image = torch.from_numpy(density)[None].float()
    gate = gate_blocks(image, MPP)
    spikes = network.raster(image * DENSITY_STEP, gate)
    share = float(gate.float().mean())
    image_values = float(image.numel())
    dense = image_values * (synapses(convolution(network, "stem")) + synapses(convolution(network, "head")))
    spiking = share * dense * MULTIPLICATION_PJ  # the image comes in once, whatever T is
    additions = 0.0
    for name, sources in INPUTS.items():
        reach = synapses(convolution(network, name))
        additions += reach * sum(float(spikes[s].sum()) for s in sources)
        dense += reach * sum(spikes[s][0].numel() for s in sources)
    return {
        "fields": 1,
        "gate": share,
        "neurons": sum(spikes[n][0].numel() for n in LAYERS),
        "spikes": sum(float(spikes[n].sum()) for n in LAYERS),
        "additions": additions,
        "dense": dense,
        "spiking mJ": (spiking + additions * ADDITION_PJ) * 1e-9,
        "dense mJ": dense * MULTIPLICATION_PJ * 1e-9,
        "gated dense mJ": share * dense * MULTIPLICATION_PJ * 1e-9,
    }


def main() -> None:
    """Print the table."""
    network, _ = load_snn()
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for field in fields("all_idb1", True):
        for key, value in count(network, field).items():
            sums[field.label][key] += value
    print("| a field, in the mean | " + " | ".join(sums) + " |")
    print("|---" * (len(sums) + 1) + "|")
    rows: dict[str, Callable[[dict[str, float]], str]] = {
        "gate open, part of the area": lambda m: f"{m['gate']:.2f}",
        "spikes, millions": lambda m: f"{m['spikes'] / 1e6:.1f}",
        "spikes a neuron and step, inside the gate": lambda m: (
            f"{m['spikes'] / (m['neurons'] * network.steps * m['gate']):.2f}"
        ),
        "synaptic additions, 10^9": lambda m: f"{m['additions'] / 1e9:.1f}",
        "multiplications of an equal U-Net, 10^9": lambda m: f"{m['dense'] / 1e9:.1f}",
        "energy, spiking, mJ": lambda m: f"{m['spiking mJ']:.1f}",
        "energy, equal U-Net, mJ": lambda m: f"{m['dense mJ']:.1f}",
        "energy, equal U-Net behind the same gate, mJ": lambda m: f"{m['gated dense mJ']:.1f}",
    }
    means = {label: {k: v / s["fields"] for k, v in s.items()} for label, s in sums.items()}
    for name, show in rows.items():
        print(f"| {name} | " + " | ".join(show(m) for m in means.values()) + " |")


if __name__ == "__main__":
    main()
