"""The command line of the training package."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leukoscope.errors import SettingsError
from leukoscope.terminal import guarded

if TYPE_CHECKING:
    from .data.manifest import Manifest

__all__ = ["app", "main"]

app = typer.Typer(
    name="leukotrain",
    help="Train and measure Leukoscope's models. For research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path, typer.Option("--data", help="Folder of the data sets, with their manifest.csv.", envvar="LEUKOSCOPE_DATA")
]
Work = Annotated[
    Path,
    typer.Option(
        "--work", help="Folder for cut cells, caches and checkpoints; outside the repository.", envvar="LEUKOSCOPE_WORK"
    ),
]
OwnManifest = Annotated[
    Path | None, typer.Option(help="A manifest of one's own, CSV or JSON, in place of the prepared data sets.")
]
Roots = Annotated[
    list[Path] | None, typer.Option(help="Where its paths are looked for; may be repeated. Default: its folder.")
]
DATA = Path("../shared/data")
WORK = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "leukotrain"


def _say(line: str) -> None:
    from .run import is_first_process

    if is_first_process():
        typer.echo(line, err=True)


@app.command()
def prepare(data: Data = DATA, work: Work = WORK) -> None:
    """Cut out and outline the cells of all data sets, and list them in a manifest."""
    from .prepare import MANIFEST
    from .prepare import prepare as run

    manifest = run(data, work, _say)
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
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
    measure: Annotated[
        bool, typer.Option(help="Measure on the held-out groups of the prepared data sets afterwards.")
    ] = True,
) -> None:
    """Fine-tune a classifier and write it as a bundle. A killed run goes on when called again."""
    from . import _options as options
    from .data.manifest import Manifest
    from .data.sources import CLASSES
    from .guards import check_all, seed_given
    from .prepare import SPEC
    from .prepare import prepare as make
    from .run import classes_of, is_first_process, shares_of, train, with_held_out
    from .settings import Settings

    plan, changes = options.plan(steps or ()), options.augmentation(augment)
    if root and manifest is None:
        raise SettingsError("--root without --manifest", "Name the manifest whose pictures lie there.")
    own = None if manifest is None else Manifest.read(manifest)
    cells = own or make(data, work, _say)
    roots = (work, data) if manifest is None else tuple(root or [manifest.parent])
    cells.check_classes()
    cells.check_files(roots)
    cells = with_held_out(cells, also or ())
    settings = Settings(
        also=tuple(also or ()),
        architecture=architecture,
        sources=_sources(architecture, weights),
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
    if own is not None:
        settings = replace(settings, shares=shares_of(own, "train"), val_shares=shares_of(own, "val"))
    passed = check_all(cells, roots, also={11: lambda: seed_given(seed)})
    _say(f"leak guards passed: {', '.join(map(str, passed))}")

    def log(row: Any) -> None:
        _say(", ".join(f"{k} {v:.4g}" for k, v in row.items()))

    classes = CLASSES if own is None else classes_of(own)
    with options.shown(is_first_process()) as progress:
        train(cells, roots, work, out, name, classes, SPEC, settings, plan, normalize, log, progress)
    if measure and is_first_process() and any(row.split == "test" for row in cells):
        evaluate(str(out), data, work, manifest, root, baselines=True, record=True, report=work / "reports" / name)


def _sources(architecture: str, weights: list[str] | None) -> tuple[str, ...]:
    """Give where first weights are from: as named; else the package's where it has some, else nowhere."""
    from .initial import packaged

    if weights is None:
        return ("package",) if packaged(architecture) else ()
    return tuple(w for w in weights if w != "none")


