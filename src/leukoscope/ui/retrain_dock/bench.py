"""What the Retrain dock has done, without Qt. The training package is imported here, once needed, and nowhere else."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from leukoscope.errors import SettingsError

from ..job import Report

if TYPE_CHECKING:
    from leukoscope.cases import Case
    from leukotrain.retrain import Gate, RetrainPlan, ReviewedCase

__all__ = ["MODES", "Outcome", "Wish", "by_class", "check_training", "contents", "free_name", "perform"]

MODES: Mapping[str, str] = {
    "head": "head only: the last layer, seconds on a processor",
    "full": "full: the whole network, minutes",
}


@dataclass(frozen=True)
class Wish:
    """What is to be retrained, from what.

    Attributes
    ----------
    cases, locked : tuple of Path
        Folders of the cases to learn from, and of those to measure on alone.
    model : str
        To start from: a shipped name or a bundle's folder.
    mode : str
        One of `MODES`.
    out : Path
        The new bundle's folder; its name is the model's.
    flips : bool
        Also find which cells of the cases would change class.
    device : str
        Where the networks run.
    slides : mapping of str to str
        By the name of a case's folder, where its slide is now, where it has moved.
    """

    cases: tuple[Path, ...]
    locked: tuple[Path, ...]
    model: str
    mode: str
    out: Path
    flips: bool = True
    device: str = "auto"
    slides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of it.

    Attributes
    ----------
    wish : Wish
    plan : RetrainPlan
    gate : Gate
        Before and after.
    folder : Path or None
        The new bundle; None where the gate refused it: then nothing was written.
    overruled_by : str
        Who had it written nevertheless.
    seconds : float
    """

    wish: Wish
    plan: RetrainPlan
    gate: Gate
    folder: Path | None
    overruled_by: str = ""
    seconds: float = 0.0


def check_training() -> None:
    """Make sure that the training package can be used.

    Raises
    ------
    SettingsError
        Something that it needs is not installed; the remedy says how to get it.
    """
    with _explained():
        import leukotrain.retraining.reviewed  # noqa: F401


def contents(case: Case | Path) -> ReviewedCase:
    """Read the reviewed cells of a case; a path is opened for reading only.

    Raises
    ------
    SettingsError
        The training package cannot be used.
    CaseError
        It is no case, or has no cells.
    """
    with _explained():
        from leukotrain.retraining.reviewed import read_case
    return read_case(case)


def by_class(case: ReviewedCase) -> dict[str, tuple[int, int]]:
    """Count the corrected and the confirmed cells of each label, in the taxonomy's order."""
    from leukotrain.retraining.reviewed import agrees

    confirmed = Counter(label for label, called in zip(case.labels, case.called, strict=True) if agrees(label, called))
    return {label: (count - confirmed[label], confirmed[label]) for label, count in case.by_class.items()}


def perform(
    wish: Wish,
    ready: Sequence[Case],
    plan: RetrainPlan | None,
    overrule: str,
    report: Report,
    canceled: Callable[[], bool],
) -> Outcome:
    """Retrain; what the gate refuses is an outcome, too.

    Parameters
    ----------
    wish : Wish
    ready : sequence of Case
        Cases of the wish that are open already.
    plan : RetrainPlan, optional
        Of the same wish, from an outcome that was refused; made anew unless given.
    overrule : str
        Who takes it on that a model is written which the gate refuses.
    report, canceled
        As `Job` gives them; what is said is a `RetrainProgress`.

    Raises
    ------
    LeukoscopeError
        As `leukotrain.retrain_plan` and `leukotrain.retrain`; something that they need is not installed; or there is a
        model of that name already.
    """
    if wish.out.exists():
        raise SettingsError("there is a model of that name already", "Give the new one another name.", wish.out)
    with _explained():
        from leukotrain.retrain import GateRefusedError, retrain, retrain_plan

        if plan is None:
            opened = {case.path: case for case in ready}
            cases, locked = ([opened.get(path, path) for path in paths] for paths in (wish.cases, wish.locked))
            plan = retrain_plan(cases, locked, wish.model, wish.mode, slides=wish.slides)
        work = wish.out.with_name(f".{wish.out.name}.work")  # kept until all went well: a fit goes on from there
        try:
            done = retrain(
                plan,
                wish.out,
                name=wish.out.name,
                overrule=overrule,
                flips=wish.flips,
                device=wish.device,
                work=work if wish.mode == "full" else None,
                ready=ready,
                progress=lambda at: report(at.done, at.total, at),
                cancel=canceled,
            )
        except GateRefusedError as refused:
            return Outcome(wish, plan, refused.gate, None)
    shutil.rmtree(work, ignore_errors=True)
    return Outcome(wish, plan, done.gate, done.folder, done.overruled_by, done.seconds)


def free_name(folder: Path, parent: str) -> str:
    """Give a name for a retrained model that the folder has none of yet."""
    stem = f"{Path(parent).name.split('-retrained')[0][:26]}-retrained"
    name, number = stem, 1
    while (folder / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        cause = f"the training package cannot be loaded ({error})"
        raise SettingsError(cause, "Run: pip install 'leukoscope[train]', then start napari again.") from error
