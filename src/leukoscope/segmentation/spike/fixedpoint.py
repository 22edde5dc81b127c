"""Weights on a fixed-point grid, so that a network's sums come out the same in every order.

A float32 holds every integer up to 2^24 exactly. Spikes are 0 or 1 and pixels small integers; where weights are
integers times 2^-k as well, every partial sum is an integer times 2^-k, and as long as it stays below 2^24 of those no
sum is ever rounded. Then neither the size of a tile, nor the number of threads, nor the order in which a library adds
can change one bit of the result.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import BundleError

__all__ = ["EXACT", "check_exact", "quantize"]

EXACT = 2**24
"""Integers of float32 are exact below this."""


def quantize(weight: Tensor, bits: int = 8, limit: int = 2047) -> Tensor:
    """Round to the nearest multiple of 2^-bits.

    Parameters
    ----------
    weight : Tensor of float
    bits : int
        Fractional bits.
    limit : int
        Largest multiple allowed. 2047 takes 11 bits, which half precision and TF32 hold exactly, too.

    Returns
    -------
    Tensor of float32
    """
    scale = float(2**bits)
    return torch.clamp(torch.round(weight.detach().double() * scale), -limit, limit).float() / scale


def check_exact(weight: Tensor, bias: Tensor | None, bits: int, largest: float, steps: int = 1) -> None:
    """Make sure that no sum of a layer can be rounded.

    Parameters
    ----------
    weight : Tensor, shape (out, in, ...)
    bias : Tensor or None, shape (out,)
    bits : int
        Fractional bits of the sums: those of the weights plus those of the inputs.
    largest : float
        The largest input; 1 for spikes.
    steps : int
        Over how many time steps a neuron adds up.

    Raises
    ------
    BundleError
        When a potential could reach 2^24 units.
    """
    reach = weight.detach().double().abs().flatten(1).sum(1) * largest
    if bias is not None:
        reach = reach + bias.detach().double().abs()
    if not bool(torch.isfinite(reach).all()) or float(reach.max()) * steps * 2.0**bits >= EXACT:
        raise BundleError("the weights are too large for exact sums", "Train with weight decay, or use fewer bits.")
