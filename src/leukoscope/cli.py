"""The command line: ``leukoscope analyze SLIDE --out DIR`` and its neighbors."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from leukoscope.errors import LeukoscopeError
from leukoscope.terminal import guarded, say_error

if TYPE_CHECKING:
    from leukoscope.cases import Case

__all__ = ["app", "main"]

app = typer.Typer(
    name="leukoscope",
    help="Count leukemic blasts on whole blood and marrow smears. For research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
out = Console(highlight=False)


class Scheduler(StrEnum):
    """Who works on the blocks."""

    THREADS = "threads"
    PROCESSES = "processes"
    DASK = "dask"


Segmenter = Annotated[str, typer.Option(help="spike, watershed, or sam:FILE (a local Segment Anything checkpoint).")]
Model = Annotated[str, typer.Option(help="A shipped model's name (see `leukoscope models`) or a bundle's folder.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
Profile = Annotated[str, typer.Option(help="Counting profile: blood, marrow, or a profile file (JSON).")]
Mpp = Annotated[
    float | None,
    typer.Option(help="µm per pixel at full resolution. Default: from the file, else estimated from the red cells."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Blocks worked on at a time. Default: one per core.")]


@app.command()
def analyze(
    slides: Annotated[list[str], typer.Argument(metavar="SLIDE...", help="Slides, fields, or folders of fields.")],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the cases, one <slide>.leuko each.")],
    segmenter: Segmenter = "spike",
    model: Model = "blood",
    device: Device = "auto",
    profile: Profile = "blood",
    mpp: Mpp = None,
    workers: Workers = None,
    scheduler: Annotated[
        str, typer.Option(help="threads, processes, dask, or a dask scheduler's address (tcp://HOST:PORT).")
    ] = "threads",
    resume: Annotated[
        bool,
        typer.Option(help="Go on with an interrupted analysis; --no-resume analyzes anew, keeping reviewed labels."),
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no table.")] = False,
) -> None:
    """Find, outline, classify and count the white cells of slides.

    Each slide gets a case, a folder <slide>.leuko with cells.csv, counts.csv and labels.zarr. An interrupted
    analysis keeps what is done; the same command goes on from there.
    """
    from leukoscope.pipeline import analyze as run_analysis

    failed = 0
    for slide in slides:
        try:
            case = run_analysis(
                slide,
                out_dir,
                segmenter=segmenter,
                model=None if model == "none" else model,
                device=device,
                profile=profile,
                mpp=mpp,
                workers=workers,
                scheduler=scheduler,
                resume=resume,
                progress=None if quiet else "rich",
            )
        except LeukoscopeError as error:
            if len(slides) == 1:
                raise
            failed += 1  # the others still get their turn
            say_error(error)
            continue
        with case:
            if not quiet:
                _print_counts(case)
            out.print(str(case.path), soft_wrap=True)
    if failed:
        raise typer.Exit(2)


@app.command()
def view(
    path: Annotated[str, typer.Argument(help="A slide, a folder of fields, or a case (<slide>.leuko).")],
) -> None:
    """Open a slide or a case in napari."""
    _viewer(path)


@app.command()
def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the case.")] = Path("leukoscope-demo"),
    show: Annotated[bool | None, typer.Option(help="Open napari. Default: where there is a display.")] = None,
) -> None:
    """Analyze the bundled synthetic smear and show it.

    Without a display, the case, a picture of the overlay and a report are left in the folder.
    """
    from leukoscope.cases.overlay import draw_overlay
    from leukoscope.pipeline import analyze as run_analysis
    from leukoscope.sample import sample_path
    from leukoscope.slides import open_slide

    with run_analysis(sample_path(), out_dir, progress="rich") as case:
        case.export(csv=True, geojson=True, report=True)
        picture = case.path / "overlay.png"
        draw_overlay(case, open_slide(sample_path()).overview(2400)).save(picture)
        _print_counts(case)
        out.print(f"case     {case.path}", soft_wrap=True)
        out.print(f"picture  {picture}", soft_wrap=True)
        out.print(f"report   {case.path / 'report.html'}", soft_wrap=True)
        folder = case.path
    if show or (show is None and _has_display()):
        _viewer(str(folder))


@app.command()
def export(
    case_dir: Annotated[Path, typer.Argument(metavar="CASE", help="A case's folder, <slide>.leuko.")],
    csv: Annotated[bool, typer.Option(help="cells.csv and counts.csv.")] = True,
    geojson: Annotated[bool, typer.Option(help="cells.geojson, for QuPath.")] = False,
    labels: Annotated[bool, typer.Option(help="labels.zarr, OME-Zarr.")] = False,
    report: Annotated[bool, typer.Option(help="report.html.")] = False,
    pdf: Annotated[bool, typer.Option(help="report.pdf, the same to print and to file.")] = False,
    profile: Annotated[
        str | None,
        typer.Option(help="Counting profile: blood, marrow, or a profile file (JSON). Default: the analysis' own."),
    ] = None,
) -> None:
    """Write a case's tables, outlines, labels or report."""
    from leukoscope.cases import open_case

    with open_case(case_dir) as case:
        written = case.export(csv=csv, geojson=geojson, labels=labels, report=report, pdf=pdf, profile=profile)
        for path in written.values():
            out.print(str(path), soft_wrap=True)


