"""Spike-timing-dependent plasticity, plain and modulated by reward (Mozafari et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Rates", "first_spikes", "rstdp", "stdp", "winners"]


@dataclass(frozen=True)
class Rates:
    """Learning rates: `plus` for synapses that fired no later than the neuron, `minus` for the others."""

    reward_plus: float = 0.005
    reward_minus: float = -0.0025
    punish_plus: float = -0.005
    punish_minus: float = 0.0005

    def adapted(self, hits: int, misses: int) -> Rates:
        """Scale for the next epoch: reward by the share of misses, punishment by that of hits, from 0.2 to 1."""
        total = max(1, hits + misses)
        reward, punish = 0.2 + 0.8 * misses / total, 0.2 + 0.8 * hits / total
        return Rates(
            self.reward_plus * reward, self.reward_minus * reward, self.punish_plus * punish, self.punish_minus * punish
        )


def first_spikes(time: Tensor, weight: Tensor, threshold: float, steps: int) -> tuple[Tensor, Tensor]:
    """Let non-leaky neurons integrate spikes until each fires once.

    Parameters
    ----------
    time : Tensor of int, shape (N, D)
        When each synapse's input fires; `steps` for never.
    weight : Tensor, shape (M, D)
    threshold : float
    steps : int
        T.

    Returns
    -------
    fired : Tensor of int64, shape (N, M)
        When each neuron fires; T for never.
    potential : Tensor, shape (N, M)
        At that moment; at the end for those that never fire.
    """
    fired = torch.full((len(time), len(weight)), steps, dtype=torch.int64)
    potential = torch.zeros(len(time), len(weight))
    for t in range(steps):
        now = (time <= t).to(weight.dtype) @ weight.T
        waiting = fired == steps
        potential = torch.where(waiting, now, potential)
        fired = torch.where(waiting & (now >= threshold), t, fired)
    return fired, potential


def winners(fired: Tensor, potential: Tensor, steps: int) -> Tensor:
    """Give the earliest neuron of each row, by potential where several are; -1 where none fired; int64 (N,)."""
    earliest = fired.amin(1, keepdim=True)
    best = torch.where(fired == earliest, potential, torch.full_like(potential, -torch.inf)).argmax(1)
    return torch.where(earliest[:, 0] < steps, best, -1)


def stdp(
    weight: Tensor,
    pre: Tensor,
    post: Tensor,
    plus: float = 0.004,
    minus: float = -0.003,
    low: float = 0.0,
    high: float = 1.0,
) -> Tensor:
    """Give the weights of neurons that fired, after one update: w + a·(w − low)·(high − w).

    Parameters
    ----------
    weight : Tensor, shape (N, D)
        Of the winner of each event.
    pre : Tensor of int, shape (N, D)
        When each synapse's input fired.
    post : Tensor of int, shape (N,)
        When the winner fired.
    plus, minus : float
        a where the input fired no later than the neuron, and elsewhere.
    low, high : float
        Bounds of the weights.

    Returns
    -------
    Tensor, shape (N, D)
    """
    rate = torch.where(pre <= post[:, None], plus, minus)
    return torch.clamp(weight + rate * (weight - low) * (high - weight), low, high)


def rstdp(weight: Tensor, winner: Tensor, pre: Tensor, post: Tensor, right: Tensor, rates: Rates) -> Tensor:
    """Give the weights after a batch of decisions, each rewarded or punished; silence changes nothing.

    Parameters
    ----------
    weight : Tensor, shape (M, D)
    winner : Tensor of int, shape (N,)
        The deciding neuron; -1 for none.
    pre : Tensor of int, shape (N, D)
        When each synapse's input fired.
    post : Tensor of int, shape (N,)
        When the winner fired.
    right : Tensor of bool, shape (N,)
        Whether the winner is of the right class.
    rates : Rates

    Returns
    -------
    Tensor, shape (M, D)
        The changes of a batch add up; weights stay within 0 and 1.
    """
    some = winner >= 0
    winner, pre, post, right = winner[some], pre[some], post[some], right[some]
    chosen = weight[winner]
    early = pre <= post[:, None]
    reward = torch.where(early, rates.reward_plus, rates.reward_minus)
    punish = torch.where(early, rates.punish_plus, rates.punish_minus)
    change = torch.where(right[:, None], reward, punish) * chosen * (1 - chosen)
    return torch.clamp(weight.index_add(0, winner, change.to(weight.dtype)), 0, 1)
