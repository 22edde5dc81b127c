"""Integrate-and-fire neurons that answer with bursts, differentiable by a surrogate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["burst", "burst_size", "spike_count"]


class _Level(torch.autograd.Function):
    """Rounding forward, the identity backward, between no spike and one in every step."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int) -> Tensor:
        ctx.save_for_backward(current)
        return spike_count(current * steps + 0.5, steps).div_(steps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (current,) = ctx.saved_tensors
        return gradients[0] * ((current > -0.5) & (current < 1.5)), None


def burst_size(current: Tensor, steps: int) -> Tensor:
    """Give how long neurons fire that add up their current over one window of T steps and spend it in the next.

    The neuron has no leak, a threshold of 1 and soft reset (a spike takes the threshold off the potential and keeps
    the rest). It starts half a spike ahead, so that the size of its burst rounds instead of truncating, and it fires
    once a step at most. Since it fires only when everything has arrived, the order of arrivals cannot matter: the
    "unevenness error" of Bu et al. 2022, from whose eq. 10 the formula is, does not occur.

    Parameters
    ----------
    current : Tensor
        A time step; mean over the window.
    steps : int
        T.

    Returns
    -------
    Tensor
        Spikes over T: multiples of 1/T from 0 to 1. Its gradient is that of the current, where that is near the range.
    """
    size: Tensor = _Level.apply(current, steps)
    return size


def spike_count(potential: Tensor, steps: int) -> Tensor:
    """Give how many spikes, 0 to `steps`, neurons have in them; `potential` is changed in place to hold them."""
    return potential.floor_().clamp_(0, steps)


def burst(count: Tensor, steps: int) -> Tensor:
    """Give the spikes of bursts, one a step from the window's first on.

    Parameters
    ----------
    count : Tensor, shape (B, C, H, W)
        As `spike_count` gives it.
    steps : int
        T.

    Returns
    -------
    Tensor, shape (T, B, C, H, W)
        0 or 1.
    """
    step = torch.arange(steps, device=count.device).view(-1, *[1] * count.ndim)
    return (step < count).to(count.dtype)
