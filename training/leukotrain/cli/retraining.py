"""The command that retrains from reviewed cases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukoscope.errors import SettingsError

from ._common import MOST_THREADS, WORK, Work, app, check_run, say

if TYPE_CHECKING:
    from ..retrain import RetrainProgress
    from ..retraining.told import Report

__all__ = ["retrain"]


@app.command()
def retrain(
    case: Annotated[list[Path], typer.Option("--case", help="A reviewed case to learn from; may be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="The new bundle's folder.")],
    locked: Annotated[
        list[Path] | None,
        typer.Option("--locked", help="A reviewed case to measure on and never to learn from; may be repeated."),
    ] = None,
    model: Annotated[str, typer.Option(help="The model to start from: a shipped name or a bundle's folder.")] = "blood",
    mode: Annotated[
        str, typer.Option(help="head (the last layer, seconds on a processor) or full (the whole network).")
    ] = "head",
    overrule: Annotated[
        str, typer.Option(help="Write the model though the gate refuses it; the name of who takes that on is kept.")
    ] = "",
    name: Annotated[
        str | None, typer.Option(help="The new model's name. Default: the old one's, with -retrained.")
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--map", help="LABEL=CLASS: another class for a label of the cases; LABEL= leaves its cells out."),
    ] = None,
    slide: Annotated[
        list[str] | None,
        typer.Option(help="CASE=FILE: where the slide of a case is now; CASE is its folder's name. May be repeated."),
    ] = None,
    flips: Annotated[bool, typer.Option(help="Also tell which cells of the cases would change class.")] = True,
    list_flips: Annotated[bool, typer.Option("--list-flips", help="List those cells one by one.")] = False,
    balance: Annotated[
        bool, typer.Option("--balance", help="Weigh cells by the inverse root of their label's number (mode head).")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    work: Work = WORK,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the cells at most (mode full).")] = 4,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Of all randomness (mode full).")] = 0,
    threads: Annotated[int, typer.Option(min=1, max=MOST_THREADS, help="Processor threads (mode full).")] = 2,
) -> None:
    """Retrain a model from reviewed cases, and write it if a gate shows that it is no worse."""
    from ..guards import seed_given
    from ..retrain import GateRefusedError, retrain_plan
    from ..retrain import retrain as run

    seed_given(seed)
    check_run(device)
    plan = retrain_plan(case, locked or (), model, mode, _pairs(label, "--map"), _pairs(slide, "--slide"))
    typer.echo(plan.table() + "\n")
    try:
        with _shown() as progress:
            done = run(
                plan,
                out,
                name=name,
                overrule=overrule,
                flips=flips or list_flips,
                balance=balance,
                device=device,
                work=work / "retrain",
                epochs=epochs,
                seed=seed,
                threads=threads,
                progress=progress,
            )
    except GateRefusedError as refused:
        typer.echo(refused.gate.table())
        raise
    typer.echo(done.gate.table())
    if list_flips:
        typer.echo("\n| case | cell | before | after | reviewer |\n|---|---|---|---|---|")
        for change in done.gate.changes:
            for flip in change.flips:
                typer.echo(f"| {change.case} | {flip.cell} | {flip.before} | {flip.after} | {flip.reviewed} |")
    by = f"; the gate was overruled by {done.overruled_by}" if done.overruled_by else ""
    say(f"{done.folder}, in {done.seconds:.1f} s{by}")


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    """Read NAME=VALUE."""
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise SettingsError(f"{option} {text!r} is not NAME=VALUE", "Write both, with = between.")
        found[name] = value
    return found


@contextmanager
def _shown() -> Iterator[Report]:
    """Give what draws a bar for each stage on stderr, in a terminal; nothing is drawn elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}")
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def draw(at: RetrainProgress) -> None:
            if at.stage not in tasks:
                tasks[at.stage] = bar.add_task(at.stage, total=at.total, note="")
            loss = at.loss if at.loss is not None else at.left_out
            note = "" if loss is None else f"loss {loss:.4f}"
            bar.update(tasks[at.stage], completed=at.done, total=at.total, note=note)

        yield draw
