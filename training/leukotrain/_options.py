"""What the command line's options mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from leukoscope.classification.preprocess import STEPS
from leukoscope.errors import SettingsError

from .settings import Progress
from .transforms import Augmentation, Traditional

__all__ = ["arm_plan", "augmentation", "plan", "shown"]

AUGMENTATIONS: Final = ("style", "traditional", "none")


def plan(steps: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Read steps such as "gaussian_blur:sigma=1" or "alhe:tile=28,clip=2".

    Raises
    ------
    SettingsError
        An unknown step, or a setting that is not NAME=VALUE.
    """
    found = []
    for text in steps:
        name, _, rest = text.partition(":")
        if name not in STEPS:
            raise SettingsError(f"no step is called {name!r}", f"There are: {', '.join(sorted(STEPS))}.")
        settings = {}
        for part in filter(None, rest.split(",")):
            key, equals, value = part.partition("=")
            if not key or not equals:
                raise SettingsError(f"{part!r} of step {name} is no setting", "Write NAME=VALUE, joined by commas.")
            settings[key] = _value(value)
        found.append((name, settings))
    return found


def arm_plan(text: str) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """Read the steps of one arm of a comparison, such as "stain_normalize+alhe:tile=28,clip=2"; "" for none.

    "balance" among them is no step, but how the crops are made: see `_arms.crops_for`.

    Returns
    -------
    plan : list
        As of `plan`.
    normalize : str
        "fitted" where one of the steps is "normalize", else "half".

    Raises
    ------
    SettingsError
        As `plan`.
    """
    steps = re.split(r"\+(?![0-9])", text) if text else []  # not the plus of 1e+3
    plain = [step for step in steps if step not in ("normalize", "balance")]
    return plan(plain), "fitted" if "normalize" in steps else "half"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def augmentation(name: str) -> Augmentation | Traditional | None:
    """Give the augmentation of a name: "style" (the shipped model's), "traditional" or "none".

    Raises
    ------
    SettingsError
        Another name.
    """
    if name not in AUGMENTATIONS:
        raise SettingsError(f"no augmentation is called {name!r}", f"Choose one of {', '.join(AUGMENTATIONS)}.")
    known: dict[str, Augmentation | Traditional] = {"style": Augmentation(), "traditional": Traditional()}
    return known.get(name)


@contextmanager
def shown(show: bool) -> Iterator[Callable[[Progress], None]]:
    """Give what draws a bar of each epoch on stderr, in a terminal; nothing is drawn elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn("epoch {task.fields[epoch]}"), BarColumn(), TextColumn("loss {task.fields[loss]:.3f}"))
    show = show and console.is_terminal
    with Bar(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not show) as bar:
        tasks: list[TaskID] = []

        def draw(at: Progress) -> None:
            if not tasks:
                tasks.append(bar.add_task("", epoch="", loss=0.0))
            epoch = f"{at.epoch + 1}/{at.epochs}"
            bar.update(tasks[0], completed=at.batch, total=at.batches, epoch=epoch, loss=at.loss)

        yield draw
