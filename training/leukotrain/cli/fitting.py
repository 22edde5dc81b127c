"""Commands that train."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from leukoscope.errors import SettingsError

from ._common import DATA, MOST_THREADS, WORK, Data, OwnManifest, Roots, Work, app, asked, check_run, say, sources
from .measuring import evaluate

__all__ = ["fit", "prepare", "pretrain", "segment"]


@app.command()
def prepare(data: Data = DATA, work: Work = WORK) -> None:
    """Cut out and outline the cells of all data sets, and list them in a manifest."""
    from ..prepare import MANIFEST
    from ..prepare import prepare as run

    manifest = run(data, work, say)
    typer.echo(f"{len(manifest)} cells in {work / MANIFEST}, {manifest.sha256}")


@app.command()
def fit(
    out: Annotated[Path, typer.Option("--out", help="The bundle's folder.")],
    data: Data = DATA,
    work: Work = WORK,
    name: Annotated[str, typer.Option(help="The model's name.")] = "blood",
    architecture: Annotated[
        str, typer.Option(help="The network: timm's name, or one of docs/networks.md.")
    ] = "tf_efficientnet_lite0_sized",
    weights: Annotated[
        list[str] | None,
        typer.Option(help="First weights: a safetensors file, 'package' (ImageNet, EfficientNet-Lite0), or 'none'."),
    ] = None,
    manifest: OwnManifest = None,
    root: Roots = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(help="A preprocessing step, NAME or NAME:SETTING=VALUE,...; may be repeated, in order."),
    ] = None,
    normalize: Annotated[
        str, typer.Option(help="half (mean and deviation 0.5) or fitted (those of the training split).")
    ] = "half",
    augment: Annotated[str, typer.Option(help="style (the shipped model's), traditional or none.")] = "style",
    balance: Annotated[
        str, typer.Option(help="shares (drawn by source and label) or class_weights (drawn uniformly).")
    ] = "shares",
    size: Annotated[
        int, typer.Option(min=32, help="Width of the crops in pixels; the field of view, 16.8 µm, stays the same.")
    ] = 112,
    balance_colors: Annotated[
        bool, typer.Option(help="Give every crop the same light and dark ends, by the cell's own pixels.")
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0, help="Peak learning rate of the body; the last layer's is four times that.")
    ] = 5e-4,
    epochs: Annotated[int, typer.Option(min=1, help="Passes at most.")] = 12,
    epoch_cells: Annotated[int, typer.Option(min=1, help="Cells drawn in a pass, over all devices.")] = 5120,
    batch: Annotated[int, typer.Option(min=1, help="Cells at a time on each device.")] = 32,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches whose gradients are added up for a step.")] = 1,
    precision: Annotated[str, typer.Option(help="32-true, bf16-mixed, or (on a GPU) 16-mixed.")] = "32-true",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="GPUs (or, with cpu, processes) of each machine.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines; start one process a device with torchrun.")] = 1,
    also: Annotated[
        list[str] | None,
        typer.Option(help="A source whose held-out groups are trained on, too, for the model that ships; repeatable."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of all randomness.")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Processor threads.")] = 2,
    measure: Annotated[
        bool, typer.Option(help="Measure on the held-out groups of the prepared data sets afterwards.")
    ] = True,
) -> None:
    """Fine-tune a classifier and write it as a bundle. A killed run goes on when called again."""
    from leukoscope.classification.networks import sketch

    from .. import _options as options
    from ..data.sources import CLASSES
    from ..guards import check_all, seed_given, slides_not_seen
    from ..initial import encoder_groups
    from ..prepare import SPEC
    from ..run import NORMALIZATIONS, classes_of, is_first_process, shares_of, train, with_held_out
    from ..settings import Settings
    from ..space import check_writable

    check_run(device, rate, weights or ())
    sketch(architecture, 2, size)
    check_writable(out)
    if normalize not in NORMALIZATIONS:
        raise SettingsError(f"no normalization {normalize!r}", f"Choose one of {', '.join(NORMALIZATIONS)}.")
    plan, changes = options.plan(steps or ()), options.augmentation(augment)
    listed, roots = asked(data, work, manifest, root, training=True)
    cells = with_held_out(listed, also or ())
    settings = Settings(
        also=tuple(also or ()),
        architecture=architecture,
        sources=sources(architecture, weights),
        rate=rate,
        head_rate=4 * rate,
        epochs=epochs,
        epoch_cells=epoch_cells,
        batch=batch,
        seed=seed,
        threads=threads,
        augmentation=changes,
        precision=precision,
        accumulate=accumulate,
        balance=balance,
        device=device,
        devices=devices,
        nodes=nodes,
    )
    if manifest is not None:
        settings = replace(settings, shares=shares_of(listed, "train"), val_shares=shares_of(listed, "val"))
    tested = {row.group for row in cells if row.split == "test"}
    for file in weights or ():
        slides_not_seen(encoder_groups(file), tested)
    passed = check_all(cells, roots, also={11: lambda: seed_given(seed)})
    say(f"leak guards passed: {', '.join(map(str, passed))}")

    crop = replace(SPEC.resized(size), balance="cell" if balance_colors else "none")
    classes = CLASSES if manifest is None else classes_of(listed)
    with options.shown(is_first_process()) as progress:
        train(cells, roots, work, out, name, classes, crop, settings, plan, normalize, _say_row, progress)
    if measure and is_first_process() and any(row.split == "test" for row in cells):
        evaluate(str(out), data, work, manifest, root, baselines=True, record=True, report=work / "reports" / name)


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option("--out", help="Folder that receives encoder.safetensors and the checkpoint.")],
    data: Data = DATA,
    work: Work = WORK,
    manifest: OwnManifest = None,
    root: Roots = None,
    architecture: Annotated[str, typer.Option(help="One of timm's convnextv2_*.")] = "convnextv2_atto",
    size: Annotated[
        int, typer.Option(min=16, help="Width of the crops in pixels; the field of view, 16.8 µm, stays the same.")
    ] = 112,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over all crops.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Cells at a time.")] = 64,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of all randomness.")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Processor threads.")] = 2,
) -> None:
    """Pretrain a ConvNeXt V2 (FCMAE) on the crops of train and val, without their labels; killed, it goes on."""
    import torch

    from ..data.cache import load_crops
    from ..fcmae import Pretraining
    from ..fcmae import pretrain as run
    from ..prepare import SPEC
    from ..space import check_writable

    settings = Pretraining(architecture, size, epochs=epochs, batch=batch, seed=seed, device=device)
    check_writable(out)
    torch.set_num_threads(threads)
    cells, roots = asked(data, work, manifest, root)
    at = [i for i, row in enumerate(cells) if row.split != "test"]
    crops = load_crops(cells, roots, SPEC.resized(size), work)
    groups = sorted({cells.rows[i].group for i in at})
    origin = {"manifest": cells.sha256, "groups": json.dumps(groups)}
    typer.echo(run(crops.pixels[at], settings, out, _say_row, origin))


def _say_row(row: Mapping[str, Any]) -> None:
    say(", ".join(f"{k} {v:.4g}" for k, v in row.items()))


@app.command()
def segment(
    out: Annotated[Path, typer.Option("--out", help="Folder that receives the weights.")],
    data: Data = DATA,
    network: Annotated[str, typer.Option(help="snn (spiking U-Net) or rstdp (first-spike network).")] = "snn",
    epochs: Annotated[
        int, typer.Option(min=1, help="Passes over 1024 scenes (snn), or over 12,000 pixels (rstdp).")
    ] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of all randomness.")] = 0,
    second_round: Annotated[
        bool, typer.Option(help="Train the snn of --out on, with accepted outlines of its own beside the public masks.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make training scenes.")] = 1,
) -> None:
    """Train a spike segmenter and measure it on the held-out groups. A killed run goes on when called again."""
    from rich.console import Console
    from rich.table import Table

    from ..segment.train import train_segmenter

    console = Console()
    what = "loss" if network == "snn" else "right"

    def progress(epoch: int, value: float) -> None:
        console.print(f"epoch {epoch + 1}/{epochs}  {what} {value:.4f}")

    metrics = train_segmenter(data, network, out, epochs, seed, workers, progress, second=second_round)
    table = Table("held out", "value", "95 %", "cells", "groups", title=f"{network}: {out}")
    for name, m in metrics.items():
        table.add_row(name, f"{m['value']:.3f}", f"{m['low']:.3f}–{m['high']:.3f}", str(m["cells"]), str(m["groups"]))
    console.print(table)
