"""Training of the spiking U-Net."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from leukoscope.segmentation.spike.gate import gate_blocks
from leukoscope.segmentation.spike.unet import SpikingUNet
from leukotrain.checkpoint import bytes_needed, moments, restore_moments
from leukotrain.space import check_space

from .bank import Canvas
from .scenes import SceneMaker

__all__ = ["segmentation_loss", "train_snn"]

WEIGHTS = (1.0, 1.0, 1.0)  # nucleus, cell, centers
BATCH = 16
SCENE_UM = 32
SETTLED_PART = 0.15  # of the epochs, the last ones: the norms' statistics stay as they are in use


class _Scenes(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Endless scenes by number; scene i is the same on every machine and in every worker."""

    def __init__(self, maker: SceneMaker, seed: int, first: int, count: int) -> None:
        self.maker, self.seed, self.first, self.count = maker, seed, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        scene = self.maker.make(np.random.default_rng([self.seed, self.first + index]))
        return torch.from_numpy(scene.density), torch.from_numpy(scene.target), torch.from_numpy(scene.known)


def segmentation_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Cross entropy and soft Dice per map, where the truth is known.

    Parameters
    ----------
    logits, target, known : Tensor, shape (B, 3, Y, X)

    Returns
    -------
    Tensor, a scalar
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * known
    per_map = entropy.sum((0, 2, 3)) / known.sum((0, 2, 3)).clamp(min=1)
    found = torch.sigmoid(logits) * known
    truth = target * known
    overlap = (found * truth).sum((0, 2, 3))
    dice = 1 - (2 * overlap + 1) / (found.sum((0, 2, 3)) + truth.sum((0, 2, 3)) + 1)
    weights = torch.tensor(WEIGHTS, device=logits.device)
    return (weights * (per_map * 3 + dice)).sum() / weights.sum()


def train_snn(
    bank: list[Canvas],
    out: Path,
    epochs: int = 40,
    seed: int = 0,
    scenes_per_epoch: int = 1024,
    channels: tuple[int, int, int] = (24, 48, 64),
    steps: int = 4,
    mpp: float = 0.25,
    rate: float = 4e-3,
    workers: int = 0,
    progress: Callable[[int, float], None] | None = None,
    network: type[SpikingUNet] = SpikingUNet,
    start: Path | None = None,
) -> SpikingUNet:
    """Train; continues from the checkpoint in `out`, where there is one of the same settings.

    Parameters
    ----------
    bank : list of Canvas
        None of it from groups held out.
    out : Path
        Receives `checkpoint.safetensors` after every epoch.
    epochs, scenes_per_epoch : int
    seed : int
        Scenes and initial weights follow from it.
    channels, steps
        Of the network.
    mpp : float
        Working resolution, µm per pixel.
    rate : float
        Largest learning rate; falls along a cosine.
    workers : int
        Processes that make scenes.
    progress : callable, optional
        Takes the epoch and its mean loss.
    network : type of SpikingUNet
        Another kind of neuron in the same layers, to compare with.
    start : Path, optional
        A checkpoint of other data or settings, whose weights this one goes on from.

    Returns
    -------
    SpikingUNet
        With batch norm; `folded()` gives the one to ship.

    Raises
    ------
    LeukoscopeError
        The disk has no room for the checkpoints.
    """
    torch.manual_seed(seed)
    unet = network(channels, steps)
    check_space(out, bytes_needed(unet), "the checkpoints")
    if start is not None:
        unet.load_state_dict(_weights(load_file(start)))
    optimizer = torch.optim.AdamW(unet.parameters(), lr=rate, weight_decay=1e-3)
    per_epoch = scenes_per_epoch // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * per_epoch + 1, pct_start=0.15)
    settings = {"epochs": epochs, "seed": seed, "scenes": scenes_per_epoch, "rate": rate, "mpp": mpp}
    first = _resume(out, settings, unet, optimizer, schedule)
    maker = SceneMaker(bank, round(SCENE_UM / mpp), mpp)
    for epoch in range(first, epochs):
        scenes = _Scenes(maker, seed, epoch * scenes_per_epoch, per_epoch * BATCH)
        total = 0.0
        unet.train(epoch < epochs - max(1, round(SETTLED_PART * epochs)))
        for density, target, known in DataLoader(scenes, BATCH, num_workers=workers):
            gate = gate_blocks(torch.round(density * 128), mpp)
            seen = known * functional.interpolate(gate.float(), scale_factor=density.shape[-1] // gate.shape[-1])
            # In bfloat16, as the currents are in use (`SpikingUNet.fast`).
            with torch.autocast("cpu", torch.bfloat16):
                logits = unet(density, gate)
            loss = segmentation_loss(logits.float(), target, seen)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        _save(out, settings | {"done": epoch + 1}, unet, optimizer)
        if progress is not None:
            progress(epoch, total / per_epoch)
    return unet.eval()


def _weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")}


def _save(out: Path, settings: dict[str, float], network: SpikingUNet, optimizer: torch.optim.Optimizer) -> None:
    """Write weights and the optimizer's moments; the old checkpoint stays until the new one is whole."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()} | moments(optimizer)
    out.mkdir(parents=True, exist_ok=True)
    part = out / "checkpoint.part"
    save_file({k: v.contiguous() for k, v in tensors.items()}, part, {"settings": json.dumps(settings, sort_keys=True)})
    part.replace(out / "checkpoint.safetensors")


def _resume(
    out: Path,
    settings: dict[str, float],
    network: SpikingUNet,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> int:
    """Load the checkpoint, if it is of the same settings; give the first epoch to do."""
    path = out / "checkpoint.safetensors"
    if not path.is_file():
        return 0
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        saved = json.loads(file.metadata()["settings"])
    done = int(saved.pop("done"))
    if saved != settings:
        return 0
    tensors = load_file(path)
    network.load_state_dict(_weights(tensors))
    restore_moments(optimizer, tensors)
    past = done * (int(settings["scenes"]) // BATCH)
    schedule.load_state_dict({**schedule.state_dict(), "last_epoch": past - 1, "_step_count": past + 1})
    schedule.step()  # sets the rate of the next step
    return done
