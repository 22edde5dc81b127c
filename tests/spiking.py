"""A spiking network for tests that need spikes, and not what they mean."""

from __future__ import annotations

import torch

from leukoscope.segmentation.spike import SpikeSegmenter, SpikingUNet

__all__ = ["untrained"]


def untrained() -> SpikeSegmenter:
    """Stand in for `spike-snn`: a network whose weights are chance, so that every layer fires."""
    torch.manual_seed(0)
    network = SpikingUNet((4, 6, 8))
    for name, parameter in network.named_parameters():
        parameter.data *= 3 if name.endswith("weight") else 1
    network = network.folded()
    segmenter = SpikeSegmenter("snn", "cpu")
    segmenter._snn = network
    return segmenter
