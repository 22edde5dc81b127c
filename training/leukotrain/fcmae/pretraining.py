"""Pretrain an encoder on crops without labels; resumable."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from leukoscope.classification.device import resolve_device
from leukoscope.errors import LeukoscopeError, SettingsError

from ..checkpoint import bytes_needed, moments, restore_moments
from ..space import check_space
from ..transforms import plain
from .network import FCMAE, STEM, check_encoder, default_patch, export_encoder, make_encoder, random_visible

__all__ = ["Pretraining", "pretrain"]

CHECKPOINT: Final = "fcmae.safetensors"


@dataclass(frozen=True)
class Pretraining:
    """How an encoder is pretrained.

    Attributes
    ----------
    architecture : str
        One of timm's `convnextv2_*`.
    size, patch : int
        Width of the crops and of a mask's patch, in pixels; `default_patch(size)` where no patch is given.
    masked : float
        Share of the patches that is masked.
    width : int
        Channels of the decoder.
    epochs, batch : int
    rate, decay, warm : float
        Peak learning rate, weight decay, and the share of the steps in which the rate rises; then cosine to zero.
    seed : int
    device : str
        See `leukoscope.classification.device.resolve_device`.

    Raises
    ------
    SettingsError
        No such architecture or device, or patches that do not fit the crops.
    """

    architecture: str = "convnextv2_atto"
    size: int = 112
    patch: int | None = None
    masked: float = 0.6
    width: int = 512
    epochs: int = 100
    batch: int = 64
    rate: float = 5e-4
    decay: float = 0.05
    warm: float = 0.05
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_encoder(self.architecture)
        resolve_device(self.device)
        patch = self.patch or default_patch(self.size)
        across = self.size // patch
        if self.size % patch or patch % STEM or not 0 < round(self.masked * across**2) < across**2:
            raise SettingsError(
                f"crops of {self.size} px cannot be masked by {self.masked:.0%} in patches of {patch} px",
                f"Choose patches of a multiple of {STEM} px that divide the size.",
            )


def pretrain(
    pixels: NDArray[np.uint8],
    settings: Pretraining,
    folder: Path,
    log: Callable[[Mapping[str, float]], None] | None = None,
    origin: Mapping[str, str] | None = None,
) -> Path:
    """Pretrain an encoder on crops without labels.

    Parameters
    ----------
    pixels : uint8 array (n, height, width, 3 or 4)
        Crops, the fourth channel their outline as in `leukotrain.data.cache.Crops`. Leave out the crops of test
        groups: an encoder that has seen them must not be measured on them.
    settings : Pretraining
    folder : Path
        Checkpoints; a run that was killed goes on after its last epoch when called again with the same folder.
    log : callable, optional
        Takes the figures of each epoch: epoch, loss, seconds.
    origin : mapping of str to str, optional
        Kept in the metadata of the encoder's file, such as the manifest's hash and the groups seen.

    Returns
    -------
    Path
        encoder.safetensors in the folder, see `export_encoder`.

    Raises
    ------
    SettingsError
        Crops of the wrong kind.
    LeukoscopeError
        The folder's checkpoint is damaged or of another run, its disk has no room for one, or the loss is no number any
        more.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] not in (3, 4) or not len(pixels):
        raise SettingsError(f"crops are {pixels.dtype} {pixels.shape}", "Give uint8 (n, height, width, 3 or 4).")
    patch = settings.patch or default_patch(settings.size)
    across = settings.size // patch
    device = resolve_device(settings.device)
    torch.manual_seed(settings.seed)
    network = FCMAE(make_encoder(settings.architecture), patch, settings.width).to(device).train()
    check_space(folder, bytes_needed(network), "the checkpoints")
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.decay}, {"params": others, "weight_decay": 0.0}],
        lr=settings.rate,
        betas=(0.9, 0.95),
    )
    folder.mkdir(parents=True, exist_ok=True)
    run = {**asdict(settings), "patch": patch, "crops": len(pixels)}
    del run["device"]  # a run may go on elsewhere
    history = _resume(folder / CHECKPOINT, network, optimizer, run)

    batch = min(settings.batch, len(pixels))
    steps = len(pixels) // batch
    for epoch in range(len(history), settings.epochs):
        started, total = time.monotonic(), 0.0
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
        order = torch.randperm(len(pixels), generator=generator).numpy()
        for step in range(steps):
            chosen = np.sort(order[step * batch : (step + 1) * batch])
            images = _views(torch.from_numpy(pixels[chosen]), settings.size, generator).to(device)
            visible = random_visible(batch, across, settings.masked, generator).to(device)
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * _schedule(
                    (epoch * steps + step) / (settings.epochs * steps), settings.warm
                )
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                loss = network(images, visible)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise LeukoscopeError("the loss is no number any more", "Pretrain with a lower learning rate.", folder)
        history.append({"epoch": epoch, "loss": total / steps, "seconds": time.monotonic() - started})
        _save(folder / CHECKPOINT, network, optimizer, run, history)
        if log is not None:
            log(history[-1])
    about = {"architecture": settings.architecture, "size": str(settings.size), "pretraining": json.dumps(run)}
    return export_encoder(network.encoder, folder / "encoder.safetensors", {**(origin or {}), **about})


def _views(pixels: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Give crops as the encoder sees them, each turned by quarters and mirrored at random."""
    if pixels.shape[-1] == 3:
        pixels = F.pad(pixels, (0, 1), value=255)  # all of it is cell
    images = (plain(pixels, size) - 127.5) / 127.5
    turns = torch.randint(8, (len(images),), generator=generator)
    for turn in range(1, 8):
        some = turns == turn
        turned = torch.rot90(images[some], turn % 4, (2, 3))
        images[some] = turned.flip(3) if turn >= 4 else turned
    return images


def _schedule(done: float, warm: float) -> float:
    if done < warm:
        return max(done / warm, 0.01)
    return 0.5 * (1 + math.cos(math.pi * (done - warm) / (1 - warm)))


def _save(
    file: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    run: Mapping[str, Any],
    history: list[dict[str, float]],
) -> None:
    tensors = {f"network.{k}": v for k, v in network.state_dict().items()} | moments(optimizer)
    partial = file.with_suffix(".partial")
    save_file(
        {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()},
        partial,
        metadata={"history": json.dumps(history), "run": json.dumps(run, sort_keys=True)},
    )
    partial.replace(file)


def _resume(
    file: Path, network: nn.Module, optimizer: torch.optim.Optimizer, run: Mapping[str, Any]
) -> list[dict[str, float]]:
    if not file.exists():
        return []
    try:
        with safe_open(file, "pt") as stored:
            metadata = stored.metadata() or {}
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise LeukoscopeError(f"the checkpoint cannot be read ({error})", "Delete it to start anew.", file) from error
    if metadata.get("run") != json.dumps(run, sort_keys=True):
        raise LeukoscopeError("the checkpoint is of other settings or crops", "Choose another folder.", file)
    network.load_state_dict({k.removeprefix("network."): v for k, v in tensors.items() if k.startswith("network.")})
    restore_moments(optimizer, tensors)
    history: list[dict[str, float]] = json.loads(metadata["history"])
    return history
