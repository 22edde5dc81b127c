"""The training loop's parts, as Lightning takes them: batches of crops, and a network with its moving average."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import lightning.pytorch as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from leukoscope.classification.preprocess import Chain, Normalize
from leukoscope.errors import LeukoscopeError

from .checkpoint import Checkpoint, State
from .data.cache import Crops
from .losses import partial_nll
from .settings import CanceledError, Progress, Settings
from .transforms import Traditional, augment, plain, traditional

__all__ = ["Cells", "Training", "stale"]

AT_ONCE = 128  # validation cells
EVERY = 20  # steps from one point of the TensorBoard log to the next

Batch = tuple[torch.Tensor, ...]


class _Rows(Dataset[Batch]):
    """Whole batches: pixels, diameters, allowed classes and weights of the rows asked for."""

    def __init__(self, crops: Crops, allowed: torch.Tensor, importance: torch.Tensor) -> None:
        self._crops, self._allowed, self._importance = crops, allowed, importance

    def __getitem__(self, rows: list[int]) -> Batch:
        pixels, diameters = self._crops.pixels[rows], self._crops.diameters[rows]
        return torch.from_numpy(pixels), torch.from_numpy(diameters), self._allowed[rows], self._importance[rows]


class _Draws(Sampler[list[int]]):
    """An epoch's batches of this process; the same for the same seed and epoch, whatever came before."""

    def __init__(self, rows: Sequence[int], weights: torch.Tensor, settings: Settings, first: int, rank: int) -> None:
        self._rows, self._weights, self._settings = rows, weights, settings
        self._first, self._rank, self._epoch = first, rank, first
        self.generator = torch.Generator()

    def __len__(self) -> int:
        return self._settings.batches

    def set_epoch(self, epoch: int) -> None:
        """Take the number of the epoch since this call of `fit`; Lightning calls it."""
        self._epoch = self._first + epoch

    def __iter__(self) -> Iterator[list[int]]:
        size, processes = self._settings.batch, self._settings.devices * self._settings.nodes
        seed = self._settings.seed * 1000 + self._epoch
        self.generator.manual_seed(seed)
        count = len(self) * processes * size
        drawn = torch.multinomial(self._weights, count, replacement=True, generator=self.generator)
        if self._rank:  # all draw the same cells and take different ones; they change them each in its own way
            self.generator.manual_seed(seed + (self._rank << 32))
        for step in range(len(self)):
            start = (step * processes + self._rank) * size
            yield [self._rows[int(i)] for i in drawn[start : start + size]]


class Cells(lightning.LightningDataModule):  # type: ignore[misc]
    """The cells to train on and to validate with.

    Parameters
    ----------
    crops : Crops
    train, val : sequence of int
        Their rows.
    draw : float64 tensor (n,)
        How likely each row of `train` is drawn.
    allowed : bool tensor (rows, classes)
    importance : float32 tensor (rows,)
        Weights of the cells' losses.
    size : int
        Of the network's input, in pixels.
    settings : Settings
    chain : Chain
    first : int
        The epoch to begin with.
    """

    def __init__(
        self,
        crops: Crops,
        train: Sequence[int],
        val: Sequence[int],
        draw: torch.Tensor,
        allowed: torch.Tensor,
        importance: torch.Tensor,
        size: int,
        settings: Settings,
        chain: Chain,
        first: int,
    ) -> None:
        super().__init__()
        self._data = _Rows(crops, allowed, importance)
        self._train, self._val, self._draw, self._first = train, val, draw, first
        self._size, self._settings, self._chain = size, settings, chain

    def train_dataloader(self) -> DataLoader[Batch]:
        """Give the batches that are drawn anew in each epoch."""
        rank = self.trainer.global_rank
        self._draws = _Draws(self._train, self._draw, self._settings, self._first, rank)
        return DataLoader(self._data, batch_size=None, sampler=self._draws)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Give the validation cells in order, to every process all of them: they then agree on when to stop."""
        batches = [list(self._val[k : k + AT_ONCE]) for k in range(0, len(self._val), AT_ONCE)]
        return DataLoader(self._data, batch_size=None, sampler=batches)

    def on_before_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Change the crops (in training) and do the model's steps, on the CPU: images, allowed classes, weights."""
        pixels, diameters, allowed, importance = batch
        how = self._settings.augmentation
        if not self.trainer.training or how is None:
            images = plain(pixels, self._size, self._chain)
        elif isinstance(how, Traditional):
            images = traditional(pixels, self._size, how, self._draws.generator, self._chain)
        else:
            images = augment(pixels, diameters, self._size, how, self._draws.generator, self._chain)
        return images, allowed, importance


