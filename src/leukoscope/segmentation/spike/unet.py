"""A small spiking U-Net: analog optical density in, spikes inside, three maps out.

The image's pixels come in fours, as channels of a grid half as fine (Shi et al. 2016), and the maps leave the same way:
outlines are as fine as the image, spikes cost as much as at half its resolution. The first layer's current is constant
over the T time steps (direct coding), every other layer sees spikes only, the readout counts spikes and sees the image.

Where the gate is shut no neuron fires, so what is far from any nucleus costs nothing (see `gate`). Trained with
surrogate gradients; after training, batch norm is folded into the weights and these are rounded to a fixed-point grid
(see `fixedpoint`), so the maps are bit for bit the same whatever the tiling.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from .fixedpoint import check_exact, quantize
from .neurons import firing_rate, integrate_and_fire

__all__ = ["INPUT_BITS", "LAYERS", "OUTPUTS", "WEIGHT_BITS", "SpikingUNet"]

OUTPUTS = ("nucleus", "cell", "centers")
INPUT_BITS = 7  # optical density comes in steps of 2^-7
WEIGHT_BITS = 8
EPSILON = 1e-5  # of batch norm
FOLD = 2  # px of the image a side that become channels

LAYERS = ("stem", "down1", "mix", "down2", "wide1", "wide2", "up2", "join2", "up1", "join1")
"""The spiking layers, in the order in which they fire."""

Fire = Callable[[nn.Module, Tensor], Tensor]


class SpikingUNet(nn.Module):
    """U-Net of integrate-and-fire neurons, two levels down, for optical density at the working resolution.

    Parameters
    ----------
    channels : tuple of 3 int
        Maps at half, a quarter and an eighth of the image's resolution.
    steps : int
        T, time steps; 2 to 8.
    norm : bool
        Batch norm behind every convolution: yes for training, no once folded.
    """

    align = 8  # px; the maps follow shifts of the image by multiples of this
    receptive = 72  # px a pixel of the maps looks around; the exact figure is below, tests hold it

    def __init__(self, channels: tuple[int, int, int] = (24, 48, 64), steps: int = 4, norm: bool = True) -> None:
        super().__init__()
        a, b, c = self.channels = channels
        self.steps = steps
        self.norm = norm
        pixels = 3 * FOLD**2

        def layer(conv: nn.Module, out: int) -> nn.Sequential:
            return nn.Sequential(conv, nn.BatchNorm2d(out, EPSILON) if norm else nn.Identity())

        bias = not norm
        self.stem = layer(nn.Conv2d(pixels, a, 3, padding=1, bias=bias), a)
        self.down1 = layer(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=bias), b)
        self.mix = layer(nn.Conv2d(b, b, 3, padding=1, bias=bias), b)
        self.down2 = layer(nn.Conv2d(b, c, 3, stride=2, padding=1, bias=bias), c)
        self.wide1 = layer(nn.Conv2d(c, c, 3, padding=1, bias=bias), c)
        self.wide2 = layer(nn.Conv2d(c, c, 3, padding=2, dilation=2, bias=bias), c)
        self.up2 = layer(nn.ConvTranspose2d(c, b, 2, stride=2, bias=bias), b)
        self.join2 = layer(nn.Conv2d(2 * b, b, 3, padding=1, bias=bias), b)
        self.up1 = layer(nn.ConvTranspose2d(b, a, 2, stride=2, bias=bias), a)
        self.join1 = layer(nn.Conv2d(2 * a, a, 3, padding=1, bias=bias), a)
        self.head = nn.Conv2d(a + pixels, len(OUTPUTS) * FOLD**2, 3, padding=1)

    def forward(self, density: Tensor, gate: Tensor | None = None) -> Tensor:
        """Give the logits of nucleus, cell and centers.

        Parameters
        ----------
        density : Tensor of float32, shape (B, 3, Y, X)
            Optical density of red, green and blue; Y and X multiples of 8.
        gate : Tensor, shape (B, 1, Y / 8, X / 8), optional
            1 where neurons may fire, 0 where not; everywhere without it.

        Returns
        -------
        Tensor, shape (B, 3, Y, X)
        """
        return self._readout(density, self._spikes(density, gate)[-1].sum(0))

    def rates(self, density: Tensor, gate: Tensor | None = None) -> Tensor:
        """Give the logits of the network with firing rates in the place of spikes; see `firing_rate`."""

        def fire(layer: nn.Module, rate: Tensor) -> Tensor:
            return firing_rate(layer(rate), self.steps)

        last = self._layers(self._fold(density), fire, fire, 1, gate)[-1]
        return self._readout(density, last * self.steps)

    @torch.no_grad()
    def raster(self, density: Tensor, gate: Tensor | None = None) -> dict[str, Tensor]:
        """Give every layer's spikes, 0 or 1, (T, B, maps, y, x) under the names of `LAYERS`; arguments as `forward`."""
        return dict(zip(LAYERS, self._spikes(density, gate), strict=True))

    def _fold(self, density: Tensor) -> Tensor:
        return functional.pixel_unshuffle(density, FOLD)

    def _readout(self, density: Tensor, counts: Tensor) -> Tensor:
        seen = torch.cat([counts.to(density.dtype), self._fold(density)], 1)
        logits: Tensor = functional.pixel_shuffle(self.head(seen), FOLD)
        return logits

    def _spikes(self, density: Tensor, gate: Tensor | None) -> list[Tensor]:
        def first(layer: nn.Module, image: Tensor) -> Tensor:
            return integrate_and_fire(self._current(layer, image), self.steps)

        def fire(layer: nn.Module, spikes: Tensor) -> Tensor:
            steps, batch = spikes.shape[:2]
            current = self._current(layer, spikes.flatten(0, 1))
            return integrate_and_fire(current.view(steps, batch, *current.shape[1:]))

        return self._layers(self._fold(density), first, fire, 2, gate)

    def _current(self, layer: nn.Module, spikes: Tensor) -> Tensor:
        """Give a layer's currents; those of a folded network with 8 significant bits, however they are computed."""
        if self.norm:
            return layer(spikes)  # type: ignore[no-any-return]
        weight = next(layer.parameters())
        current: Tensor = layer(spikes.to(weight.dtype)).bfloat16()
        return current

    def _layers(self, image: Tensor, first: Fire, fire: Fire, channel: int, gate: Tensor | None) -> list[Tensor]:
        """Run all spiking layers; `channel` is the axis of maps in what they give."""
        gates: dict[int, Tensor] = {}

        def gated(layer: nn.Module, spikes: Tensor, how: Fire = fire) -> Tensor:
            out = how(layer, spikes)
            if gate is None:
                return out
            times = out.shape[-1] // gate.shape[-1]
            if times not in gates:
                gates[times] = functional.interpolate(gate.to(out.dtype), scale_factor=times)
            return out * gates[times]

        stem = gated(self.stem, image, first)
        down1 = gated(self.down1, stem)
        mix = gated(self.mix, down1)
        down2 = gated(self.down2, mix)
        wide1 = gated(self.wide1, down2)
        wide2 = gated(self.wide2, wide1)
        up2 = gated(self.up2, wide2)
        join2 = gated(self.join2, torch.cat([up2, mix], channel))
        up1 = gated(self.up1, join2)
        join1 = gated(self.join1, torch.cat([up1, stem], channel))
        return [stem, down1, mix, down2, wide1, wide2, up2, join2, up1, join1]

    @torch.no_grad()
    def folded(self) -> SpikingUNet:
        """Give the network for use: batch norm folded into the convolutions, weights on the fixed-point grid."""
        bare = SpikingUNet(self.channels, self.steps, norm=False)
        # The head has no norm behind it.
        bare.head.load_state_dict({k: quantize(v, WEIGHT_BITS) for k, v in self.head.state_dict().items()})
        for name in LAYERS:
            module, target = getattr(self, name), getattr(bare, name)[0]
            conv, norm = module[0], module[1].state_dict()
            gain = norm["weight"] / torch.sqrt(norm["running_var"] + EPSILON)
            shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
            target.weight.copy_(_half(quantize(conv.state_dict()["weight"] * gain.view(shape), WEIGHT_BITS)))
            target.bias.copy_(_half(quantize(norm["bias"] - norm["running_mean"] * gain, WEIGHT_BITS)))
        bare.check()
        return bare.eval()

    def fast(self) -> SpikingUNet:
        """Let a folded network compute in bfloat16, where a processor can; no bit of the result depends on it.

        Such units add in float32, exactly, since weights have 8 bits and spikes one; currents are rounded to bfloat16
        either way.
        """
        for name in LAYERS:
            getattr(self, name).to(torch.bfloat16)
        return self

    def check(self) -> None:
        """Make sure that no layer's sum can be rounded, but once as a whole.

        Raises
        ------
        BundleError
            When weights are so large that one could.
        """
        for name in (*LAYERS, "head"):
            module = getattr(self, name)
            conv = module[0] if isinstance(module, nn.Sequential) else module
            if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
                raise TypeError(f"{name} is no convolution")
            weight = conv.weight.transpose(0, 1) if isinstance(conv, nn.ConvTranspose2d) else conv.weight
            bits = WEIGHT_BITS + (INPUT_BITS if name in ("stem", "head") else 0)
            largest = {"stem": 255 / 2**INPUT_BITS, "head": float(self.steps)}.get(name, 1.0)
            check_exact(weight, conv.bias, bits, largest)


def _half(weight: Tensor) -> Tensor:
    """Round to what bfloat16 holds: 8 significant bits."""
    return weight.bfloat16().float()
