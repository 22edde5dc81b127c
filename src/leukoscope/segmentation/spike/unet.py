"""A small spiking U-Net: analog optical density in, spikes inside, three maps out.

The image's pixels come in fours, as channels of a grid half as fine (Shi et al. 2016), and the maps leave the same way:
outlines are as fine as the image, spikes cost as much as at half its resolution.

Layer after layer has a window of T time steps. A neuron adds up what arrives in the window before its own, and answers
with a burst: a spike a step for as long as its potential lasts (see `neurons.burst`). The stem sees the image instead,
and the readout counts spikes and sees the image. Since a neuron waits until all spikes are in, only their number
matters, and a computer adds up a burst at once; hardware that computes by events adds up every spike.

In training, activity is the part of its window in which a neuron fires, and batch norm keeps currents near it. The
folded network for use has the number of spikes instead, and half a spike and the factor T in its weights.

Where the gate is shut no neuron fires, so what is far from any nucleus costs nothing (see `gate`). Trained with
surrogate gradients; after training, batch norm is folded into the weights and these are rounded to a fixed-point grid
(see `fixedpoint`), so the maps are bit for bit the same whatever the tiling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import BundleError
from .fixedpoint import check_exact, quantize
from .neurons import burst, burst_size, spike_count

__all__ = ["INPUT_BITS", "LAYERS", "OUTPUTS", "WEIGHT_BITS", "SpikingUNet"]

OUTPUTS = ("nucleus", "cell", "centers")
INPUT_BITS = 7  # optical density comes in steps of 2^-7
WEIGHT_BITS = 8
LARGEST = 2**15 - 1  # of a weight, in units of 2^-8
EPSILON = 1e-5  # of batch norm
FOLD = 2  # px of the image a side that become channels

LAYERS = ("stem", "down1", "mix", "down2", "wide1", "wide2", "up2", "join2", "up1", "join1")
"""The spiking layers, in the order in which they fire."""


class SpikingUNet(nn.Module):
    """U-Net of integrate-and-fire neurons, two levels down, for optical density at the working resolution.

    Parameters
    ----------
    channels : tuple of 3 int
        Maps at half, a quarter and an eighth of the image's resolution.
    steps : int
        T, time steps of a window: 2, 4 or 8.
    norm : bool
        Batch norm behind every convolution: yes for training, no once folded.
    """

    align = 8  # px; the maps follow shifts of the image by multiples of this
    receptive = 72  # px a pixel of the maps looks around; the exact figure is below, tests hold it

    def __init__(self, channels: tuple[int, int, int] = (24, 48, 64), steps: int = 4, norm: bool = True) -> None:
        super().__init__()
        if steps not in (2, 4, 8):  # parts of a window must be exact numbers
            raise ValueError(f"a window of {steps} steps")
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
        self.to(memory_format=torch.channels_last)  # what processors' convolutions are quickest with

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
        image = _fold(density)
        last = self._layers(image, gate)[-1]
        return self._readout(image, last * self.steps if self.norm else last)

    @torch.no_grad()
    def raster(self, density: Tensor, gate: Tensor | None = None) -> dict[str, Tensor]:
        """Give every layer's spikes in its own window, 0 or 1, (T, B, maps, y, x) under the names of `LAYERS`.

        Of a folded network; arguments as of `forward`.
        """
        layers = self._layers(_fold(density), gate)
        return {n: burst(count, self.steps) for n, count in zip(LAYERS, layers, strict=True)}

    def _readout(self, image: Tensor, counts: Tensor) -> Tensor:
        seen = torch.cat([counts, image.to(counts.dtype)], 1)
        return functional.pixel_shuffle(self._current(self.head, seen), FOLD)

    def _current(self, layer: nn.Module, seen: Tensor) -> Tensor:
        """Give what a layer's neurons take in; in a folded network with 8 significant bits, however computed."""
        if self.norm:
            return layer(seen)  # type: ignore[no-any-return]
        weight = next(layer.parameters())
        current: Tensor = layer(seen.to(weight.dtype)).bfloat16()
        return current

    def _fire(self, current: Tensor) -> Tensor:
        return burst_size(current, self.steps) if self.norm else spike_count(current, self.steps)

    def _layers(self, image: Tensor, gate: Tensor | None) -> list[Tensor]:
        """Run all spiking layers on a folded image; give how much each neuron fires, (B, maps, y, x)."""
        gates: dict[torch.Size, Tensor] = {}

        def fire(layer: nn.Module, parts: Tensor) -> Tensor:
            out = self._fire(self._current(layer, parts))
            if gate is None:
                return out
            if out.shape not in gates:  # of all maps: a product that repeats one along the maps is five times as slow
                open_ = functional.interpolate(gate.to(out.dtype), scale_factor=out.shape[-1] // gate.shape[-1])
                gates[out.shape] = open_.expand(out.shape).contiguous(memory_format=torch.channels_last)
            return out * gates[out.shape] if self.norm else out.mul_(gates[out.shape])

        stem = fire(self.stem, image)
        down1 = fire(self.down1, stem)
        mix = fire(self.mix, down1)
        down2 = fire(self.down2, mix)
        wide1 = fire(self.wide1, down2)
        wide2 = fire(self.wide2, wide1)
        up2 = fire(self.up2, wide2)
        join2 = fire(self.join2, torch.cat([up2, mix], 1))
        up1 = fire(self.up1, join2)
        join1 = fire(self.join1, torch.cat([up1, stem], 1))
        return [stem, down1, mix, down2, wide1, wide2, up2, join2, up1, join1]

    @torch.no_grad()
    def folded(self) -> SpikingUNet:
        """Give the network for use: batch norm folded into the convolutions, weights on the fixed-point grid."""
        bare = SpikingUNet(self.channels, self.steps, norm=False)
        # The head has no norm behind it.
        bare.head.load_state_dict({k: _half(quantize(v, WEIGHT_BITS)) for k, v in self.head.state_dict().items()})
        for name in LAYERS:
            module, target = getattr(self, name), getattr(bare, name)[0]
            conv, norm = module[0], module[1].state_dict()
            gain = norm["weight"] / torch.sqrt(norm["running_var"] + EPSILON)
            shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
            weight, bias = conv.state_dict()["weight"] * gain.view(shape), norm["bias"] - norm["running_mean"] * gain
            # The image is there in every step.
            times = self.steps if name == "stem" else 1
            target.weight.copy_(_half(quantize(weight, WEIGHT_BITS)) * times)
            target.bias.copy_(_half(quantize(bias * self.steps + 0.5, WEIGHT_BITS, LARGEST)))
        bare.check()
        return bare.eval()

    def fast(self) -> SpikingUNet:
        """Let a folded network compute in bfloat16, where a processor can; no bit of the result depends on it.

        Such units add in float32, exactly, since weights and densities have 8 bits and counts three; currents are
        rounded to bfloat16 either way.
        """
        for name in (*LAYERS, "head"):
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
            grid = WEIGHT_BITS - (self.steps.bit_length() - 1 if name == "stem" else 0)
            bias = conv.bias if conv.bias is not None else torch.zeros(1)
            if not all(
                torch.equal(_half(quantize(v, k, LARGEST)), v) for v, k in ((weight, grid), (bias, WEIGHT_BITS))
            ):
                raise BundleError("the weights are not those of this network's arithmetic", "Export them again.")
            image = 255 / 2**INPUT_BITS
            bits = grid + (INPUT_BITS if name in ("stem", "head") else 0)
            check_exact(weight, bias, bits, image if name == "stem" else max(image, self.steps))


def _fold(density: Tensor) -> Tensor:
    """Turn pixels into channels, in the memory order that convolutions like."""
    return functional.pixel_unshuffle(density, FOLD).contiguous(memory_format=torch.channels_last)


def _half(weight: Tensor) -> Tensor:
    """Round to what bfloat16 holds: 8 significant bits."""
    return weight.bfloat16().float()