@app.command()
def models() -> None:
    """List the models that ship, and what each knows."""
    from leukoscope.classification import load_model, model_names

    table = Table("model", "fingerprint", "architecture", "classes", box=None)
    for name in model_names():
        bundle = load_model(name, device="cpu").bundle
        table.add_row(name, bundle.fingerprint, bundle.architecture, ", ".join(bundle.classes))
    out.print(table)


@app.command()
def bench(
    slide: Annotated[str | None, typer.Argument(help="A slide or field. Default: the bundled sample.")] = None,
    segmenter: Segmenter = "spike",
    model: Model = "blood",
    device: Device = "auto",
    mpp: Mpp = None,
    workers: Workers = None,
) -> None:
    """Time an analysis on this machine: seconds, cells, megapixels a second, peak memory."""
    import tempfile
    import time

    from leukoscope.pipeline import analyze as run_analysis
    from leukoscope.sample import sample_path
    from leukoscope.slides import open_slide

    source = open_slide(sample_path() if slide is None else slide)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with run_analysis(source, folder, segmenter, model, device, mpp=mpp, workers=workers, progress="rich") as case:
            seconds, cells = time.perf_counter() - began, len(case)
    megapixels = source.levels[0].shape[0] * source.levels[0].shape[1] / 1e6
    table = Table("slide", "MPix", "cells", "seconds", "MPix/s", "peak MB", box=None)
    table.add_row(
        source.name, f"{megapixels:.1f}", str(cells), f"{seconds:.1f}", f"{megapixels / seconds:.1f}", _peak_megabytes()
    )
    out.print(table)


def main() -> None:
    """Run the command line; the entry point of ``leukoscope``."""
    guarded(app)


def _print_counts(case: Case) -> None:
    differential = case.differential()
    table = Table("class", "cells", "%", "95 % interval", box=None)
    for row in differential.table().to_dict("records"):
        if row["counted"]:
            low, high = row["ci_low"], row["ci_high"]
            table.add_row(str(row["label"]), str(row["counted"]), f"{row['percent']:.1f}", f"{low:.1f}–{high:.1f}")
    out.print(table)
    out.print(f"{differential.verdict}  (research use only)", markup=False)


def _viewer(path: str) -> None:
    try:
        from leukoscope.ui import view as open_viewer
    except ImportError as error:
        raise LeukoscopeError(
            f"the viewer is not installed ({error.name} is missing)", "Run: pip install 'leukoscope[all]'"
        ) from None
    open_viewer(path)


def _has_display() -> bool:
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return not os.environ.get("SSH_CONNECTION")


def _peak_megabytes() -> str:
    try:
        import resource
    except ImportError:  # Windows
        return "n/a"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return f"{peak / (1e6 if sys.platform == 'darwin' else 1e3):.0f}"
