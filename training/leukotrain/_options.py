"""What the command line's options mean."""

from __future__ import annotations

import inspect
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from leukoscope.classification.preprocess import STEPS
from leukoscope.errors import SettingsError

from .settings import Progress
from .transforms import Augmentation, Traditional, fit_stain

__all__ = ["arm_plan", "augmentation", "plan", "shown"]

AUGMENTATIONS: Final = ("style", "traditional", "none")


def plan(steps: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    """Read steps such as "gaussian_blur:sigma=1" or "alhe:tile=28,clip=2".

    Raises
    ------
    SettingsError
        An unknown step or setting, a value out of its range, a step that makes no picture, or steps in an order that
        cannot be: all that can be told before anything is fitted.
    """
    found: list[tuple[str, dict[str, Any]]] = []
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
            _check_setting(name, key, settings[key])
        if STEPS[name].stage == "vector":
            raise SettingsError(f"{name} makes vectors, and networks take pictures", "Leave the step out.")
        if name in (before for before, _ in found):
            raise SettingsError(f"{name} stands twice", "Give each step once.")
        if STEPS[name].stage == "image" and found:
            raise SettingsError(f"{name} stands behind {found[-1][0]}", "It changes whole pictures: give it first.")
        found.append((name, settings))
    return found


# Settings that a step is fitted by but does not keep, so that the bundles' schema has no range for them.
FITTED_BY: Final[dict[str, dict[str, Any]]] = {
    "components": {"type": "integer", "minimum": 1},
    "percentile": {"type": "number", "minimum": 0, "maximum": 100},
    "most": {"type": "integer", "minimum": 1},
}


@cache
def _ranges() -> dict[str, Any]:
    text = files("leukoscope.classification.preprocess").joinpath("steps.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text)["$defs"])


def _check_setting(step: str, key: str, value: Any) -> None:
    from jsonschema import Draft202012Validator

    # Stain normalization is fitted by `transforms.fit_stain`, which has a setting of its own.
    parameters = inspect.signature(fit_stain if step == "stain_normalize" else STEPS[step].fit).parameters
    known = [name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY or name == "most"]
    if key not in known:
        raise SettingsError(f"{step} has no setting {key!r}", f"It has: {', '.join(known)}.")
    kept = _ranges()["pca" if step.startswith("pca_") else step]["properties"]
    wrong = next(Draft202012Validator(FITTED_BY[key] if key in FITTED_BY else kept[key]).iter_errors(value), None)
    if wrong is not None or (isinstance(value, float) and not math.isfinite(value)):
        cause = "is no finite number" if wrong is None else wrong.message
        raise SettingsError(f"{key} of step {step}: {cause}", "See docs/preprocessing.md for its range.")


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
