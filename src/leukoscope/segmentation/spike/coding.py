"""From stain to spike times: planes of optical density, contrast filters, intensity-to-latency, inhibition.

Rank-order coding after Mozafari et al. 2018 (DoG and Gabor filters, strongest response fires first, point-wise
inhibition), with one difference that whole slides ask for: the edges of the latency bins are figures of the slide,
never of a tile, so that an empty tile has nothing to promote to a first spike.

Densities are whole numbers and filters sit on a fixed-point grid, so responses, and with them spike times, come out the
same bit for bit however an image is cut (see `fixedpoint`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .fixedpoint import quantize

__all__ = [
    "DENSITY_STEP",
    "FAMILIES",
    "FILTER_REACH",
    "density_planes",
    "dog_kernel",
    "gabor_kernel",
    "inhibit",
    "latency",
    "optical_density",
    "responses",
    "waves",
]

DENSITY_STEP = 1 / 128
FILTER_BITS = 10
GABOR_ANGLES = (22.5, 67.5, 112.5, 157.5)


@dataclass(frozen=True)
class Family:
    """Filters of one kind; its maps inhibit each other at a point if `rivals`."""

    name: str
    maps: int
    rivals: bool


# Planes: density in red (nuclei), in green (all stain), saturation, and what red absorbs beyond a red cell's share.
PLANES = 4
LEVEL_SIGMAS = (0.6, 1.6)
FAMILIES = (
    Family("level", 2 * PLANES * len(LEVEL_SIGMAS), rivals=False),
    Family("dog fine", 2, rivals=True),
    Family("dog wide", 2, rivals=True),
    Family("gabor", len(GABOR_ANGLES), rivals=True),
)
FILTER_REACH = 9  # px, of the widest filter


def optical_density(rgb: NDArray[np.uint8], white: tuple[float, float, float]) -> NDArray[np.uint8]:
    """Give the optical density of an image against the slide's white point.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
    white : tuple of 3 floats
        The empty background's color, 0..255.

    Returns
    -------
    ndarray of uint8, shape (3, Y, X)
        log10((white + 1) / (value + 1)) in steps of 1/128, 0..255. Exactly black pixels are a mask and count as empty.
    """
    table = np.log10((np.asarray(white) + 1) / (np.arange(256)[:, None] + 1))
    table = np.clip(np.rint(table / DENSITY_STEP), 0, 255).astype(np.uint8)
    density = np.stack([table[rgb[..., c], c] for c in range(3)])
    density[:, ~rgb.any(axis=2)] = 0
    return density


def density_planes(density: Tensor) -> Tensor:
    """Give the stain planes of optical density.

    Parameters
    ----------
    density : Tensor, shape (B, 3, Y, X)
        In steps of 1/128, whole numbers as float32.

    Returns
    -------
    Tensor of float32, shape (B, 4, Y, X)
        Red, green, saturation (largest minus smallest density), and red beyond a quarter of green; whole, 0..255.
    """
    red, green = density[:, 0], density[:, 1]
    saturation = density.amax(1) - density.amin(1)
    basophil = torch.clamp(red - torch.floor(green / 4), min=0)
    return torch.stack([red, green, saturation, basophil], 1)


def dog_kernel(size: int) -> Tensor:
    """Give an ON-center difference of Gaussians, `size` px wide, with sigmas of size/9 and 2·size/9; zero mean."""
    y, x = _grid(size)
    square = x * x + y * y
    gauss = [torch.exp(-square / (2 * s * s)) / (s * s) for s in (size / 9, 2 * size / 9)]
    kernel = gauss[0] / gauss[0].sum() - gauss[1] / gauss[1].sum()
    return kernel - kernel.mean()


def gabor_kernel(size: int, angle: float) -> Tensor:
    """Give a Gabor filter (Mozafari et al. 2018): `angle` in degrees, wavelength size/2, zero mean, maximum 1."""
    y, x = _grid(size)
    turn = math.radians(angle)
    along = x * math.cos(turn) + y * math.sin(turn)
    across = -x * math.sin(turn) + y * math.cos(turn)
    wavelength = size / 2
    sigma = 0.8 * wavelength
    kernel = torch.exp(-(along**2 + 0.09 * across**2) / (2 * sigma**2)) * torch.cos(2 * math.pi * along / wavelength)
    kernel = kernel - kernel.mean()
    return kernel / kernel.max()


def responses(planes: Tensor) -> Tensor:
    """Filter stain planes into the maps of `FAMILIES`, in their order.

    Parameters
    ----------
    planes : Tensor, shape (B, 4, Y, X)
        As `density_planes` gives them.

    Returns
    -------
    Tensor of float32, shape (B, maps, Y, X)
        Not below 0. Levels come as ON (how much stain) and OFF (how little) maps of each plane at two scales; DoG as ON
        and OFF of the red plane at two scales; Gabors as absolute responses of the green plane.
    """
    maps = []
    for sigma in LEVEL_SIGMAS:
        kernel = quantize(_gauss(sigma), FILTER_BITS)
        level = _filter(planes.flatten(0, 1)[:, None], kernel[None]).view_as(planes)
        maps += [level, torch.clamp(128 - level, min=0)]
    red, green = planes[:, :1], planes[:, 1:2]
    for size in (7, 19):
        contrast = _filter(red, quantize(dog_kernel(size), FILTER_BITS)[None])
        maps += [torch.clamp(contrast, min=0), torch.clamp(-contrast, min=0)]
    gabors = torch.stack([quantize(gabor_kernel(5, a) / 8, FILTER_BITS) for a in GABOR_ANGLES])
    maps.append(_filter(green, gabors).abs())
    return torch.cat(maps, 1)


def latency(response: Tensor, edges: Tensor) -> Tensor:
    """Turn responses into spike times: the strongest fire first.

    Parameters
    ----------
    response : Tensor, shape (B, maps, Y, X)
    edges : Tensor, shape (maps, T)
        Falling, per map: a response of at least `edges[m, t]` fires at t or before. The slide's, or the training set's.

    Returns
    -------
    Tensor of int16, shape (B, maps, Y, X)
        0..T-1; T where the response is too weak to fire.
    """
    steps = edges.shape[1]
    time = torch.full(response.shape, steps, dtype=torch.int16, device=response.device)
    for t in range(steps):
        time -= (response >= edges[:, t].view(1, -1, 1, 1)).to(torch.int16)
    return time


def inhibit(time: Tensor, steps: int) -> Tensor:
    """Silence, within each family of rivals, all but the earliest map at every point (ties: the first map).

    Parameters
    ----------
    time : Tensor of int16, shape (B, maps, Y, X)
        Maps as in `FAMILIES`.
    steps : int
        T, the time of those who are silent.
    """
    out, first = [], 0
    for family in FAMILIES:
        part = time[:, first : first + family.maps]
        if family.rivals:
            winner = torch.zeros_like(part, dtype=torch.bool).scatter_(1, part.argmin(1, keepdim=True), True)
            part = torch.where(winner, part, torch.full_like(part, steps))
        out.append(part)
        first += family.maps
    return torch.cat(out, 1)


def waves(time: Tensor, steps: int) -> Tensor:
    """Give the cumulative spike waves (T, ...) of spike times: wave t holds what fired at t or before; float32."""
    return torch.stack([(time <= t).float() for t in range(steps)])


def _grid(size: int) -> tuple[Tensor, Tensor]:
    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return y, x


def _gauss(sigma: float) -> Tensor:
    y, x = _grid(2 * math.ceil(2.5 * sigma) + 1)
    kernel = torch.exp(-(x * x + y * y) / (2 * sigma * sigma))
    return kernel / kernel.sum()


def _filter(image: Tensor, kernels: Tensor) -> Tensor:
    """Correlate (B, 1, Y, X) with (n, k, k); what lies outside is empty."""
    return functional.conv2d(image, kernels[:, None].to(image), padding=kernels.shape[-1] // 2)
