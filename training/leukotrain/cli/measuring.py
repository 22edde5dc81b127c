"""Commands that measure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from leukoscope.errors import SettingsError

from ._common import DATA, MOST_THREADS, WORK, Data, OwnManifest, Roots, Work, app, asked, check_run, say

__all__ = ["compare", "evaluate", "probe"]


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

    from .._sibling import beside, parted
    from ..card import record_metrics, table
    from ..evaluate import evaluate as run
    from ..guards import slides_not_seen, trained_groups
    from ..report import write_report
    from ..space import check_writable

    classifier = load_model(model)
    other = None if sibling is None else load_model(sibling)
    if report is not None:
        check_writable(report)
    cells, roots = asked(data, work, manifest, root)
    cells, kept = parted(cells, classifier)
    slides_not_seen(trained_groups(classifier.bundle), (row.group for row in cells if row.split == "test"))
    result = run(classifier, cells, roots, work, data if manifest is None else None, baselines, say)
    if kept is not None:
        result = beside(result, classifier, other, kept, roots, work, baselines, say)
    values = [m.to_json() for m in result.metrics]
    if report is not None:
        say(f"report: {write_report(report, classifier, cells, roots, result)}")
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

    from .._sibling import parted
    from ..probe import markdown
    from ..probe import probe as run
    from ..space import check_writable

    classifier = load_model(model)
    if json_file is not None:
        check_writable(json_file.parent)
    rows, roots = asked(data, work, manifest, root)
    rows, seen = parted(rows, classifier)
    if seen is not None:
        say(f"left out, as all of it was trained on: {', '.join(sorted({row.source for row in seen}))}")
    sections = run(classifier, rows, roots, work, data if manifest is None else None, cells, seed, say)
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
            "'normalize' and 'balance' stand for --normalize fitted and --balance-colors, 'each' for an arm of every "
            "step. May be repeated; the arm without steps is always beside.",
        ),
    ] = None,
    random: Annotated[bool, typer.Option("--random", help="Start every network from random weights.")] = False,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="First weights, a safetensors file: arms with them stand beside those without; repeatable."),
    ] = None,
    labels: Annotated[
        list[float] | None, typer.Option(help="Share of the training cells to learn from, above 0 to 1; repeatable.")
    ] = None,
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
    seed: Annotated[
        list[int] | None, typer.Option(min=0, max=2**63 - 1, help="Of all randomness; repeated, arms run with each.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Processor threads.")] = 2,
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

    from .. import _options as options
    from .._arms import QUICK, Arm, arms_of, crops_for, restricted
    from ..compare import Result
    from ..compare import compare as run
    from ..compare_table import write
    from ..data.sources import CLASSES
    from ..guards import check_all, seed_given, slides_not_seen
    from ..initial import encoder_groups
    from ..prepare import SPEC
    from ..run import classes_of, shares_of
    from ..settings import Settings
    from ..space import check_writable

    zoo: tuple[str, ...] = QUICK if quick else (Settings().architecture,) if steps else ARCHITECTURES
    names = [name for name in architecture or zoo if name not in (without or ())]
    check_run(device, weights=weights or ())
    for name in without or ():
        if name not in (architecture or zoo):
            raise SettingsError(f"--without {name!r} is none of the networks", f"There are: {', '.join(zoo)}.")
    seeds = seed or [0]
    for one in seeds:
        seed_given(one)
    arms = arms_of(names, steps or (), seeds, random, weights or (), labels or (1.0,))
    for name in architecture or ():
        crops_for(Arm(name), 2, SPEC)  # an unknown one, or one that cannot see such crops
    out = out or work / "compare" / "comparison.json"
    check_writable(out.parent)
    settings = Settings(
        epochs=epochs,
        epoch_cells=epoch_cells,
        batch=batch,
        threads=threads,
        device=device,
        augmentation=options.augmentation(augment),
    )
    listed, roots = asked(data, work, manifest, root)
    cells = restricted(listed, source)
    cells.check_classes()
    if manifest is None:
        cells.check_files(roots)
    tested = {row.group for row in cells if row.split == "test"}
    check_all(cells, roots)
    for file in weights or ():
        slides_not_seen(encoder_groups(file), tested)
    classes: tuple[str, ...] = CLASSES
    if manifest is not None or source is not None:
        classes = classes_of(cells)
        settings = replace(settings, shares=shares_of(cells, "train"), val_shares=shares_of(cells, "val"))
    results: list[Result] = []
    with options.shown(True) as progress:
        for result in run(arms, cells, roots, work, classes, SPEC, settings, keep=keep, log=say, progress=progress):
            results.append(result)
            text = write(out, results, cells, settings, SPEC.size)  # after each arm: a long run shows how far it is
    typer.echo(text)
