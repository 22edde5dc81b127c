"""How a classifier is trained, what comes of it, and what is said meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import torch

from leukoscope.errors import LeukoscopeError, SettingsError

from .initial import PACKAGE, described
from .transforms import Augmentation, Traditional

__all__ = ["BALANCES", "PRECISIONS", "CanceledError", "Fitted", "Progress", "Settings"]

PRECISIONS: Final = ("32-true", "bf16-mixed", "16-mixed")
BALANCES: Final = ("shares", "class_weights")
# Lightning's strategies that leave every process the whole network; those that split it would save parts only.
STRATEGIES: Final = ("auto", "ddp", "ddp_find_unused_parameters_true")


class CanceledError(LeukoscopeError):
    """Training was stopped by whoever started it; finished epochs are kept."""


@dataclass(frozen=True)
class Progress:
    """Where training is, after a batch.

    Attributes
    ----------
    epoch, epochs : int
        The epoch at work, from 0, and how many there are at most.
    batch, batches : int
        Batches done in it, and in all.
    loss : float
        Of the last batch.
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    loss: float


@dataclass(frozen=True)
class Settings:
    """How a classifier is trained.

    Attributes
    ----------
    architecture : str
        Any that `leukoscope.classification.networks.build` knows.
    sources : tuple of str
        Where its first weights are from, see `initial.initial`; none for random ones.
    epochs, epoch_cells, batch : int
        Passes, cells drawn in each, cells at a time.
    rate, head_rate : float
        Peak learning rates of the body and of the new last layer; warm-up, then cosine to zero.
    decay : float
        Weight decay.
    average : float
        Decay of the weights' moving average, which is what is validated and kept.
    patience : int
        Epochs without a better validation loss after which training ends.
    shares : mapping of str to float
        How often each source is drawn; within a source, labels by the square root of their number. C-NMC is drawn
        little: of its few donors a network soon learns the looks instead of the cells.
    val_shares : mapping of str to float
        How much each source counts in validation. C-NMC counts little: no healthy donor of it can be spared for
        validation, and blasts alone would favor a model that calls everything a blast.
    seed, threads : int
    frozen : int
        So many of the first stages keep their first weights: nearly half the time, for edges that are edges. Of
        networks without EfficientNet's stages, and of those that start from random weights, none do.
    coverage : float
        The unidentified threshold keeps this share of the validation cells.
    also : tuple of str
        Sources whose held-out groups are trained on, too: for the model that ships, once the recipe is measured on
        them. Nothing can be measured on these sources any more.
    augmentation : Augmentation, Traditional or None
        None: crops as they are.
    precision : str
        Of the training steps: "32-true", "bf16-mixed" or (on a GPU) "16-mixed". Validation is in 32 bits.
    accumulate : int
        Batches whose gradients are added up before the weights change.
    balance : str
        "shares": cells are drawn by `shares` and labels. "class_weights": drawn uniformly, and the loss of a cell is
        weighted by the inverse root of its label's number; `shares` are then not looked at.
    device : str
        "auto", "cpu", "cuda" or "mps".
    devices, nodes : int
        GPUs (with "cpu": processes) of each machine, and machines; each device takes batches of `batch` cells.
    strategy : str
        Lightning's, for more than one of them: "auto" or "ddp", or "ddp_find_unused_parameters_true".

    Raises
    ------
    SettingsError
        A setting out of its range.
    """

    architecture: str = "tf_efficientnet_lite0_sized"
    sources: tuple[str, ...] = (PACKAGE,)
    epochs: int = 12
    epoch_cells: int = 5120
    batch: int = 32
    rate: float = 5e-4
    head_rate: float = 2e-3
    decay: float = 0.02
    average: float = 0.99
    patience: int = 5
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"cnmc": 0.1, "all_idb1": 0.25, "pbc": 0.57, "bccd": 0.08}
    )
    val_shares: Mapping[str, float] = field(
        default_factory=lambda: {"cnmc": 0.1, "all_idb1": 0.2, "pbc": 0.65, "bccd": 0.05}
    )
    seed: int = 0
    threads: int = 2
    frozen: int = 2
    coverage: float = 0.97
    also: tuple[str, ...] = ()
    augmentation: Augmentation | Traditional | None = field(default_factory=Augmentation)
    precision: str = "32-true"
    accumulate: int = 1
    balance: str = "shares"
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"

    def __post_init__(self) -> None:
        for name, choices in (("precision", PRECISIONS), ("balance", BALANCES), ("strategy", STRATEGIES)):
            if getattr(self, name) not in choices:
                raise SettingsError(f"{name} is {getattr(self, name)!r}", f"Choose one of {', '.join(choices)}.")
        for name in ("epochs", "batch", "threads", "accumulate", "devices", "nodes"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}", "Give 1 or more.")
        if self.batches < 1:
            needed = self.batch * self.devices * self.nodes
            raise SettingsError(f"an epoch of {self.epoch_cells} cells has no whole batch", f"Draw {needed} or more.")

    @property
    def batches(self) -> int:
        """Batches of an epoch on each device."""
        return self.epoch_cells // (self.batch * self.devices * self.nodes)

    def to_json(self) -> dict[str, Any]:
        """Give the settings as plain JSON values; of files with first weights, name and hash."""
        sources = [described(source) for source in self.sources]
        return {**asdict(self), "sources": sources, "shares": dict(self.shares), "val_shares": dict(self.val_shares)}

    def identity(self) -> dict[str, Any]:
        """Give what decides about the weights, as plain JSON values: not where and how fast they are computed."""
        values = self.to_json()
        values["processes"] = values.pop("devices") * values.pop("nodes")
        for name in ("threads", "device", "strategy"):
            del values[name]
        return dict(json.loads(json.dumps(values)))


@dataclass(frozen=True)
class Fitted:
    """A trained network, calibrated on the validation cells.

    Attributes
    ----------
    weights : dict of str to torch.Tensor
    temperature, threshold : float
    history : list of dict
        Per epoch: train_loss, val_loss, seconds.
    """

    weights: dict[str, torch.Tensor]
    temperature: float
    threshold: float
    history: list[dict[str, float]]