class Training(lightning.LightningModule):  # type: ignore[misc]
    """A network in training and the moving average of its weights, which is what is validated and kept.

    Parameters
    ----------
    network, average, early : torch.nn.Module
        `early` is what of the network stays as it is.
    optimizer : torch.optim.Optimizer
        Two groups: the body, the last layer.
    normalize : Normalize
    val_allowed : bool tensor (n, classes)
    val_weights : float32 tensor (n,)
    settings : Settings
    state : State
        Changed in place.
    checkpoint : Checkpoint
    log_row, progress, cancel : callable, optional
        See `fit.fit`.
    """

    def __init__(
        self,
        network: nn.Module,
        average: nn.Module,
        early: nn.Module,
        optimizer: torch.optim.Optimizer,
        normalize: Normalize,
        val_allowed: torch.Tensor,
        val_weights: torch.Tensor,
        settings: Settings,
        state: State,
        checkpoint: Checkpoint,
        log_row: Callable[[dict[str, float]], None] | None,
        progress: Callable[[Progress], None] | None,
        cancel: Callable[[], bool] | None,
    ) -> None:
        super().__init__()
        self.network, self.average = network, average
        # Not as modules and buffers of this one: the first is a part of the network, the others stay on the CPU.
        self._aside = (early, optimizer, val_allowed, val_weights, checkpoint)
        self._normalize, self._settings, self._state = normalize, settings, state
        self._log_row, self._progress, self._cancel = log_row, progress, cancel
        self._steps = -(-settings.batches // settings.accumulate)
        self._before = len(state.history) * self._steps
        self._schedule = _cosine(settings.epochs * self._steps, warm=self._steps // 2)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Give the optimizer, which has resumed already."""
        return self._aside[1]

    def on_fit_start(self) -> None:
        """Go on with the loss scaling of 16-bit training."""
        if self._state.scaler:
            self.trainer.precision_plugin.load_state_dict(self._state.scaler)

    def on_train_epoch_start(self) -> None:
        """Let the network learn, but for what is frozen."""
        self.network.train()
        self._aside[0].eval()
        self._started = time.monotonic()
        self._losses: list[torch.Tensor] = []

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed what layers draw at random (dropout): an epoch depends on no other, so a killed run repeats it."""
        if batch_idx == 0:  # not sooner: loaders draw a number when they begin, which is at times before the epoch
            epoch = len(self._state.history)
            torch.manual_seed(self._settings.seed * 1000 + epoch + (self.global_rank << 32))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Give the loss of a batch."""
        images, allowed, importance = batch
        logits = self.network(_scaled(images, self._normalize))
        loss = (partial_nll(logits.float(), allowed) * importance).mean()
        self._losses.append(loss.detach())
        return loss

    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        """Cut the gradients' norm to 5."""
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, closure: Any = None) -> None:
        """Set the rates, step, and let the average follow; not called while gradients are added up."""
        step = self._before + self.global_step
        for group, rate in zip(optimizer.param_groups, (self._settings.rate, self._settings.head_rate), strict=True):
            group["lr"] = rate * self._schedule(step)
        optimizer.step(closure=closure)
        _follow(self.average, self.network, _decay(self._settings.average, step))
        if step % EVERY == 0:
            self.logger.log_metrics({"step/loss": float(self._losses[-1]), "step/rate": group["lr"]}, step=step)

    def on_train_batch_end(self, *_: Any) -> None:
        """Say how far training is, and end it if it is to end."""
        if self._progress is not None:
            epochs, batches, done = self._settings.epochs, self._settings.batches, len(self._losses)
            self._progress(Progress(len(self._state.history), epochs, done, batches, float(self._losses[-1])))
        # All processes or none: one that goes on alone would wait for the others forever.
        if self._cancel is not None and self.trainer.strategy.reduce_boolean_decision(self._cancel(), all=False):
            raise CanceledError(f"training was stopped after {len(self._state.history)} epochs", "It can go on later.")

    def on_validation_epoch_start(self) -> None:
        """Forget the answers before."""
        self.average.eval()
        self._logits: list[torch.Tensor] = []

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect what the average makes of the validation cells, in 32 bits."""
        with torch.autocast(self.device.type, enabled=False):
            self._logits.append(self.average(_scaled(batch[0], self._normalize)).float().cpu())

    def on_train_epoch_end(self) -> None:
        """Judge the epoch, keep it if it is the best, and write the checkpoint."""
        _, _, val_allowed, val_weights, checkpoint = self._aside
        strategy, state = self.trainer.strategy, self._state
        logits = torch.cat(self._logits)
        own = float((partial_nll(logits, val_allowed) * val_weights).sum())
        # Of the first process, for all: figures that differ in the last digit must not part them.
        val_loss = strategy.broadcast(own)
        train_loss = float(strategy.reduce(torch.stack(self._losses).cpu().double().mean(), reduce_op="mean"))
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            raise LeukoscopeError("the loss is no number any more", "Train with a lower rate, or with 32-true.")
        row = {"epoch": len(state.history), "train_loss": train_loss, "val_loss": val_loss}
        state.history.append({**row, "seconds": time.monotonic() - self._started})
        if not stale(state.history):
            state.best = {k: v.clone() for k, v in self.average.state_dict().items()}
            state.logits = logits.clone()
        state.scaler = self.trainer.precision_plugin.state_dict()
        if self.trainer.is_global_zero:
            checkpoint.save(state)
            self.logger.log_metrics(
                {f"epoch/{k}": v for k, v in state.history[-1].items() if k != "epoch"}, step=row["epoch"]
            )
            if self._log_row is not None:
                self._log_row(state.history[-1])
        self.trainer.should_stop = stale(state.history) >= self._settings.patience


def stale(history: Sequence[dict[str, float]]) -> int:
    """Count the epochs since the best one; 0 where there are none."""
    losses = [row["val_loss"] for row in history]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def _scaled(images: torch.Tensor, normalize: Normalize) -> torch.Tensor:
    return normalize(images).contiguous(memory_format=torch.channels_last)


def _cosine(total: int, warm: int) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

    return factor


def _decay(most: float, step: int) -> float:
    return min(most, (1 + step) / (10 + step))  # short memory at first: the first weights are ImageNet's


def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    with torch.no_grad():
        for kept, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(now, 1 - decay)
            else:
                kept.copy_(now)
