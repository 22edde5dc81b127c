"""What a retraining would learn from, told before it begins."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.cases import Case
from leukoscope.classification import load_model
from leukoscope.classification.bundle import Bundle
from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.errors import SettingsError
from leukoscope.wording import cells_said

from ..data.splits import kfold
from ..guards import trained_groups
from .asked import check_mapping, check_moved, check_slides
from .reviewed import ReviewedCase, blocks_of, choices, read_case

__all__ = ["FEWEST_CELLS", "FEWEST_OF_A_NEW_CLASS", "FOLDS", "MODES", "RetrainPlan", "retrain_plan"]

MODES: Final = ("head", "full")
FOLDS: Final = 5
FEWEST_CELLS: Final = 10
FEWEST_OF_A_NEW_CLASS: Final = 5

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class RetrainPlan:
    """What cases hold, and what would be done with it.

    Attributes
    ----------
    model : str
        The name or folder of the model to start from.
    bundle : Bundle
        That model's.
    mode : str
        "head": the last layer alone. "full": the whole network.
    cases : tuple of ReviewedCase
        To learn from.
    locked : tuple of ReviewedCase
        To measure on, and never to learn from.
    new_classes : tuple of str
        Classes that the model does not know and that would become outputs.
    unseen : tuple of str
        Groups of `cases` that the model to start from has not been trained on: where there is nothing locked, the gate
        measures on these.
    notes : tuple of str
        What is worth knowing, a sentence each.
    silent : tuple of ReviewedCase
        Chosen to learn from, but without a reviewed cell that teaches: only asked which of their cells would change.
    """

    model: str
    bundle: Bundle
    mode: str
    cases: tuple[ReviewedCase, ...]
    locked: tuple[ReviewedCase, ...]
    new_classes: tuple[str, ...]
    unseen: tuple[str, ...]
    notes: tuple[str, ...]
    silent: tuple[ReviewedCase, ...] = ()

    @property
    def every(self) -> tuple[ReviewedCase, ...]:
        """All cases that were chosen; `Gate.changes` has their order."""
        return (*self.cases, *self.locked, *self.silent)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that the new model would know."""
        return (*self.bundle.classes, *self.new_classes)

    @property
    def cells(self) -> int:
        """Reviewed cells to learn from."""
        return sum(map(len, self.cases))

    @property
    def corrected(self) -> int:
        """Of these, cells that the case's model took for another class than the reviewer."""
        return sum(case.corrected for case in self.cases)

    @property
    def confirmed(self) -> int:
        """Of these, cells of which model and reviewer thought the same."""
        return self.cells - self.corrected

    @property
    def slides(self) -> int:
        """Slides to learn from."""
        return len({case.group for case in self.cases})

    @property
    def by_class(self) -> dict[str, int]:
        """Cells to learn from, by label."""
        counts = sum((Counter(case.by_class) for case in self.cases), Counter[str]())
        return {label: counts[label] for label in TAXONOMY.order(counts)}

    @property
    def by_reviewer(self) -> dict[str, int]:
        """Cells to learn from, by who labeled them last."""
        return dict(sorted(sum((Counter(case.by_reviewer) for case in self.cases), Counter[str]()).items()))

    def folds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Share out the cells, in the order of the cases: whole slides; with one slide, blocks of it.

        Returns
        -------
        folds, finer : int64 arrays (n,)
            The fold of each cell, and a finer part within: a block of a slide.
        """
        labels = [label for case in self.cases for label in case.labels]
        blocks = [f"{case.group}/{block}" for case in self.cases for block in blocks_of(case.places)]
        finer = np.unique(np.array(blocks), return_inverse=True)[1].astype(np.int64)
        if self.slides == 1:
            return finer, finer
        groups = [case.group for case in self.cases for _ in case.labels]
        return kfold(labels, groups, min(FOLDS, self.slides)), finer

    def table(self) -> str:
        """Give what the cases hold as a Markdown table."""
        lines = ["| case | cells | reviewed | corrected | confirmed | labels | use |", "|---|---|---|---|---|---|---|"]
        for use, some in (("learn", self.cases), ("locked", self.locked), ("changes only", self.silent)):
            for case in some:
                labels = ", ".join(f"{label} {count}" for label, count in case.by_class.items())
                counts = f"{len(case)} | {case.corrected} | {len(case) - case.corrected}"
                lines.append(f"| {case.name} | {case.cells} | {counts} | {labels} | {use} |")
        return "\n".join(lines)


def retrain_plan(
    cases: Sequence[Case | PathLike],
    locked: Sequence[Case | PathLike] = (),
    model: str = "blood",
    mode: str = "head",
    mapping: Mapping[str, str] | None = None,
    slides: Mapping[str, PathLike] | None = None,
) -> RetrainPlan:
    """See what cases hold, and whether a model can be retrained from it; nothing is changed, and no slide is opened.

    Parameters
    ----------
    cases : sequence of Case or path
        To learn from. Paths are opened for reading only.
    locked : sequence of Case or path
        To measure on alone.
    model : str
        A shipped model's name or a bundle's folder.
    mode : str
        "head" or "full".
    mapping : mapping of str to str, optional
        Other labels for some that the cases have, "" to leave their cells out.
    slides : mapping of str to path, optional
        By the name of a case's folder, where its slide is now.

    Raises
    ------
    SettingsError
        No such mode, a case or slide named twice, no case, a name that nothing has, or too few reviewed cells.
    GuardError
        A locked slide is also learned from, or the model was trained on it (guard 14).
    CaseError, BundleError
        A case or the model cannot be read.
    """
    if mode not in MODES:
        raise SettingsError(f"there is no mode {mode!r}", f"Choose one of {', '.join(MODES)}.")
    bundle = load_model(model, "cpu").bundle
    moved = {name: Path(place) for name, place in (slides or {}).items()}

    def read(some: Sequence[Case | PathLike]) -> tuple[ReviewedCase, ...]:
        given = [case if isinstance(case, Case) else Path(case) for case in some]
        names = [(case.path if isinstance(case, Case) else case).name for case in given]
        return tuple(read_case(case, mapping, moved.get(name)) for case, name in zip(given, names, strict=True))

    learned, held = read(cases), read(locked)
    twice = [name for name, count in Counter(case.id for case in (*learned, *held)).items() if count > 1]
    if twice:
        name = next(case.path for case in (*learned, *held) if case.id == twice[0])
        raise SettingsError("the case is named twice", "Name each once: to learn from, or locked.", name)
    check_mapping(mapping or {}, bundle.classes, (*learned, *held))
    check_moved(moved, (*learned, *held))
    seen = trained_groups(bundle)
    check_slides(learned, held, seen)
    for case in held:
        if not len(case):
            raise SettingsError("no cell of the locked case was reviewed", "Review some, or leave it out.", case.path)
    chosen, learned = learned, tuple(case for case in learned if len(case))
    cells = sum(map(len, learned))
    if cells < FEWEST_CELLS:
        remedy = f"Correct or confirm {FEWEST_CELLS} or more."
        raise SettingsError(f"{cells} reviewed cells are too few to retrain from", remedy)
    notes, new = _judged(learned, bundle, mode)
    if new != choices([label for case in learned for label in case.labels], bundle.classes):
        learned = tuple(_without(case, {*bundle.classes, *new}) for case in learned)
        learned = tuple(case for case in learned if len(case))
    if not all(case.whole for case in held or learned):
        notes.append("Reviewers chose the cells measured on: figures are of these, not of whole slides.")
    unseen = tuple(sorted({case.group for case in learned} - {case.group for case in learned if case.seen_in(seen)}))
    if not held and len(unseen) < len({case.group for case in learned}):
        notes.append("The model was trained on some of these slides already: the gate does not measure on them.")
    if not held and len({case.group for case in learned}) == 1:
        notes.append("One slide: parts of it stand in for other slides, and figures say nothing about another slide.")
    teaching = {case.id for case in learned}
    silent = tuple(case for case in chosen if case.id not in teaching)
    return RetrainPlan(model, bundle, mode, learned, held, new, unseen, tuple(notes), silent)


def _judged(cases: Sequence[ReviewedCase], bundle: Bundle, mode: str) -> tuple[list[str], tuple[str, ...]]:
    """Say what is worth knowing of the cases, and which of the classes new to the model have cells enough."""
    labels = Counter(label for case in cases for label in case.labels)
    new, notes = [], []
    for label in choices(list(labels), bundle.classes):
        if labels[label] >= FEWEST_OF_A_NEW_CLASS:
            new.append(label)
            if mode == "full" and label not in TAXONOMY:
                remedy = "Retrain the head alone, or map it to a class of the taxonomy."
                raise SettingsError(f"{label} is a class of one's own, and full retraining knows none", remedy)
        else:
            few = f"too few of {label}, a class that the model does not know"
            notes.append(f"{cells_said(labels[label])}: {few} ({FEWEST_OF_A_NEW_CLASS} are needed); left out.")
    if len(labels) == 1:
        (only,) = labels
        if mode == "full":
            raise SettingsError(f"all reviewed cells are of one class, {only}", "Confirm or correct some of others.")
        notes.append(f"All reviewed cells are of one class, {only}: of other classes the model learns nothing.")
    disputed = sum(case.disputed for case in cases)
    if disputed:
        differ = "that two readers call differently: the label that the case shows, the last, counts"
        notes.append(f"{cells_said(disputed)} {differ}. Review, Readers goes through them.")
    left = sum(case.unidentified for case in cases)
    if left:
        notes.append(f"{cells_said(left)} that a reviewer left unidentified: left out, for they teach nothing.")
    if any(case.model != bundle.fingerprint for case in cases):
        notes.append("Some cases were analyzed with another model: their cells are embedded anew.")
    return notes, tuple(new)


def _without(case: ReviewedCase, known: set[str]) -> ReviewedCase:
    """Leave out cells of classes that the new model will not know."""
    strange = set(choices(case.labels, known))
    keep = np.array([label not in strange for label in case.labels], bool)

    def kept(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value for value, k in zip(values, keep, strict=True) if k)

    return replace(
        case,
        ids=case.ids[keep],
        labels=kept(case.labels),
        called=kept(case.called),
        reviewers=kept(case.reviewers),
        places=case.places[keep],
    )
