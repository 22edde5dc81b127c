"""Random stain: more or less of each dye, another light; every class alike."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from leukoscope.classification.preprocess import Stain

from ._optical import to_density, to_pixels

__all__ = ["StainJitter", "stain_augment"]

# Azure and eosin of a Romanowsky stain: what the jitter turns about where no slide was looked at. Its white point and
# strengths are not used.
ROMANOWSKY = Stain((255.0, 255.0, 255.0), ((0.65, 0.70, 0.29), (0.27, 0.91, 0.31)), (1.0, 1.0))


@dataclass(frozen=True)
class StainJitter:
    """How much the stain is changed (after Tellez et al. 2018, in the dyes' own directions).

    Attributes
    ----------
    amount : float
        Standard deviation of the logarithm of each dye's factor.
    offset : float
        Standard deviation of what is added to each dye, in optical density.
    light : float
        Standard deviation of what is added to each channel's optical density: the lamp's color and brightness.
    stain : Stain
        Whose vectors are used; a fitted stain normalization's target suits best.
    """

    amount: float = 0.2
    offset: float = 0.05
    light: float = 0.03
    stain: Stain = field(default=ROMANOWSKY)


def stain_augment(rgb: torch.Tensor, cover: torch.Tensor, how: StainJitter, generator: torch.Generator) -> torch.Tensor:
    """Change the stain of crops.

    Parameters
    ----------
    rgb : float32 tensor (n, 3, h, w)
        0..255.
    cover : bool tensor (n, 1, h, w)
        The cells; outside, nothing changes.
    how : StainJitter
    generator : torch.Generator
        All randomness comes from it.

    Returns
    -------
    float32 tensor (n, 3, h, w)
    """
    n = len(rgb)
    basis = torch.from_numpy(how.stain.basis()).float()
    factor = torch.ones(n, 3)
    factor[:, :2] = torch.exp(how.amount * torch.randn(n, 2, generator=generator))
    offset = torch.zeros(n, 3)
    offset[:, :2] = how.offset * torch.randn(n, 2, generator=generator)
    light = how.light * torch.randn(n, 3, 1, 1, generator=generator)
    amounts = torch.einsum("nchw,cd->ndhw", to_density(rgb), torch.linalg.inv(basis))
    amounts = amounts * factor[:, :, None, None] + offset[:, :, None, None]
    density = torch.einsum("ndhw,dc->nchw", amounts, basis) + light
    return torch.where(cover, to_pixels(density), rgb)
