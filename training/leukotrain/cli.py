"""The command line of the training package."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from leukoscope.terminal import guarded

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
DATA = Path("../shared/data")
WORK = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "leukotrain"


def _say(line: str) -> None:
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
    ] = "tf_efficientnet_lite0",
    weights: Annotated[
        list[str] | None,
        typer.Option(help="First weights: a safetensors file, 'package' (ImageNet, EfficientNet-Lite0), or 'none'."),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes at most.")] = 12,
    epoch_cells: Annotated[int, typer.Option(min=64, help="Cells drawn in a pass.")] = 5120,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
    measure: Annotated[bool, typer.Option(help="Measure on the held-out groups afterwards.")] = True,
) -> None:
    """Fine-tune a classifier and write it as a bundle. A killed run goes on when called again."""
    from .card import publish
    from .data.cache import load_crops
    from .data.sources import CLASSES
    from .fit import Settings
    from .fit import fit as run
    from .guards import check_all, seed_given
    from .prepare import SPEC
    from .prepare import prepare as make

    manifest = make(data, work, _say)
    manifest.check_classes()
    manifest.check_files((work, data))
    passed = check_all(manifest, (work, data), also={11: lambda: seed_given(seed)})
    _say(f"leak guards passed: {', '.join(map(str, passed))}")
    crops = load_crops(manifest, (work, data), SPEC, work)
    settings = replace(
        Settings(),
        architecture=architecture,
        sources=_sources(architecture, weights),
        epochs=epochs,
        epoch_cells=epoch_cells,
        seed=seed,
        threads=threads,
    )
    # A run goes on only from the same first weights.
    start = hashlib.sha256("\n".join(settings.sources).encode()).hexdigest()[:6]
    checkpoints = work / f"{name}-{architecture}-{start}-{manifest.sha256[:12]}-{seed}"

    def log(row: Any) -> None:
        _say(", ".join(f"{k} {v:.4g}" for k, v in row.items()))

    fitted = run(manifest, crops, CLASSES, SPEC, settings, checkpoints, log)
    publish(out, name, fitted, manifest, CLASSES, SPEC, settings)
    if measure:
        evaluate(str(out), data, work, baselines=True, record=True, report=work / "reports" / name)


def _sources(architecture: str, weights: list[str] | None) -> tuple[str, ...]:
    """Give where first weights are from: as named; else the package's where it has some, else nowhere."""
    if weights is None:
        return ("package",) if architecture in ("tf_efficientnet_lite0", "wpat") else ()
    return tuple(w for w in weights if w != "none")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A shipped model's name or a bundle's folder.")],
    data: Data = DATA,
    work: Work = WORK,
    manifest: Annotated[
        Path | None, typer.Option(help="A manifest of one's own, CSV or JSON, in place of the prepared data sets.")
    ] = None,
    root: Annotated[
        list[Path] | None, typer.Option(help="Where its paths are looked for; may be repeated. Default: its folder.")
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

    from .card import record_metrics, table
    from .data.manifest import Manifest
    from .evaluate import evaluate as run
    from .guards import slides_not_seen
    from .prepare import prepare as make
    from .report import check_folder, write_report

    classifier = load_model(model)
    if report is not None:
        check_folder(report)
    cells = make(data, work, _say) if manifest is None else Manifest.read(manifest)
    roots = (work, data) if manifest is None else tuple(root or [manifest.parent])
    if manifest is not None:
        cells.check_files(roots)
    seen = (group for groups in classifier.bundle.training.get("groups", {}).values() for group in groups)
    slides_not_seen(seen, (row.group for row in cells if row.split == "test"))
    result = run(classifier, cells, roots, work, data if manifest is None else None, baselines, _say)
    values = [m.to_json() for m in result.metrics]
    if report is not None:
        _say(f"report: {write_report(report, classifier, cells, roots, result)}")
    if record and classifier.bundle.folder is not None:
        record_metrics(classifier.bundle.folder, result.metrics)
    typer.echo(json.dumps(values, indent=1) if as_json else table(values))


@app.command()
def segment(
    out: Annotated[Path, typer.Option("--out", help="Folder that receives the weights.")],
    data: Data = DATA,
    network: Annotated[str, typer.Option(help="snn (spiking U-Net) or rstdp (first-spike network).")] = "snn",
    epochs: Annotated[int, typer.Option(min=1, help="Passes.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of all randomness.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make training scenes.")] = 1,
) -> None:
    """Train a spike segmenter and measure it on the held-out groups. A killed run goes on when called again."""
    from .segment.__main__ import main as run

    run(data=data, network=network, out=out, epochs=epochs, seed=seed, workers=workers)


def main() -> None:
    """Run the command line; what a user can mend ends in one line and exit code 2."""
    guarded(app)
