"""Fine-tune a classifier on crops: balanced sampling, style augmentation, early stopping, calibration."""

from __future__ import annotations

import copy
import json
import logging
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from leukoscope.classification.crops import CropSpec
from leukoscope.classification.device import resolve_device
from leukoscope.classification.networks import sketch
from leukoscope.classification.preprocess import Chain, Normalize, steps_from_json, steps_to_json
from leukoscope.errors import SettingsError

from .checkpoint import Checkpoint, bytes_needed
from .data.cache import Crops
from .data.manifest import Manifest, ManifestError, Row
from .initial import initial
from .losses import allowed_matrix, fit_temperature
from .settings import CanceledError, Fitted, Progress, Settings
from .space import check_space
from .transforms import check_fitted

__all__ = ["CanceledError", "Fitted", "Progress", "Settings", "fit", "run_identity", "sampling_weights"]

Log = Callable[[Mapping[str, Any]], None]


def sampling_weights(rows: Sequence[Row], shares: Mapping[str, float]) -> torch.Tensor:
    """Weigh each row, so that sources are drawn by their shares, and labels within one by the root of their number.

    Returns
    -------
    float64 tensor (n,)
        Sums to 1.

    Raises
    ------
    ManifestError
        A source has no share, or no row has one above 0.
    """
    buckets = Counter((row.source, row.label) for row in rows)
    roots: Counter[str] = Counter()
    for (source, _), count in buckets.items():
        roots[source] += math.sqrt(count)  # type: ignore[assignment]
    for row in rows:
        if row.source not in shares:
            raise ManifestError(f"{row.image} is of source {row.source}, which has no share", "Name it in the shares.")
    weights = [shares[row.source] / roots[row.source] / math.sqrt(buckets[row.source, row.label]) for row in rows]
    total = torch.tensor(weights, dtype=torch.float64)
    if not float(total.sum()) > 0:
        raise ManifestError(f"no source of {len(rows)} cells has a share above 0", "Name their sources in the shares.")
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
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
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
        Checkpoints and the TensorBoard log; a run that was killed goes on after its last epoch when called again with
        the same folder, and gives the same weights as one that never was.
    log : callable, optional
        Takes the figures of each epoch.
    chain, normalize : Chain, Normalize, optional
        From `transforms.fit_steps`; none, and mean and standard deviation 0.5, unless given.
    progress : callable, optional
        Takes a `Progress` after each batch, in the thread that called `fit`.
    cancel : callable, optional
        Asked after each batch; such as `threading.Event().is_set`.

    Raises
    ------
    ManifestError
        A step was fitted on other groups than those of "train", or there is nothing to tell apart.
    CanceledError
        `cancel` said so. Finished epochs are kept.
    LeukoscopeError
        The folder holds the checkpoint of another run, there is no room for one, or the loss is no number any more.
    """
    chain, normalize = chain or Chain(), normalize or Normalize()
    steps, tensors = steps_to_json(chain.steps)
    steps_from_json(json.loads(json.dumps(steps)), tensors, spec.size)  # what no bundle could keep is refused now
    device = _checks(manifest, crops, chain, normalize, settings)
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    rows = manifest.rows
    train = [i for i, row in enumerate(rows) if row.split == "train"]
    val = [i for i, row in enumerate(rows) if row.split == "val" and not row.synthetic]
    allowed = allowed_matrix(rows, classes)
    draw, importance = _balanced(rows, train, settings)
    val_weights = sampling_weights([rows[i] for i in val], settings.val_shares).float()

    # What does not go together, or has no room, is refused before it is made.
    check_space(folder, bytes_needed(sketch(settings.architecture, len(classes), spec.size)), "the checkpoints")
    network: Any = initial(settings.architecture, len(classes), *settings.sources, size=spec.size)
    network = network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    early = _freeze(network, settings.frozen if settings.sources else 0)
    last = {id(p) for p in network.get_classifier().parameters()}
    trained = [p for p in network.parameters() if p.requires_grad]
    head, body = [p for p in trained if id(p) in last], [p for p in trained if id(p) not in last]
    optimizer = torch.optim.AdamW(
        [{"params": body, "lr": settings.rate}, {"params": head, "lr": settings.head_rate}], weight_decay=settings.decay
    )
    folder.mkdir(parents=True, exist_ok=True)
    run = run_identity(manifest, classes, spec, settings, chain, normalize)
    checkpoint = Checkpoint(folder, run, network, average, optimizer)
    state = checkpoint.resume()

    from ._lightning import Cells, Training, stale

    if len(state.history) < settings.epochs and stale(state.history) < settings.patience:
        module = Training(
            network, average, early, optimizer, normalize, allowed[val], val_weights, settings, state, checkpoint,
            log, progress, cancel,
        )  # fmt: skip
        cells = Cells(
            crops, train, val, draw, allowed, importance, spec.size, settings, chain, first=len(state.history)
        )
        _train(module, cells, settings, device, folder, settings.epochs - len(state.history))

    temperature = fit_temperature(state.logits, allowed[val], val_weights)
    sure = torch.softmax(state.logits / temperature, dim=1).amax(dim=1)
    order = sure.argsort()
    below = val_weights[order].cumsum(0) <= 1 - settings.coverage
    threshold = float(sure[order][below][-1]) if bool(below.any()) else 0.0
    best = {k: v.cpu() for k, v in state.best.items()}
    return Fitted(best, temperature, round(threshold, 3), state.history)


def run_identity(
    manifest: Manifest,
    classes: Sequence[str],
    spec: CropSpec,
    settings: Settings,
    chain: Chain | None = None,
    normalize: Normalize | None = None,
) -> dict[str, Any]:
    """Give all that decides about the weights, as plain JSON values; a checkpoint of another run is refused by it."""
    steps, tensors = steps_to_json((chain or Chain()).steps)
    normalize = normalize or Normalize()
    values = {
        **settings.identity(),
        "classes": list(classes),
        "crop": spec.to_json(),
        "manifest": manifest.sha256,
        # tensors of a step follow from its parameters and from whom it was fitted on
        "steps": [steps, sorted(tensors)],
        "normalization": [normalize.mean, normalize.std],
    }
    return dict(json.loads(json.dumps(values)))


def _checks(manifest: Manifest, crops: Crops, chain: Chain, normalize: Normalize, settings: Settings) -> torch.device:
    manifest.check_classes()
    if len(crops.pixels) != len(manifest):
        cause = f"there are {len(crops.pixels)} crops for {len(manifest)} rows"
        raise ManifestError(cause, "Make the crops of this manifest (load_crops).", manifest.file)
    check_fitted([*(step.fitted for step in chain.steps), normalize.fitted], manifest)
    for step in chain.steps:
        if step.stage == "vector":
            raise SettingsError(f"{step.name} makes vectors, and networks take pictures", "Leave the step out.")
    device = resolve_device(settings.device)
    if settings.precision == "16-mixed" and device.type != "cuda":
        raise SettingsError(f"16-mixed needs a GPU, and this is {device.type}", "Train with bf16-mixed or 32-true.")
    if device.type == "cuda" and settings.devices > torch.cuda.device_count():
        raise SettingsError(f"{settings.devices} GPUs, and there are {torch.cuda.device_count()}", "Ask for fewer.")
    return device


def _balanced(rows: Sequence[Row], train: Sequence[int], settings: Settings) -> tuple[torch.Tensor, torch.Tensor]:
    """Give how likely each training row is drawn, and what each row's loss is worth."""
    importance = torch.ones(len(rows))
    if settings.balance == "shares":
        return sampling_weights([rows[i] for i in train], settings.shares), importance
    counts = Counter(rows[i].label for i in train)
    for i in train:
        importance[i] = 1 / math.sqrt(counts[rows[i].label])
    importance[list(train)] /= importance[list(train)].mean()  # 1 on average: the rates keep their meaning
    return torch.full((len(train),), 1 / len(train), dtype=torch.float64), importance


