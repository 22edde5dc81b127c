"""Retraining of the whole network: a few epochs at a low rate, from the old weights, on the reviewed cells' crops."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file

from leukoscope.cases import Case
from leukoscope.classification import Classifier, load_model
from leukoscope.classification.bundle import read_bundle, write_bundle
from leukoscope.classification.networks import sketch
from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.pipeline import CanceledError as PipelineCanceledError
from leukoscope.pipeline._cells import ask_cells

from ..checkpoint import bytes_needed
from ..data.cache import load_crops
from ..data.importers.qupath import cut_slide
from ..data.manifest import Manifest, Row
from ..data.splits import assign
from ..evaluate import predict
from ..fit import fit, run_identity
from ..guards import check_all, slides_not_seen, trained_groups
from ..settings import CanceledError, Progress, Settings
from ..space import check_space
from .flips import CaseChange, change_of, named
from .gate import Gate, compare
from .layer import last_layer, with_layer
from .opened import opened
from .plan import RetrainPlan
from .reviewed import blocks_of
from .told import Stage, Tell

__all__ = ["Whole", "by_fit"]

RATE: Final = 5e-5  # a tenth of that from ImageNet's weights: what they know of cells is to stay
FEWEST_SLIDES: Final = 3  # to keep slides whole in train, val and test; below, blocks of slides are
SHARES: Final = {True: (0.8, 0.2), False: (0.65, 0.15, 0.2)}  # train, val (, test): with locked cases, without


@dataclass(frozen=True, eq=False)
class Whole:
    """What came of it: as `by_head.NewHead`, and the groups trained on."""

    weights: dict[str, torch.Tensor]
    gate: Gate
    losses: tuple[float, ...]
    curve: tuple[tuple[float, float], ...]
    how: Mapping[str, Any]
    trained: tuple[str, ...]


def by_fit(
    plan: RetrainPlan,
    flips: bool,
    device: str,
    work: Path | None,
    epochs: int,
    seed: int,
    threads: int,
    tell: Tell,
    ready: Sequence[Case] = (),
) -> Whole:
    """Fit the network anew and measure it; parameters and errors as for `leukotrain.retrain.retrain`."""
    if plan.bundle.steps or plan.bundle.fitted is not None:
        cause = f"{plan.bundle.name} has steps fitted on cells that are not at hand"
        raise SettingsError(cause, "Retrain its head alone.")
    if work is None:
        with TemporaryDirectory() as temporary:
            return by_fit(plan, flips, device, Path(temporary), epochs, seed, threads, tell, ready)
    network = sketch(plan.bundle.architecture, len(plan.classes), plan.bundle.crop.size)
    check_space(work, bytes_needed(network), "the checkpoints")
    rows, labels, groups = _cut(plan, work, seed, tell, ready)
    manifest = Manifest(rows)
    manifest.check_classes()
    check_all(manifest)
    slides_not_seen(
        trained_groups(plan.bundle),
        (group for row, group in zip(rows, groups, strict=True) if row.split == "test"),
    )
    weights, settings, folder = _start(plan, manifest, work, epochs, seed, threads, device)
    losses: list[float] = []

    def fitting(at: Progress) -> None:
        losses.append(at.loss)
        tell(Stage.FIT, at.epoch * at.batches + at.batch, at.epochs * at.batches, loss=at.loss)

    def after_epoch(row: Mapping[str, Any]) -> None:
        done = (int(row["epoch"]) + 1) * settings.batches
        tell(Stage.FIT, done, epochs * settings.batches, row["train_loss"], row["val_loss"])

    spec = plan.bundle.crop
    crops = load_crops(manifest, (work,), spec, work)
    before = torch.get_num_threads()
    try:
        fitted = fit(
            manifest, crops, plan.classes, spec, settings, folder, after_epoch, progress=fitting, cancel=tell.cancel
        )
    finally:
        torch.set_num_threads(before)  # the process may go on to other work: a viewer does
    fresh = replace(plan.bundle, classes=plan.classes, folder=None, fingerprint="")
    with _writing(folder / "bundle") as made:
        write_bundle(made, fresh, fitted.weights, "Not measured yet.\n")
    new = load_model(made, device)
    old = load_model(plan.model, device)
    at = [i for i, row in enumerate(rows) if row.split == "test"]
    tested = [rows[i] for i in at]
    gate = _measure(plan, old, new, tested, [labels[i] for i in at], [groups[i] for i in at], work)
    if flips:
        gate = replace(gate, changes=_changes(plan, old, new, tell, ready))
    # A slide of which a block was trained on is a slide trained on, whatever block it was.
    trained = {group for row, group in zip(rows, groups, strict=True) if row.split != "test"}
    curve = tuple((row["train_loss"], row["val_loss"]) for row in fitted.history)
    how = {"settings": settings.to_json(), "history": fitted.history}
    return Whole(weights | fitted.weights, gate, tuple(losses), curve, how, tuple(sorted(trained)))


def _cut(
    plan: RetrainPlan, work: Path, seed: int, tell: Tell, ready: Sequence[Case]
) -> tuple[list[Row], list[str], list[str]]:
    """Cut the cells out of their slides; give rows with their splits, and each row's own label and slide."""
    rows: list[Row] = []
    labels: list[str] = []
    slides: list[str] = []
    cases = (*plan.cases, *plan.locked)
    total, before = sum(map(len, cases)), 0

    def told(done: int, _: int) -> None:
        tell(Stage.EMBED, before + done, total)
        if tell.cancel is not None and tell.cancel():
            raise CanceledError("retraining was stopped", "Start it again: what is cut is kept.")

    apart = plan.slides < FEWEST_SLIDES
    for one in cases:
        blocks = dict(zip(one.ids.tolist(), blocks_of(one.places).tolist(), strict=True))
        said = dict(zip(one.ids.tolist(), one.labels, strict=True))
        with opened(one, ready) as (case, slide):
            outlines = case.outlines(one.ids.tolist())
            cells = [(str(cell), said[cell], outlines[cell][0]) for cell in one.ids.tolist()]
            found = cut_slide(slide, cells, work, "cases", one.group, case.mpp, told)
        for row in found:
            cell = int(Path(row.image).stem)
            locked = one in plan.locked
            group = f"{one.group}/{blocks[cell]}" if apart and not locked else one.group
            rows.append(replace(row, group=group, split="test" if locked else "train"))
            labels.append(said[cell])
            slides.append(one.group)
        before += len(one)
    learned = [i for i, row in enumerate(rows) if row.split == "train"]
    shares = SHARES[bool(plan.locked)]
    parts = assign([rows[i].label for i in learned], [rows[i].group for i in learned], shares, seed)
    for i, part in zip(learned, parts.tolist(), strict=True):
        split = ("train", "val", "test")[part]
        if split == "test" and slides[i] not in plan.unseen:
            split = "train"  # the model before was trained on this slide: it cannot be measured here (guard 14)
        rows[i] = replace(rows[i], split=split)
    return rows, labels, slides


