"""What the commands share: the program itself, options, and where cells come from."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from leukoscope.errors import SettingsError

if TYPE_CHECKING:
    from ..data.manifest import Manifest

__all__ = [
    "DATA",
    "MOST_THREADS",
    "WORK",
    "Data",
    "OwnManifest",
    "Roots",
    "Work",
    "app",
    "asked",
    "check_run",
    "say",
    "sources",
]

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
MOST_THREADS = 256  # more than any computer gains by; of a million, each takes memory until there is none
WORK = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "leukotrain"


def say(line: str) -> None:
    from ..run import is_first_process

    if is_first_process():
        typer.echo(line, err=True)


def check_run(device: str, rate: float = 1.0, weights: Sequence[str] = ()) -> None:
    """Refuse what no run can be trained with, before the cells are read.

    Raises
    ------
    LeukoscopeError
        No such device, a learning rate that is not above 0 and finite, or first weights that cannot be read.
    """
    from leukoscope.classification.device import resolve_device

    from ..initial import check_weights

    resolve_device(device)
    if not 0 < rate < math.inf:
        raise SettingsError(f"a learning rate of {rate:g}", "Give one above 0, such as 5e-4.")
    for source in weights:
        check_weights(source)


def sources(architecture: str, weights: list[str] | None) -> tuple[str, ...]:
    """Give where first weights are from: as named; else the package's where it has some, else nowhere."""
    from ..initial import packaged

    if weights is None:
        return ("package",) if packaged(architecture) else ()
    return tuple(w for w in weights if w != "none")


def asked(
    data: Path, work: Path, manifest: Path | None, root: list[Path] | None, training: bool = False
) -> tuple[Manifest, tuple[Path, ...]]:
    """Give the cells of the prepared data sets, or one's own, and where their pictures lie.

    The pictures of one's own manifest are checked, and before training all, and the classes.
    """
    from ..data.manifest import Manifest
    from ..prepare import prepare
    from ..space import check_writable

    if root and manifest is None:
        raise SettingsError("--root without --manifest", "Name the manifest whose pictures lie there.")
    check_writable(work)
    cells = prepare(data, work, say) if manifest is None else Manifest.read(manifest)
    roots = (work, data) if manifest is None else tuple(root or [manifest.parent])
    if training:
        cells.check_classes()
    if training or manifest is not None:
        cells.check_files(roots)
    return cells, roots
