"""Random Gaussian blur: the bundle's own blur, of a width drawn for each crop, every class alike."""

from __future__ import annotations

import torch

from leukoscope.classification.preprocess import blurred

__all__ = ["blur_augment"]


def blur_augment(rgb: torch.Tensor, cover: torch.Tensor, most: float, generator: torch.Generator) -> torch.Tensor:
    """Blur each crop by a width from 0 to `most`, uniformly drawn.

    Parameters
    ----------
    rgb : float32 tensor (n, 3, h, w)
    cover : bool tensor (n, 1, h, w)
    most : float
        The largest standard deviation in pixels; 2 in the experiments that this follows.
    generator : torch.Generator
        All randomness comes from it. It never sees a label: no class can be blurred alone.

    Returns
    -------
    float32 tensor (n, 3, h, w)
    """
    sigmas = (most * torch.rand(len(rgb), generator=generator)).tolist()
    return torch.stack([blurred(rgb[i], sigma, cover[i]) for i, sigma in enumerate(sigmas)]) if len(rgb) else rgb
