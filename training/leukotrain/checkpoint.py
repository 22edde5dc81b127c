"""Checkpoints of a training run: tensors only, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from leukoscope.errors import LeukoscopeError

__all__ = ["NAME", "Checkpoint", "State", "bytes_needed", "moments", "restore_moments"]

NAME: Final = "checkpoint.safetensors"
REMEDY: Final = "Choose another folder for the checkpoints, or delete this one to start anew."


@dataclass
class State:
    """What a run has come to besides its networks.

    Attributes
    ----------
    history : list of dict
        The figures of each finished epoch.
    best : dict of str to torch.Tensor
        The weights of the best one.
    logits : torch.Tensor
        What they make of the validation cells, float32 (n, classes).
    scaler : dict
        Of 16-bit training's loss scaling.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    logits: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    scaler: dict[str, float] = field(default_factory=dict)


def bytes_needed(network: nn.Module) -> int:
    """Give the most that checkpoints take on disk, in bytes: five times the network, the old and the new."""
    size: int = sum(t.numel() * t.element_size() for t in network.state_dict().values())
    return 2 * 5 * size


class Checkpoint:
    """The checkpoint of one run.

    Parameters
    ----------
    folder : Path
    run : mapping
        All that decides about the weights, as plain JSON values.
    network, average : torch.nn.Module
    optimizer : torch.optim.Optimizer
    """

    def __init__(
        self,
        folder: Path,
        run: Mapping[str, Any],
        network: nn.Module,
        average: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.file = folder / NAME
        self._run, self._network, self._average, self._optimizer = dict(run), network, average, optimizer

    def save(self, state: State) -> None:
        """Write the state after an epoch; the file before is replaced only when this one is whole.

        Raises
        ------
        LeukoscopeError
            It cannot be written; the file before is still there.
        """
        tensors = {f"network.{k}": v for k, v in self._network.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self._average.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in state.best.items()} | {"logits": state.logits}
        tensors |= moments(self._optimizer)
        partial = self.file.with_name("checkpoint.partial")
        about = {"history": state.history, "scaler": state.scaler, "run": self._run}
        try:
            # A channels-last tensor is not contiguous, and what shares memory cannot be stored.
            save_file(
                {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()},
                partial,
                metadata={k: json.dumps(v) for k, v in about.items()},
            )
            partial.replace(self.file)
        except (OSError, SafetensorError) as error:
            partial.unlink(missing_ok=True)
            cause = f"the checkpoint cannot be written ({error})"
            raise LeukoscopeError(
                cause, "Make room; the same call goes on from the epoch before.", self.file
            ) from error

    def resume(self) -> State:
        """Set network, average and optimizer to the checkpoint, if there is one, and give the rest of it.

        Raises
        ------
        LeukoscopeError
            It is damaged or of another run; the first difference is named.
        """
        if not self.file.exists():
            return State(best={k: v.clone() for k, v in self._average.state_dict().items()})
        try:
            with safe_open(self.file, "pt") as stored:
                about = {k: json.loads(v) for k, v in (stored.metadata() or {}).items()}
                self._compare(about.get("run", {}))
                tensors = {k: stored.get_tensor(k) for k in stored.keys()}  # noqa: SIM118 - no mapping
            self._network.load_state_dict(_part(tensors, "network."))
            self._average.load_state_dict(_part(tensors, "average."))
            restore_moments(self._optimizer, tensors)
            return State(about["history"], _part(tensors, "best."), tensors["logits"], about["scaler"])
        except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
            raise LeukoscopeError(f"the checkpoint cannot be read ({error})", REMEDY, self.file) from error

    def _compare(self, found: Mapping[str, Any]) -> None:
        for name, value in self._run.items():
            if name not in found:
                raise LeukoscopeError(f"the checkpoint does not say its {name}", REMEDY, self.file)
            if found[name] != value:
                cause = f"the checkpoint is of another run: its {name} is {_short(found[name])}, not {_short(value)}"
                raise LeukoscopeError(cause, REMEDY, self.file)


def moments(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Give what an optimizer has gathered of each weight, named "optimizer.NUMBER.NAME"."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{name}": torch.as_tensor(v) for i, its in state.items() for name, v in its.items()}


def restore_moments(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Set an optimizer to what `moments` gave, found by its names among a checkpoint's tensors."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _part(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
