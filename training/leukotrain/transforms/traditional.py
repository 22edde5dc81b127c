"""Traditional augmentation: flip, turn, shift and zoom, by torchvision; optionally stain and blur after."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torchvision import tv_tensors  # type: ignore[import-untyped]
from torchvision.transforms import v2  # type: ignore[import-untyped]

from leukoscope.classification.preprocess import Chain

from .augment import finished, split
from .blur import blur_augment
from .stain import StainJitter, stain_augment

__all__ = ["Traditional", "traditional"]


@dataclass(frozen=True)
class Traditional:
    """How much is changed; the defaults are the references' (WBC-GAN turns by 10° only).

    Attributes
    ----------
    flip : float
        Probability of a horizontal flip.
    degrees : float
        Crops are turned by at most so much, either way.
    shift : float
        Moved by at most this share of the width and height.
    zoom : float
        Shown from 1 - zoom to 1 + zoom times as large.
    blur : float
        The largest standard deviation of a Gaussian blur, in pixels; 0: none.
    stain : StainJitter or None
        None: colors stay.
    """

    flip: float = 0.5
    degrees: float = 30.0
    shift: float = 0.1
    zoom: float = 0.2
    blur: float = 0.0
    stain: StainJitter | None = None


def traditional(
    pixels: torch.Tensor, size: int, how: Traditional, generator: torch.Generator, chain: Chain | None = None
) -> torch.Tensor:
    """Give cached crops as the network sees them in training; takes the place of `augment`.

    Parameters
    ----------
    pixels : uint8 tensor (n, fine, fine, 4)
        Red, green, blue, cover.
    size : int
    how : Traditional
    generator : torch.Generator
        All randomness comes from it: torchvision's own, global one is seeded by it and put back afterwards.
    chain : Chain, optional
        Steps done with the crop after that, as at inference.

    Returns
    -------
    float32 tensor (n, 3, size, size)
        0..255, white around the cell.
    """
    change = v2.Compose(
        [
            v2.RandomHorizontalFlip(how.flip),
            v2.RandomAffine(
                how.degrees,
                translate=(how.shift, how.shift),
                scale=(1 - how.zoom, 1 + how.zoom),
                interpolation=v2.InterpolationMode.BILINEAR,
            ),
        ]
    )
    fine = pixels.permute(0, 3, 1, 2).float()
    moved = torch.empty_like(fine)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        for i, crop in enumerate(fine):
            moved[i] = change(tv_tensors.Image(crop))
    # the frame that a turn leaves empty has no cover, and is painted over with all that is not the cell
    rgb, cover = split(F.interpolate(moved, size=(size, size), mode="bilinear", antialias=True, align_corners=False))
    if how.stain is not None:
        rgb = stain_augment(rgb, cover, how.stain, generator)
    if how.blur > 0:
        rgb = blur_augment(rgb, cover, how.blur, generator)
    return finished(rgb, cover, chain)
