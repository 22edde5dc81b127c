"""A small spiking U-Net: analog optical density in, spikes inside, three maps out.

The first layer's current is constant over the T time steps (direct coding), every other layer sees spikes only. Trained
with surrogate gradients; after training, batch norm is folded into the weights and these are rounded to a fixed-point
grid (see `fixedpoint`), so the maps are bit for bit the same whatever the tiling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .fixedpoint import check_exact, quantize
from .neurons import firing_rate, integrate_and_fire

__all__ = ["INPUT_BITS", "OUTPUTS", "WEIGHT_BITS", "SpikingUNet"]

OUTPUTS = ("nucleus", "cell", "centers")
INPUT_BITS = 7  # optical density comes in steps of 2^-7
WEIGHT_BITS = 8
HEAD_BITS = 8
EPSILON = 1e-5  # of batch norm


class SpikingUNet(nn.Module):
    """U-Net of integrate-and-fire neurons, two levels down, for optical density at the working resolution.

    Parameters
    ----------
    channels : tuple of 3 int
        Maps at full, half and quarter resolution.
    steps : int
        T, time steps; 2 to 8.
    norm : bool
        Batch norm behind every convolution: yes for training, no once folded.
    """

    align = 4
    receptive = 32  # px a pixel of the maps looks around; the exact figure is below, tests hold it

    def __init__(self, channels: tuple[int, int, int] = (16, 32, 48), steps: int = 4, norm: bool = True) -> None:
        super().__init__()
        a, b, c = self.channels = channels
        self.steps = steps
        self.norm = norm

        def layer(conv: nn.Module, out: int) -> nn.Sequential:
            return nn.Sequential(conv, nn.BatchNorm2d(out, EPSILON) if norm else nn.Identity())

        bias = not norm
        self.stem = layer(nn.Conv2d(3, a, 3, padding=1, bias=bias), a)
        self.down1 = layer(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=bias), b)
        self.mix = layer(nn.Conv2d(b, b, 3, padding=1, bias=bias), b)
        self.down2 = layer(nn.Conv2d(b, c, 3, stride=2, padding=1, bias=bias), c)
        self.wide1 = layer(nn.Conv2d(c, c, 3, padding=1, bias=bias), c)
        self.wide2 = layer(nn.Conv2d(c, c, 3, padding=2, dilation=2, bias=bias), c)
        self.up2 = layer(nn.ConvTranspose2d(c, b, 2, stride=2, bias=bias), b)
        self.join2 = layer(nn.Conv2d(2 * b, b, 3, padding=1, bias=bias), b)
        self.up1 = layer(nn.ConvTranspose2d(b, a, 2, stride=2, bias=bias), a)
        self.join1 = layer(nn.Conv2d(2 * a, a, 3, padding=1, bias=bias), a)
        self.head = nn.Conv2d(a, len(OUTPUTS), 1)

    def forward(self, density: Tensor) -> Tensor:
        """Give the logits of nucleus, cell and centers.

        Parameters
        ----------
        density : Tensor of float32, shape (B, 3, Y, X)
            Optical density of red, green and blue; Y and X multiples of 4.

        Returns
        -------
        Tensor, shape (B, 3, Y, X)
        """
        full = integrate_and_fire(self.stem(density), self.steps)
        mix = self._fire(self.mix, self._fire(self.down1, full))
        wide = self._fire(self.wide2, self._fire(self.wide1, self._fire(self.down2, mix)))
        mix = self._fire(self.join2, torch.cat([self._fire(self.up2, wide), mix], 2))
        full = self._fire(self.join1, torch.cat([self._fire(self.up1, mix), full], 2))
        logits: Tensor = self.head(full.sum(0))
        return logits

    def rates(self, density: Tensor) -> Tensor:
        """Give the logits of the network with firing rates in the place of spikes; see `firing_rate`."""

        def fire(layer: nn.Module, rate: Tensor) -> Tensor:
            return firing_rate(layer(rate), self.steps)

        full = fire(self.stem, density)
        mix = fire(self.mix, fire(self.down1, full))
        wide = fire(self.wide2, fire(self.wide1, fire(self.down2, mix)))
        mix = fire(self.join2, torch.cat([fire(self.up2, wide), mix], 1))
        full = fire(self.join1, torch.cat([fire(self.up1, mix), full], 1))
        logits: Tensor = self.head(full * self.steps)
        return logits

    def _fire(self, layer: nn.Module, spikes: Tensor) -> Tensor:
        steps, batch = spikes.shape[:2]
        current = layer(spikes.flatten(0, 1))
        return integrate_and_fire(current.unflatten(0, (steps, batch)))

    @torch.no_grad()
    def folded(self) -> SpikingUNet:
        """Give the network for use: batch norm folded into the convolutions, weights on the fixed-point grid."""
        bare = SpikingUNet(self.channels, self.steps, norm=False)
        # The head has no norm behind it.
        bare.head.load_state_dict({k: quantize(v, HEAD_BITS) for k, v in self.head.state_dict().items()})
        for name, module in self.named_children():
            if not isinstance(module, nn.Sequential):
                continue
            target, norm = getattr(bare, name), module[1].state_dict()
            conv = module[0]
            gain = norm["weight"] / torch.sqrt(norm["running_var"] + EPSILON)
            shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
            target[0].weight.copy_(quantize(conv.state_dict()["weight"] * gain.view(shape), WEIGHT_BITS))
            target[0].bias.copy_(quantize(norm["bias"] - norm["running_mean"] * gain, WEIGHT_BITS))
        bare.check()
        return bare.eval()

    def check(self) -> None:
        """Make sure that no sum inside can be rounded.

        Raises
        ------
        BundleError
            When weights are so large that one could.
        """
        for name, module in self.named_children():
            conv = module[0] if isinstance(module, nn.Sequential) else module
            if not isinstance(conv, nn.Conv2d | nn.ConvTranspose2d):
                continue
            weight = conv.weight.transpose(0, 1) if isinstance(conv, nn.ConvTranspose2d) else conv.weight
            bits = WEIGHT_BITS + (INPUT_BITS if name == "stem" else 0)
            largest = {"stem": 255 / 2**INPUT_BITS, "head": float(self.steps)}.get(name, 1.0)
            check_exact(weight, conv.bias, bits, largest, self.steps)
