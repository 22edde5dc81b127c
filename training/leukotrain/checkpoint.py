"""Checkpoints of a training run: tensors only, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

__all__ = ["resume", "save"]


def save(
    folder: Path,
    network: nn.Module,
    average: nn.Module,
    best: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
    history: Sequence[Mapping[str, float]],
) -> None:
    """Write the state after an epoch; the file before is replaced only when this one is whole."""
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in best.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in state.items()}
    partial = folder / "checkpoint.partial"
    # A channels-last tensor is not contiguous, and what shares memory cannot be stored.
    save_file(
        {k: v.detach().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()},
        partial,
        metadata={"history": json.dumps(list(history))},
    )
    partial.replace(folder / "checkpoint.safetensors")


def resume(
    folder: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """Set network, average and optimizer to the last checkpoint, if there is one; give history and best weights."""
    file = folder / "checkpoint.safetensors"
    if not file.exists():
        return [], {k: v.clone() for k, v in average.state_dict().items()}
    with safe_open(file, "pt") as stored:
        history: list[dict[str, float]] = json.loads(stored.metadata()["history"])
    tensors = load_file(file)

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    network.load_state_dict(part("network."))
    average.load_state_dict(part("average."))
    state = optimizer.state_dict()
    state["state"] = {}
    for key, value in part("optimizer.").items():
        index, _, name = key.partition(".")
        state["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(state)
    return history, part("best.")
