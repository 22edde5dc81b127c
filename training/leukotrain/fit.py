"""Fine-tune a classifier on crops: balanced sampling, style augmentation, early stopping, calibration."""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from leukoscope.classification.crops import CropSpec
from leukoscope.classification.networks import sketch
from leukoscope.classification.preprocess import Chain, Normalize

from . import checkpoint
from .data.cache import Crops
from .data.manifest import Manifest, Row
from .initial import PACKAGE, initial
from .losses import allowed_matrix, fit_temperature, partial_nll
from .transforms import Augmentation, Traditional, augment, check_fitted, plain, traditional

__all__ = ["Fitted", "Settings", "fit", "sampling_weights"]

Log = Callable[[Mapping[str, Any]], None]


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
        How often each source is drawn; within a source, labels by the square root of their number.
    val_shares : mapping of str to float
        How much each source counts in validation. C-NMC counts little: no healthy donor of it can be spared for
        validation, and blasts alone would favor a model that calls everything a blast.
    seed, threads : int
    frozen : int
        So many of the first stages keep their first weights: nearly half the time, for edges that are edges. Of
        networks without EfficientNet's stages, and of those that start from random weights, none do.
    coverage : float
        The unidentified threshold keeps this share of the validation cells.
    """

    architecture: str = "tf_efficientnet_lite0"
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
        default_factory=lambda: {"cnmc": 0.34, "all_idb1": 0.22, "pbc": 0.34, "bccd": 0.1}
    )
    val_shares: Mapping[str, float] = field(
        default_factory=lambda: {"cnmc": 0.1, "all_idb1": 0.2, "pbc": 0.65, "bccd": 0.05}
    )
    seed: int = 0
    threads: int = 2
    frozen: int = 2
    coverage: float = 0.97
    augmentation: Augmentation | Traditional | None = field(default_factory=Augmentation)  # None: crops as they are

    def to_json(self) -> dict[str, Any]:
        """Give the settings as plain JSON values."""
        return {**asdict(self), "shares": dict(self.shares), "val_shares": dict(self.val_shares)}


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


def sampling_weights(rows: Sequence[Row], shares: Mapping[str, float]) -> torch.Tensor:
    """Weigh each row, so that sources are drawn by their shares, and labels within one by the root of their number.

    Returns
    -------
    float64 tensor (n,)
        Sums to 1.
    """
    buckets = Counter((row.source, row.label) for row in rows)
    roots: Counter[str] = Counter()
    for (source, _), count in buckets.items():
        roots[source] += math.sqrt(count)  # type: ignore[assignment]
    weights = [
        shares.get(row.source, 0.0) / roots[row.source] / math.sqrt(buckets[row.source, row.label]) for row in rows
    ]
    total = torch.tensor(weights, dtype=torch.float64)
    return total / total.sum()


def fit(
    manifest: Manifest,
    crops: Crops,
    classes: Sequence[str],
    spec: CropSpec,
    settings: Settings,
    folder: Path,
    log: Log | None = None,
    chain: Chain | None = None,
    normalize: Normalize | None = None,
) -> Fitted:
    """Train on the rows of split "train", stop early and calibrate on those of "val"; "test" is not looked at.

    Parameters
    ----------
    manifest, crops : Manifest, Crops
        Row by row.
    classes : sequence of str
        The network's outputs.
    spec : CropSpec
    settings : Settings
    folder : Path
        Checkpoints; a run that was killed goes on after its last epoch when called again with the same folder.
    log : callable, optional
        Takes the figures of each epoch.
    chain, normalize : Chain, Normalize, optional
        From `transforms.fit_steps`; none, and mean and standard deviation 0.5, unless given.

    Raises
    ------
    ManifestError
        A step was fitted on other groups than those of "train".
    """
    chain, normalize = chain or Chain(), normalize or Normalize()
    check_fitted([*(step.fitted for step in chain.steps), normalize.fitted], manifest)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    folder.mkdir(parents=True, exist_ok=True)
    train = [i for i, row in enumerate(manifest) if row.split == "train"]
    val = [i for i, row in enumerate(manifest) if row.split == "val"]
    rows = manifest.rows
    allowed = allowed_matrix(rows, classes)
    weights = sampling_weights([rows[i] for i in train], settings.shares)
    val_weights = sampling_weights([rows[i] for i in val], settings.val_shares).float()

    sketch(settings.architecture, len(classes), spec.size)  # what does not go together is refused before it is made
    network: Any = initial(settings.architecture, len(classes), *settings.sources, size=spec.size)
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    early = _freeze(network, settings.frozen if settings.sources else 0)
    last = {id(p) for p in network.get_classifier().parameters()}
    trained = [p for p in network.parameters() if p.requires_grad]
    head, body = [p for p in trained if id(p) in last], [p for p in trained if id(p) not in last]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": settings.rate}, {"params": head, "lr": settings.head_rate}], weight_decay=settings.decay
    )
    steps = settings.epoch_cells // settings.batch
    schedule = _cosine(settings.epochs * steps, warm=steps // 2)
    history, best = checkpoint.resume(folder, network, average, optimizer)

    for epoch in range(len(history), settings.epochs):
        if history and len(history) - 1 - _best_epoch(history) >= settings.patience:
            break
        started = time.monotonic()
        generator = torch.Generator().manual_seed(settings.seed * 1000 + epoch)
        drawn = torch.multinomial(weights, steps * settings.batch, replacement=True, generator=generator)
        network.train()
        early.eval()
        total = 0.0
        for step in range(steps):
            chosen = [train[int(i)] for i in drawn[step * settings.batch : (step + 1) * settings.batch]]
            pixels, diameters = torch.from_numpy(crops.pixels[chosen]), torch.from_numpy(crops.diameters[chosen])
            images = _changed(pixels, diameters, spec.size, settings.augmentation, generator, chain)
            for group, rate in zip(optimizer.param_groups, (settings.rate, settings.head_rate), strict=True):
                group["lr"] = rate * schedule(epoch * steps + step)
            loss = partial_nll(network(_scaled(images, normalize)), allowed[chosen]).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            _follow(average, network, _decay(settings.average, epoch * steps + step))
            total += float(loss.detach())
        logits = _logits(average, crops, val, spec.size, chain, normalize)
        val_loss = float((partial_nll(logits, allowed[val]) * val_weights).sum())
        row = {"epoch": epoch, "train_loss": total / steps, "val_loss": val_loss, "seconds": time.monotonic() - started}
        history.append(row)
        if _best_epoch(history) == len(history) - 1:
            best = {k: v.clone() for k, v in average.state_dict().items()}
        checkpoint.save(folder, network, average, best, optimizer, history)
        if log is not None:
            log(row)

    average.load_state_dict(best)
    logits = _logits(average, crops, val, spec.size, chain, normalize)
    temperature = fit_temperature(logits, allowed[val], val_weights)
    sure = torch.softmax(logits / temperature, dim=1).amax(dim=1)
    order = sure.argsort()
    below = val_weights[order].cumsum(0) <= 1 - settings.coverage
    threshold = float(sure[order][below][-1]) if bool(below.any()) else 0.0
    return Fitted(best, temperature, round(threshold, 3), history)


def _freeze(network: nn.Module, stages: int) -> nn.Module:
    """Fix the stem and the first stages, and give them as one module."""
    parts: Any = network
    staged = stages and hasattr(network, "conv_stem") and hasattr(network, "blocks")
    early = nn.ModuleList([parts.conv_stem, parts.bn1, *parts.blocks[:stages]] if staged else [])
    for parameter in early.parameters():
        parameter.requires_grad = False
    return early


def _changed(
    pixels: torch.Tensor,
    diameters: torch.Tensor,
    size: int,
    how: Augmentation | Traditional | None,
    generator: torch.Generator,
    chain: Chain,
) -> torch.Tensor:
    if how is None:
        return plain(pixels, size, chain)
    if isinstance(how, Traditional):
        return traditional(pixels, size, how, generator, chain)
    return augment(pixels, diameters, size, how, generator, chain)


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


def _logits(
    network: nn.Module, crops: Crops, rows: Sequence[int], size: int, chain: Chain, normalize: Normalize
) -> torch.Tensor:
    with torch.inference_mode():
        parts = [
            network(_scaled(plain(torch.from_numpy(crops.pixels[list(rows[k : k + 128])]), size, chain), normalize))
            for k in range(0, len(rows), 128)
        ]
    return torch.cat(parts).clone()


def _best_epoch(history: Sequence[Mapping[str, float]]) -> int:
    return min(range(len(history)), key=lambda i: history[i]["val_loss"])
