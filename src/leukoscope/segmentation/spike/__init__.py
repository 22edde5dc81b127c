"""Segmentation by spikes: a spiking U-Net, a first-spike network learned by reward, and an edge overlay."""

from __future__ import annotations

from .edges import spike_edges
from .firstspike import FirstSpikeNetwork
from .plasticity import Rates, rstdp, stdp
from .raster import SpikeRaster, spike_raster
from .segmenter import SpikeSegmenter
from .unet import SpikingUNet

__all__ = [
    "FirstSpikeNetwork",
    "Rates",
    "SpikeRaster",
    "SpikeSegmenter",
    "SpikingUNet",
    "rstdp",
    "spike_edges",
    "spike_raster",
    "stdp",
]
