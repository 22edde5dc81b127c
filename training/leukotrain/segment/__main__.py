"""The command `python -m leukotrain.segment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from leukoscope.errors import LeukoscopeError

from .train import train_segmenter

__all__ = ["main"]


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets, with manifest.csv.")],
    network: Annotated[str, typer.Option(help="snn (spiking U-Net) or rstdp (first-spike network).")] = "snn",
    out: Annotated[Path, typer.Option(help="Folder that receives the weights; a run that was cut off goes on.")] = Path(
        "spike"
    ),
    epochs: Annotated[int, typer.Option(help="Epochs of 1024 scenes (snn), or of 12,000 pixels (rstdp).")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
    second_round: Annotated[
        bool, typer.Option(help="Train the snn of --out on, with accepted outlines of its own beside the public masks.")
    ] = False,
    workers: Annotated[int, typer.Option(help="Processes that make training scenes.")] = 1,
) -> None:
    """Train a spike segmenter, evaluate it on the groups held out, and export it."""
    console = Console()
    what = "loss" if network == "snn" else "right"
    try:
        metrics = train_segmenter(
            data,
            network,
            out,
            epochs,
            seed,
            workers,
            second=second_round,
            progress=lambda epoch, value: console.print(f"epoch {epoch + 1}/{epochs}  {what} {value:.4f}"),
        )
    except LeukoscopeError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    table = Table("held out", "value", "95 %", "cells", "groups", title=f"{network}: {out}")
    for name, m in metrics.items():
        table.add_row(name, f"{m['value']:.3f}", f"{m['low']:.3f}–{m['high']:.3f}", str(m["cells"]), str(m["groups"]))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
