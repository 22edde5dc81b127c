"""The first-spike network, dense: every pixel's class is that of the neuron that fires first there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .coding import FAMILIES, FILTER_REACH, density_planes, inhibit, latency, responses, waves
from .fixedpoint import check_exact, quantize

__all__ = ["CLASSES", "FirstSpikeNetwork"]

CLASSES = ("background", "cytoplasm", "nucleus")
WEIGHT_BITS = 8


class FirstSpikeNetwork:
    """Non-leaky integrate-and-fire maps on rank-order coded stain contrast (Mozafari et al. 2018; dense: ours).

    Parameters
    ----------
    weight : Tensor, shape (maps, inputs, k, k)
        0..1, rounded here to multiples of 2^-8; maps of one class are neighbors, classes in the order of `CLASSES`.
    edges : Tensor, shape (inputs, T)
        Latency bin edges, falling; see `coding.latency`.
    threshold : float
        At which a neuron fires; rounded to a multiple of 2^-8.
    """

    align = 1

    def __init__(self, weight: Tensor, edges: Tensor, threshold: float) -> None:
        self.weight = quantize(weight.clamp(0, 1), WEIGHT_BITS)
        self.edges = edges
        self.threshold = round(threshold * 2**WEIGHT_BITS) / 2**WEIGHT_BITS
        self.steps = edges.shape[1]
        check_exact(self.weight, None, WEIGHT_BITS, 1.0)

    @property
    def receptive(self) -> int:
        """How far a pixel looks around, px."""
        return FILTER_REACH + self.weight.shape[-1] // 2

    def times(self, density: Tensor, gain: float = 1.0) -> Tensor:
        """Give the inputs' spike times.

        Parameters
        ----------
        density : Tensor, shape (B, 3, Y, X)
            Optical density in steps of 1/128, whole numbers as float32.
        gain : float
            The slide's stain strength over that of training; bin edges scale with it.

        Returns
        -------
        Tensor of int16, shape (B, inputs, Y, X)
        """
        time = latency(responses(density_planes(density)), self.scaled_edges(gain).to(density.device))
        return inhibit(time, self.steps)

    def scaled_edges(self, gain: float) -> Tensor:
        """Give the bin edges for a slide; OFF levels count down from 128, so their edges move the other way."""
        edges = self.edges.clone()
        first, n = 0, FAMILIES[0].maps // 4
        for _ in range(2):
            edges[first : first + n] *= gain
            edges[first + n : first + 2 * n] = 128 - (128 - edges[first + n : first + 2 * n]) * gain
            first += 2 * n
        edges[first:] *= gain
        return edges

    @torch.inference_mode()
    def decide(self, density: Tensor, gain: float = 1.0) -> tuple[Tensor, Tensor]:
        """Give every pixel's first spike.

        Parameters
        ----------
        density, gain
            As for `times`.

        Returns
        -------
        fired : Tensor of int16, shape (B, classes, Y, X)
            When the first neuron of each class fires; T for never.
        potential : Tensor of float32, shape (B, classes, Y, X)
            The class's highest potential at that moment.
        """
        weight = self.weight.to(density.device)
        classes = len(CLASSES)
        fired = potential = None
        for t, wave in enumerate(waves(self.times(density, gain), self.steps)):
            now = functional.conv2d(wave, weight, padding=weight.shape[-1] // 2)
            now = now.view(len(now), classes, -1, *now.shape[2:]).amax(2)
            if fired is None or potential is None:
                fired, potential = torch.full(now.shape, self.steps, dtype=torch.int16, device=now.device), now
            else:
                potential = torch.where(fired == self.steps, now, potential)
            fired = torch.where((fired == self.steps) & (now >= self.threshold), t, fired).to(torch.int16)
        if fired is None or potential is None:
            raise ValueError("a network needs at least one time step")
        return fired, potential

    def probabilities(self, density: Tensor, gain: float = 1.0) -> Tensor:
        """Grade the decision: how much earlier, or at the same time how much stronger, one class fired than the rest.

        Returns
        -------
        Tensor of float32, shape (B, 2, Y, X)
            Nucleus, and cell (nucleus or cytoplasm); over 0.5 exactly where the first spike says so.
        """
        fired, potential = self.decide(density, gain)
        # One step of time outweighs any difference of potential: the order of spikes decides, potentials break ties.
        lead = (self.steps - fired).float() + torch.clamp(potential / (4 * self.threshold), max=0.99)
        background, cytoplasm, nucleus = lead.unbind(1)
        margins = torch.stack(
            [nucleus - torch.maximum(background, cytoplasm), torch.maximum(nucleus, cytoplasm) - background], 1
        )
        # The first spike decides, by however little it leads; the lead, up to a time step, says how surely.
        return 0.5 + torch.sign(margins) * (0.35 + 0.15 * torch.clamp(margins.abs(), max=1.0))
