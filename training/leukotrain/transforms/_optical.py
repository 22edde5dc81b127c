"""Optical density and back, as all changes of color use it."""

from __future__ import annotations

import torch

__all__ = ["to_density", "to_pixels"]


def to_density(rgb: torch.Tensor) -> torch.Tensor:
    """Give the optical density (natural logarithm, white 0) of 0..255."""
    return -torch.log((rgb + 1) / 256)


def to_pixels(density: torch.Tensor) -> torch.Tensor:
    """Give 0..255 of an optical density."""
    return (256 * torch.exp(-density) - 1).clamp(0, 255)