def _start(
    plan: RetrainPlan, manifest: Manifest, work: Path, epochs: int, seed: int, threads: int, device: str
) -> tuple[dict[str, torch.Tensor], Settings, Path]:
    """Write the first weights (new classes have their outputs) and settle how the fit is done, and where."""
    bundle = plan.bundle
    if bundle.folder is None:  # pragma: no cover - a plan's bundle is read from a folder
        raise RuntimeError("the model to retrain is not on disk")
    weights = read_bundle(bundle.folder)[1]
    if plan.new_classes:
        name, old = last_layer(bundle, weights)
        weights = with_layer(weights, name, old.extended(len(plan.new_classes)))
    first = work / f"first-{bundle.fingerprint}-{len(plan.classes)}.safetensors"
    with _writing(first):
        work.mkdir(parents=True, exist_ok=True)
        partial = first.with_suffix(".partial")
        save_file({key: tensor.contiguous() for key, tensor in weights.items()}, partial)
        partial.replace(first)
    count = Counter(row.split for row in manifest)["train"]
    batch = max(1, min(32, count))
    settings = Settings(
        architecture=bundle.architecture,
        sources=(str(first),),
        epochs=epochs,
        epoch_cells=max(batch, min(2 * count, 5120)),
        batch=batch,
        rate=RATE,
        head_rate=4 * RATE,
        patience=2,
        shares={"cases": 1.0},
        val_shares={"cases": 1.0},
        seed=seed,
        threads=threads,
        device=device,
    )
    run = json.dumps(run_identity(manifest, plan.classes, bundle.crop, settings), sort_keys=True)
    return weights, settings, work / f"retrain-{bundle.name}-{hashlib.sha256(run.encode()).hexdigest()[:16]}"


@contextmanager
def _writing(target: Path) -> Iterator[Path]:
    """Say in one line that a file of the work folder cannot be written: somebody else may fill the disk meanwhile."""
    try:
        yield target
    except (OSError, SafetensorError) as error:
        remedy = "Make room, or choose another work folder; finished epochs are kept."
        raise LeukoscopeError(f"cannot be written ({error})", remedy, target) from error


def _measure(
    plan: RetrainPlan,
    old: Classifier,
    new: Classifier,
    rows: Sequence[Row],
    labels: Sequence[str],
    slides: Sequence[str],
    work: Path,
) -> Gate:
    before = np.zeros((len(rows), len(plan.classes)), np.float32)
    if rows:
        before[:, : len(old.classes)] = predict(old, rows, (work,))
    after = predict(new, rows, (work,)) if rows else before
    notes = [*plan.notes, "Temperature and threshold are the old model's."]
    if plan.locked:
        on = "the reviewed cells of locked cases"
    elif plan.slides < FEWEST_SLIDES:
        on = "blocks of the slides that were not trained on"
        notes.append("Few slides: other parts of the same slides were trained on. Name a locked case for more.")
    else:
        on = "slides that were not trained on"
    alone = len(set(slides)) == 1
    groups = [f"{row.group}/{i}" if alone and plan.locked else row.group for i, row in enumerate(rows)]
    return compare(labels, groups, before, after, plan.classes, plan.new_classes, on, notes)


def _changes(
    plan: RetrainPlan, old: Classifier, new: Classifier, tell: Tell, ready: Sequence[Case]
) -> tuple[CaseChange, ...]:
    """Ask both models about every cell of the cases."""
    out = []
    for done, one in enumerate(plan.every, 1):
        with opened(one, ready) as (case, slide):
            called: list[list[str]] = []
            for model in (old, new):
                here = model.for_slide(slide.overview()) if model.chain.looks_at_slide else model
                parts: list[NDArray[np.float32]] = []
                try:
                    ask_cells(case, slide, case.ids, here, here.predict_proba, parts.append, None, tell.cancel)
                except PipelineCanceledError as stopped:
                    raise CanceledError("retraining was stopped", "Start it again; it goes on.") from stopped
                called.append(named(np.concatenate(parts), here.classes, here.threshold))
            out.append(change_of(case, called[0], called[1], plan.new_classes))
        tell(Stage.GATE, done, len(plan.every))
    return tuple(out)
