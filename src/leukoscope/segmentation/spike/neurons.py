"""Integrate-and-fire neurons with soft reset, differentiable by a surrogate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["firing_rate", "integrate_and_fire"]


class _Spike(torch.autograd.Function):
    """A step forward, the slope of an arctangent backward (Fang et al. 2021, eq. 12; alpha 2)."""

    @staticmethod
    def forward(ctx: Any, potential: Tensor) -> Tensor:
        ctx.save_for_backward(potential)
        spike: Tensor = (potential >= 0).to(potential.dtype)
        return spike

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (potential,) = ctx.saved_tensors
        slope: Tensor = gradients[0] / (1 + (torch.pi * potential).square())
        return slope


def integrate_and_fire(current: Tensor, steps: int | None = None, threshold: float = 1.0) -> Tensor:
    """Run non-leaky neurons with soft reset: a spike takes the threshold off the potential and keeps the rest.

    Parameters
    ----------
    current : Tensor, shape (T, B, C, H, W); or (B, C, H, W) with `steps`
        Input current per time step; with `steps`, one current that stays on.
    steps : int, optional
        T, for a current that stays on.
    threshold : float
        At which a neuron fires.

    Returns
    -------
    Tensor, shape (T, B, C, H, W)
        Spikes, 0 or 1.
    """
    currents = [current] * steps if steps else list(current.unbind(0))
    potential = torch.full_like(currents[0], threshold / 2)  # half a spike ahead: rates round instead of truncate
    if not current.requires_grad:
        out = currents[0].new_empty((len(currents), *potential.shape))
        for spike, now in zip(out, currents, strict=True):
            torch.ge(potential.add_(now), threshold, out=spike)
            potential.sub_(spike, alpha=threshold)
        return out
    spikes = []
    for now in currents:
        potential = potential + now
        fired: Tensor = _Spike.apply(potential - threshold)
        potential = potential - threshold * fired.detach()
        spikes.append(fired)
    return torch.stack(spikes)


class _Level(torch.autograd.Function):
    """Rounding forward, the identity backward, between no spike and one in every step."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, steps: int) -> Tensor:
        ctx.save_for_backward(current)
        return torch.floor(current * steps + 0.5).clamp_(0, steps).div_(steps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (current,) = ctx.saved_tensors
        return gradients[0] * ((current > -0.5) & (current < 1.5)), None


def firing_rate(current: Tensor, steps: int) -> Tensor:
    """Give the rate at which `integrate_and_fire` fires under a current that stays on (Bu et al. 2022, eq. 10).

    A network trained so costs one step instead of T, and is a good start for training with spikes.

    Parameters
    ----------
    current : Tensor
    steps : int
        T.

    Returns
    -------
    Tensor
        Multiples of 1/T from 0 to 1.
    """
    rate: Tensor = _Level.apply(current, steps)
    return rate