def _freeze(network: nn.Module, stages: int) -> nn.Module:
    """Fix the stem and the first stages, and give them as one module."""
    parts: Any = getattr(network, "body", network)
    staged = stages and hasattr(parts, "conv_stem") and hasattr(parts, "blocks")
    early = nn.ModuleList([parts.conv_stem, parts.bn1, *parts.blocks[:stages]] if staged else [])
    for parameter in early.parameters():
        parameter.requires_grad = False
    return early


def _train(module: Any, cells: Any, settings: Settings, device: torch.device, folder: Path, epochs: int) -> None:
    """Let Lightning run the epochs. Its own checkpoints are pickles: none is written beside ours, and none read."""
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import TensorBoardLogger

    kind = {"cuda": "gpu"}.get(device.type, device.type)
    one = settings.devices == 1 and device.index is not None  # "cuda:1"
    grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
    # On a Slurm cluster Lightning looks for a pickle of its own under its root: that is an empty folder here.
    with TemporaryDirectory() as empty, _quiet():
        trainer = Trainer(
            accelerator=kind,
            devices=[device.index] if one else settings.devices,
            num_nodes=settings.nodes,
            strategy=settings.strategy,
            precision=settings.precision,
            max_epochs=epochs,
            accumulate_grad_batches=settings.accumulate,
            logger=TensorBoardLogger(folder, name="tensorboard", version=""),
            default_root_dir=empty,
            log_every_n_steps=1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        try:
            trainer.fit(module, cells)
        except SystemExit as end:
            if trainer.interrupted and type(end) is SystemExit:  # after Ctrl+C; after SIGTERM it is a subclass
                raise KeyboardInterrupt from None
            raise
        finally:
            if not grouped and torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Lightning says of itself; crops are in memory, and need no processes that read them."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers")
            warnings.filterwarnings("ignore", message=".*in eval mode at the start")  # the average is
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)  # Lightning's to mend
            yield
    finally:
        logger.setLevel(level)
