"""Training of the first-spike network by reward-modulated STDP."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from leukoscope.segmentation.spike.coding import density_planes, inhibit, latency, responses
from leukoscope.segmentation.spike.firstspike import CLASSES, FirstSpikeNetwork
from leukoscope.segmentation.spike.plasticity import Rates, first_spikes, rstdp, winners

from .bank import Canvas
from .scenes import SceneMaker

__all__ = ["bin_edges", "learn", "pixels", "train_rstdp"]

STEPS = 15
KERNEL = 3
MAPS = 10  # per class
BATCH = 30
SILENCED = 0.3  # part of the maps that sit out an epoch, so that all learn


def train_rstdp(
    bank: list[Canvas],
    epochs: int = 12,
    seed: int = 0,
    scenes: int = 400,
    mpp: float = 0.5,
    threshold: float = 0.4,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[FirstSpikeNetwork, float]:
    """Train the first-spike network on pixels of scenes, as many of each class.

    Parameters
    ----------
    bank : list of Canvas
        None of it from groups held out.
    epochs, seed, scenes : int
    mpp : float
        Working resolution, µm per pixel.
    threshold : float
        Of the neurons, as part of the potential that a pixel's inputs reach at full weight, in the median.
    progress : callable, optional
        Takes the epoch and the part of pixels decided rightly in it.

    Returns
    -------
    network : FirstSpikeNetwork
    stain : float
        Median density, in steps of 1/128, of what is stained in the training scenes.
    """
    rng = np.random.default_rng(seed)
    maker = SceneMaker(bank, mpp=mpp)
    made = [maker.make(rng) for _ in range(scenes)]
    density = torch.from_numpy(np.stack([s.density for s in made])) * 128
    truth = np.stack([_classes(s.target, s.known) for s in made])
    response = torch.cat([responses(density_planes(d[None])) for d in density])
    edges = bin_edges(response, torch.from_numpy(truth))
    time = torch.cat([inhibit(latency(r[None], edges), STEPS) for r in response])
    inputs, labels = pixels(time, truth, 4000, rng)
    green = density[:, 1]
    weight, level = learn(inputs, labels, epochs, seed, threshold, progress=progress)
    shape = (len(weight), time.shape[1], KERNEL, KERNEL)
    return FirstSpikeNetwork(weight.view(shape), edges, level), float(green[green > 8].median())


def _classes(target: np.ndarray, known: np.ndarray) -> np.ndarray:
    """0 background, 1 cytoplasm, 2 nucleus, -1 not known."""
    classes = np.where(target[0] > 0, 2, np.where(target[1] > 0, 1, 0))
    return np.where((known[0] > 0) & (known[1] > 0), classes, -1)


def bin_edges(response: Tensor, truth: Tensor, steps: int = STEPS) -> Tensor:
    """Give bin edges by which each map's responses fall into bins of equal count, every class weighing alike.

    Parameters
    ----------
    response : Tensor, shape (B, maps, Y, X)
    truth : Tensor of int, shape (B, Y, X)
        Class of each pixel; -1 where not known.
    steps : int
        T.

    Returns
    -------
    Tensor of float32, shape (maps, T)
        Falling, at least 1.
    """
    parts = []
    for label in range(len(CLASSES)):
        found = response.movedim(1, -1)[truth == label]
        parts.append(found[torch.linspace(0, len(found) - 1, min(len(found), 20_000)).long()])
    sample = torch.cat(parts)
    edges = []
    for m in range(sample.shape[1]):
        some = sample[:, m][sample[:, m] > 0]
        levels = torch.linspace(1 - 1 / steps, 0, steps)
        edges.append(torch.quantile(some, levels) if len(some) else torch.full((steps,), 255.0))
    return torch.stack(edges).round().clamp(min=1)


def pixels(time: Tensor, truth: np.ndarray, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw pixels, `count` of each class, with the spike times of the window around each.

    Returns
    -------
    inputs : Tensor of int16, shape (classes * count, maps * k * k)
    labels : Tensor of int64, shape (classes * count,)
    """
    reach = KERNEL // 2
    inner = truth.copy()
    inner[:, :reach], inner[:, -reach:], inner[:, :, :reach], inner[:, :, -reach:] = -1, -1, -1, -1
    inputs, labels = [], []
    for label in range(len(CLASSES)):
        at = np.argwhere(inner == label)
        at = at[rng.choice(len(at), count, replace=len(at) < count)]
        b, y, x = (torch.from_numpy(a)[:, None, None] for a in at.T)
        step = torch.arange(-reach, reach + 1)
        windows = time[b, :, y + step[None, :, None], x + step[None, None, :]]  # (count, k, k, maps)
        inputs.append(windows.movedim(-1, 1).flatten(1))
        labels += [label] * count
    order = torch.from_numpy(rng.permutation(len(labels)))
    return torch.cat(inputs)[order], torch.tensor(labels)[order]


def learn(
    inputs: Tensor,
    labels: Tensor,
    epochs: int,
    seed: int = 0,
    threshold: float = 0.4,
    maps: int = MAPS,
    rates: Rates | None = None,
    steps: int = STEPS,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[Tensor, float]:
    """Learn by R-STDP which neuron should fire first.

    Parameters
    ----------
    inputs : Tensor of int, shape (N, D)
        Spike times; `steps` for never.
    labels : Tensor of int, shape (N,)
        Classes from 0, as many of each.
    epochs, seed : int
    threshold : float
        As part of the median of how many inputs ever fire.
    maps : int
        Neurons per class.
    rates : Rates, optional
        The reference's by default; scaled after every epoch by its hits and misses.
    steps : int
        T.
    progress : callable, optional
        Takes the epoch and the part of right decisions in it.

    Returns
    -------
    weight : Tensor, shape (classes * maps, D)
    threshold : float
    """
    rates = rates or Rates()
    generator = torch.Generator().manual_seed(seed)
    classes = int(labels.max()) + 1
    weight = torch.normal(0.8, 0.05, (classes * maps, inputs.shape[1]), generator=generator).clamp(0, 1)
    level = threshold * 0.8 * float((inputs < steps).sum(1).float().median())
    now = rates
    for epoch in range(epochs):
        hits = misses = 0
        awake = torch.rand(len(weight), generator=generator) >= SILENCED
        for chosen in torch.randperm(len(labels), generator=generator).split(BATCH):  # type: ignore[no-untyped-call]
            fired, potential = first_spikes(inputs[chosen], weight, level, steps)
            fired = torch.where(awake, fired, steps)
            winner = winners(fired, potential, steps)
            right = (winner >= 0) & (winner // maps == labels[chosen])
            post = fired.gather(1, winner.clamp(min=0)[:, None])[:, 0]
            weight = rstdp(weight, winner, inputs[chosen], post, right, now)
            hits += int(right.sum())
            misses += int(((winner >= 0) & ~right).sum())
        now = rates.adapted(hits, misses)
        if progress is not None:
            progress(epoch, hits / len(labels))
    return weight, level
