"""Gaussian blur: of fixed width at inference; training draws the width and calls the same function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

import numpy as np
import torch

from .base import Crops, FittedOn, Image, Mask, Masks, Step

__all__ = ["GaussianBlur", "blurred"]

LEAST: Final = 0.05  # px: below, the kernel is one pixel


def blurred(rgb: torch.Tensor, sigma: float, cover: torch.Tensor | None = None) -> torch.Tensor:
    """Blur pictures by torchvision's Gaussian; what lies outside the cell does not bleed into it.

    Parameters
    ----------
    rgb : float32 tensor (..., 3, h, w)
    sigma : float
        Standard deviation in pixels; below 0.05 the pictures stay as they are.
    cover : bool tensor (..., 1, h, w), optional
        The cells. Weights outside are 0, and the rest sum to 1 (normalized convolution, Knutsson & Westin 1993).

    Returns
    -------
    float32 tensor (..., 3, h, w)
        Outside the cells as it was.
    """
    from torchvision.transforms.v2 import functional  # type: ignore[import-untyped] # slow; few models blur

    # torchvision reflects at the border, which a kernel wider than the picture cannot
    reach = min(round(4 * sigma + 0.5), min(rgb.shape[-2:]) - 1)
    if sigma < LEAST or reach < 1:
        return rgb
    size = [2 * reach + 1] * 2
    if cover is None:
        soft: torch.Tensor = functional.gaussian_blur(rgb, size, [sigma, sigma])
        return soft
    weight = cover.to(rgb.dtype)
    both = functional.gaussian_blur(torch.cat([rgb * weight, weight], dim=-3), size, [sigma, sigma])
    soft = both[..., :-1, :, :] / both[..., -1:, :, :].clamp(min=1e-6)
    return torch.where(cover, soft, rgb)


@dataclass(frozen=True, eq=False)
class GaussianBlur(Step):
    """Every crop blurred alike, whatever its class.

    Attributes
    ----------
    sigma : float
        Standard deviation in pixels of the crop.
    """

    name: ClassVar[str] = "gaussian_blur"
    sigma: float = 1.0

    @classmethod
    def fit(cls, crops: Crops, masks: Masks, groups: Sequence[str], *, sigma: float = 1.0) -> Self:
        """Take the width as given: nothing of the crops decides it. Else as `Step.fit`."""
        FittedOn.of(crops, groups)
        return cls(None, sigma)

    def parameters(self) -> dict[str, Any]:
        """Give the parameters as plain JSON values."""
        return {"sigma": self.sigma}

    def _one(self, image: Image, mask: Mask) -> Image:
        rgb = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float()
        cover = None if mask.all() else torch.from_numpy(mask)[None]
        soft = blurred(rgb, self.sigma, cover)
        return np.ascontiguousarray((soft + 0.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy())