def _asked(data: Path, work: Path, manifest: Path | None, root: list[Path] | None) -> tuple[Manifest, tuple[Path, ...]]:
    """Give the cells to measure on and where their pictures lie: the prepared data sets', or those of one's own."""
    from .data.manifest import Manifest
    from .prepare import prepare

    if manifest is None:
        return prepare(data, work, _say), (work, data)
    cells, roots = Manifest.read(manifest), tuple(root or [manifest.parent])
    cells.check_files(roots)
    return cells, roots


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A shipped model's name or a bundle's folder.")],
    data: Data = DATA,
    work: Work = WORK,
    manifest: OwnManifest = None,
    root: Roots = None,
    sibling: Annotated[
        str | None,
        typer.Option(help="For sources trained on with --also: a bundle of the same settings trained without it."),
    ] = None,
    baselines: Annotated[bool, typer.Option(help="Measure the trivial methods too.")] = False,
    record: Annotated[bool, typer.Option(help="Write the figures into the bundle's model.json and card.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a Markdown table.")] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for report.html and report.json. They show cells: keep them out of the repository."),
    ] = None,
) -> None:
    """Measure a model on the held-out groups."""
    from leukoscope.classification import load_model

    from ._sibling import beside, parted
    from .card import record_metrics, table
    from .evaluate import evaluate as run
    from .guards import slides_not_seen
    from .report import check_folder, write_report

    classifier = load_model(model)
    if report is not None:
        check_folder(report)
    cells, roots = _asked(data, work, manifest, root)
    seen = (group for groups in classifier.bundle.training.get("groups", {}).values() for group in groups)
    cells, kept = parted(cells, classifier)
    slides_not_seen(seen, (row.group for row in cells if row.split == "test"))
    result = run(classifier, cells, roots, work, data if manifest is None else None, baselines, _say)
    if kept is not None:
        other = None if sibling is None else load_model(sibling)
        result = beside(result, classifier, other, kept, roots, work, baselines, _say)
    values = [m.to_json() for m in result.metrics]
    if report is not None:
        _say(f"report: {write_report(report, classifier, cells, roots, result)}")
    if record and classifier.bundle.folder is not None:
        record_metrics(classifier.bundle.folder, result.metrics)
    typer.echo(json.dumps(values, indent=1) if as_json else table(values))


