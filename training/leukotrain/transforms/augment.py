"""Random changes of a batch of crops, every class and every source alike.

Each laboratory's style goes with some classes only (C-NMC shows no neutrophils, PBC no blasts). Whatever tells one
laboratory from another besides the cell is therefore varied more than it varies between laboratories: color, contrast,
focus, grain, the outline's edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom

from leukoscope.classification.preprocess import Chain

from ._optical import to_density, to_pixels

__all__ = ["Augmentation", "augment", "finished", "plain", "resized", "split"]

Batch = torch.Tensor

ODD = 3.0  # times the usual change of color


@dataclass(frozen=True)
class Augmentation:
    """How much is changed.

    Attributes
    ----------
    scale : float
        Standard deviation of the logarithm of the size.
    unscaled : float
        Share of crops in which the cell is shown at `cell_um` across, as where its scale is unknown.
    cell_um : float
        That diameter, in µm.
    shift : float
        Of the center, as a share of the crop's width, at most.
    density : float
        Standard deviation of the logarithm of each channel's optical density factor.
    offset : float
        Standard deviation of what is added to each channel's optical density.
    mix : float
        Standard deviation of the leakage of one channel's optical density into another.
    odd : float
        Share of crops of which the colors are changed three times as much: stains that no source shows.
    blur : float
        The largest standard deviation of the Gaussian blur, in pixels of the network's input.
    noise : float
        The largest standard deviation of the grain, of 255.
    erode : int
        The outline is drawn in by at most so many pixels.
    """

    scale: float = 0.05
    unscaled: float = 0.1
    cell_um: float = 12.0
    shift: float = 0.03
    density: float = 0.18
    offset: float = 0.08
    mix: float = 0.05
    odd: float = 0.3
    blur: float = 1.3
    noise: float = 8.0
    erode: int = 2


def plain(pixels: Batch, size: int, chain: Chain | None = None) -> Batch:
    """Give cached crops as the network sees them at inference.

    Parameters
    ----------
    pixels : uint8 tensor (n, fine, fine, 4)
        Red, green, blue, cover.
    size : int
    chain : Chain, optional
        The model's steps, of which those on crops are done.

    Returns
    -------
    float32 tensor (n, 3, size, size)
        0..255, white around the cell.
    """
    return finished(*resized(pixels, size), chain)


def resized(pixels: Batch, size: int) -> tuple[Batch, Batch]:
    """Give cached crops at the network's size: colors (n, 3, size, size) and cover (n, 1, size, size)."""
    x = pixels.permute(0, 3, 1, 2).float()
    return split(F.interpolate(x, size=(size, size), mode="bilinear", antialias=True, align_corners=False))


def split(x: Batch) -> tuple[Batch, Batch]:
    """Part four channels into colors and a cover of bool."""
    return x[:, :3], x[:, 3:] > 127


def finished(rgb: Batch, cover: Batch, chain: Chain | None = None) -> Batch:
    """Paint white around the cells and do the model's steps on crops, as at inference.

    Parameters
    ----------
    rgb : float32 tensor (n, 3, h, w)
        0..255; rounded to whole numbers only where there are steps, which see such pixels at inference too.
    cover : bool tensor (n, 1, h, w)
    chain : Chain, optional
    """
    rgb = _paint(rgb, cover)
    if chain is None or not any(step.stage == "crop" for step in chain.steps):
        return rgb
    crops = (rgb + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    return torch.from_numpy(chain.on_crop(crops, cover[:, 0].numpy())).permute(0, 3, 1, 2).float()


def augment(
    pixels: Batch,
    diameters: Batch,
    size: int,
    how: Augmentation,
    generator: torch.Generator,
    chain: Chain | None = None,
) -> Batch:
    """Give cached crops as the network sees them in training.

    Parameters
    ----------
    pixels : uint8 tensor (n, fine, fine, 4)
        Red, green, blue, cover.
    diameters : float32 tensor (n,)
        Of the cells, in µm.
    size : int
    how : Augmentation
    generator : torch.Generator
        All randomness comes from it.
    chain : Chain, optional
        Steps done with the crop after that, as at inference.

    Returns
    -------
    float32 tensor (n, 3, size, size)
        0..255, white around the cell.
    """
    n = len(pixels)

    def normal(*shape: int) -> Batch:
        return torch.randn(*shape, generator=generator)

    def uniform(*shape: int) -> Batch:
        return torch.rand(*shape, generator=generator)

    x = pixels.permute(0, 3, 1, 2).float()
    angle = uniform(n) * 2 * math.pi
    zoom = torch.exp(how.scale * normal(n))
    zoom = torch.where(uniform(n) < how.unscaled, zoom * how.cell_um / diameters.clamp(min=1.0), zoom)
    flip = torch.where(uniform(n) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    shift = (uniform(n, 2) * 2 - 1) * 2 * how.shift
    theta = torch.stack(
        [torch.stack([cos * flip, -sin, shift[:, 0]], 1), torch.stack([sin * flip, cos, shift[:, 1]], 1)], 1
    )
    grid = F.affine_grid(theta, [n, 4, size, size], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    rgb, cover = split(x)
    more = torch.where(uniform(n) < how.odd, ODD, 1.0)[:, None]
    rgb = _color(rgb, cover, how, more * normal(n, 3), more * normal(n, 3), more[..., None] * normal(n, 3, 3))
    rgb = _focus(rgb, how, uniform(n), uniform(n))
    grain = normal(n, 3, size, size) * (how.noise * uniform(n, 1, 1, 1) * (uniform(n, 1, 1, 1) < 0.5))
    return finished((rgb + grain).clamp(0, 255), _eroded(cover, how, uniform(n)), chain)


def _color(rgb: Batch, cover: Batch, how: Augmentation, factor: Batch, offset: Batch, leak: Batch) -> Batch:
    mixing = torch.eye(3) + how.mix * leak
    density = torch.einsum("nij,njhw->nihw", mixing, to_density(rgb))
    density = density * torch.exp(how.density * factor)[:, :, None, None] + how.offset * offset[:, :, None, None]
    return torch.where(cover, to_pixels(density), rgb)


def _focus(rgb: Batch, how: Augmentation, amount: Batch, choice: Batch) -> Batch:
    """Blur a half of the crops, sharpen a quarter."""
    sigma = (how.blur * amount).clamp(min=0.05)[:, None]
    at = torch.arange(-4, 5, dtype=torch.float32)[None]
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    n, _, height, width = rgb.shape
    flat = F.pad(rgb.reshape(1, 3 * n, height, width), (4, 4, 4, 4), mode="replicate")
    soft = F.conv2d(flat, kernel[:, None, None, :], groups=3 * n)
    soft = F.conv2d(soft, kernel[:, None, :, None], groups=3 * n).reshape(n, 3, height, width)
    choice = choice[:, None, None, None]
    return torch.where(choice < 0.5, soft, torch.where(choice < 0.75, 2 * rgb - soft, rgb)).clamp(0, 255)


def _eroded(cover: Batch, how: Augmentation, amount: Batch) -> Batch:
    """Draw the outlines in by 0 to `how.erode` pixels."""
    steps = (amount * (how.erode + 1)).floor()[:, None, None, None]
    outside = (~cover).float()
    for i in range(how.erode):
        outside = torch.where(steps > i, F.max_pool2d(outside, 3, 1, 1), outside)
    return outside < 0.5


def _paint(rgb: Batch, cover: Batch) -> Batch:
    return torch.where(cover, rgb, torch.tensor(255.0))