@app.command()
def probe(
    model: Annotated[str, typer.Argument(help="A shipped model's name or a bundle's folder.")],
    data: Data = DATA,
    work: Work = WORK,
    manifest: OwnManifest = None,
    root: Roots = None,
    cells: Annotated[int, typer.Option(min=2, help="Cells of each source and class, at most.")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the cells drawn and of the changes of style.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this file.")] = None,
) -> None:
    """Show what a model relies on: the cell, or the style of the laboratory that a class comes from."""
    from leukoscope.classification import load_model

    from ._sibling import parted
    from .probe import markdown
    from .probe import probe as run

    classifier = load_model(model)
    rows, roots = _asked(data, work, manifest, root)
    rows, seen = parted(rows, classifier)
    if seen is not None:
        _say(f"left out, as all of it was trained on: {', '.join(sorted({row.source for row in seen}))}")
    sections = run(classifier, rows, roots, work, data if manifest is None else None, cells, seed, _say)
    if json_file is not None:
        values = {title: [m.to_json() for m in metrics] for title, metrics in sections.items()}
        about = {"model": classifier.bundle.name, "fingerprint": classifier.fingerprint, "cells": cells, "seed": seed}
        text = json.dumps({**about, "manifest_sha256": rows.sha256, "figures": values}, indent=1, ensure_ascii=False)
        try:
            json_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            remedy = "Give a file in a folder that exists and can be written."
            raise SettingsError(f"{json_file} cannot be written ({error.strerror})", remedy) from error
    typer.echo(markdown(sections))


@app.command()
def compare(
    architecture: Annotated[
        list[str] | None,
        typer.Option(
            help="A network; may be repeated. Default: all of docs/networks.md, or with --steps the usual one."
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Six small networks of the zoo in place of all.")] = False,
    without: Annotated[list[str] | None, typer.Option(help="A network to leave out; may be repeated.")] = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(
            help="An arm with these preprocessing steps, joined by '+', such as stain_normalize+alhe:tile=28,clip=2; "
            "'normalize' stands for --normalize fitted, 'each' for an arm of every step. May be repeated; the arm "
            "without steps is always beside.",
        ),
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Start every network from random weights.")] = False,
    source: Annotated[str | None, typer.Option(help="Train and measure on this source alone, such as cnmc.")] = None,
    data: Data = DATA,
    work: Work = WORK,
    manifest: OwnManifest = None,
    root: Roots = None,
    augment: Annotated[str, typer.Option(help="style (the shipped model's), traditional or none.")] = "style",
    epochs: Annotated[int, typer.Option(min=1, help="Passes, of every arm.")] = 12,
    epoch_cells: Annotated[int, typer.Option(min=1, help="Cells drawn in a pass.")] = 5120,
    batch: Annotated[int, typer.Option(min=1, help="Cells at a time.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    seed: Annotated[list[int] | None, typer.Option(help="Of all randomness; repeated, arms run with each.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the trained bundles, in the work folder.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="JSON file for all figures; the table lies beside it (.md). Default: in the work folder."),
    ] = None,
) -> None:
    """Train several networks, or one with and without steps, alike on one split, and print one table.

    A killed comparison goes on when called again; what is done is not done again.
    """
    from leukoscope.classification.networks import ARCHITECTURES

    from . import _options as options
    from ._arms import QUICK, arms_of, restricted
    from .compare import Result
    from .compare import compare as run
    from .compare_table import write
    from .data.manifest import Manifest
    from .data.sources import CLASSES
    from .guards import check_all, seed_given
    from .prepare import SPEC
    from .prepare import prepare as make
    from .run import classes_of, shares_of
    from .settings import Settings

    zoo: tuple[str, ...] = QUICK if quick else (Settings().architecture,) if steps else ARCHITECTURES
    names = [name for name in architecture or zoo if name not in (without or ())]
    seeds = seed or [0]
    arms = arms_of(names, steps or (), seeds, random)
    settings = Settings(
        epochs=epochs,
        epoch_cells=epoch_cells,
        batch=batch,
        threads=threads,
        device=device,
        augmentation=options.augmentation(augment),
    )
    if root and manifest is None:
        raise SettingsError("--root without --manifest", "Name the manifest whose pictures lie there.")
    cells = restricted(make(data, work, _say) if manifest is None else Manifest.read(manifest), source)
    roots = (work, data) if manifest is None else tuple(root or [manifest.parent])
    cells.check_classes()
    cells.check_files(roots)
    check_all(cells, roots, also={11: lambda: seed_given(seeds[0])})
    classes: tuple[str, ...] = CLASSES
    if manifest is not None or source is not None:
        classes = classes_of(cells)
        settings = replace(settings, shares=shares_of(cells, "train"), val_shares=shares_of(cells, "val"))
    out = out or work / "compare" / "comparison.json"
    results: list[Result] = []
    with options.shown(True) as progress:
        for result in run(arms, cells, roots, work, classes, SPEC, settings, keep=keep, log=_say, progress=progress):
            results.append(result)
            text = write(out, results, cells, settings, SPEC.size)  # after each arm: a long run shows how far it is
    typer.echo(text)


@app.command()
def segment(
    out: Annotated[Path, typer.Option("--out", help="Folder that receives the weights.")],
    data: Data = DATA,
    network: Annotated[str, typer.Option(help="snn (spiking U-Net) or rstdp (first-spike network).")] = "snn",
    epochs: Annotated[int, typer.Option(min=1, help="Passes.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    second_round: Annotated[
        bool, typer.Option(help="Train the snn of --out on, with accepted outlines of its own beside the public masks.")
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make training scenes.")] = 1,
) -> None:
    """Train a spike segmenter and measure it on the held-out groups. A killed run goes on when called again."""
    from .segment.__main__ import main as run

    run(data=data, network=network, out=out, epochs=epochs, seed=seed, second_round=second_round, workers=workers)


def main() -> None:
    """Run the command line; what a user can mend ends in one line and exit code 2."""
    guarded(app)
