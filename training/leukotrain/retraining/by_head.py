"""Retraining of the last layer alone: seconds on a processor, from the embeddings that the cases keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from leukoscope.cases import Case
from leukoscope.classification.bundle import read_bundle

from ..data.manifest import Row
from ..guards import slides_not_seen, trained_groups, whole_groups
from ..losses import allowed_matrix, fit_temperature
from .flips import CaseChange, change_of, named
from .gate import Gate, compare
from .head import STEPS, Bools, Floats, Head, Problem
from .layer import last_layer, with_layer
from .opened import Seen, opened, see
from .plan import RetrainPlan
from .reviewed import ReviewedCase, blocks_of
from .search import Search, search
from .told import Stage, Tell

__all__ = ["NewHead", "allowed_of", "by_head"]

CALIBRATED_BY: Final = 500  # cells


@dataclass(frozen=True, eq=False)
class NewHead:
    """What came of it.

    Attributes
    ----------
    weights : dict of str to torch.Tensor
        Of the whole network.
    gate : Gate
    search : Search
    losses : tuple of float
        Of the last fit, step by step.
    temperature, threshold : float
    """

    weights: dict[str, torch.Tensor]
    gate: Gate
    search: Search
    losses: tuple[float, ...]
    temperature: float
    threshold: float


def allowed_of(labels: Sequence[str], classes: Sequence[str]) -> Bools:
    """Tell which classes each cell may be of, bool (n, classes), by its label."""
    rows = [Row("", "", label, "", "", 1.0, "train") for label in labels]
    return np.asarray(allowed_matrix(rows, classes).numpy(), bool)


def by_head(
    plan: RetrainPlan, flips: bool, balance: bool, device: str, tell: Tell, ready: Sequence[Case] = ()
) -> NewHead:
    """Fit the last layer anew and measure it; parameters and errors as for `leukotrain.retrain.retrain`."""
    bundle = plan.bundle
    if bundle.folder is None:  # pragma: no cover - a plan's bundle is read from a folder
        raise RuntimeError("the model to retrain is not on disk")
    name, old = last_layer(bundle, weights := read_bundle(bundle.folder)[1])
    prior = old.extended(len(plan.new_classes))
    seen = see(plan, flips, device, tell, ready)

    labels = [label for case in plan.cases for label in case.labels]
    x = np.concatenate([seen[case.id].reviewed for case in plan.cases])
    allowed = allowed_of(labels, plan.classes)
    worth = _balanced(labels) if balance else None
    problem = Problem(x, allowed, prior, bundle.temperature, worth, tell.cancel)
    folds, finer = plan.folds()
    groups = np.array([case.group for case in plan.cases for _ in case.labels])
    if plan.slides > 1:
        whole_groups(groups.tolist(), folds.tolist())

    def searching(done: int, total: int, strength: float, left_out: float) -> None:
        tell(Stage.SEARCH, done, total, left_out=left_out, strength=strength)

    found = search(problem, folds, finer, searching)
    losses: list[float] = []

    def fitting(loss: float) -> None:
        losses.append(loss)
        tell(Stage.FIT, len(losses), STEPS, loss=loss)

    change = problem.fit(np.arange(len(problem)), found.chosen, told=fitting, precision=1e-9)
    head = problem.head(change).stored()  # what is measured is what is stored

    notes = [*plan.notes]
    temperature, threshold, how = _calibration(plan, found, allowed)
    notes.append(how)
    if plan.locked:
        gate = _on_locked(plan, seen, prior, head, notes)
    else:
        gate = _on_left_out(plan, problem, found, groups, finer, labels, notes)
    if flips:
        gate = replace(gate, changes=_changes(plan, seen, old, head, temperature, threshold, tell, ready))
    return NewHead(with_layer(weights, name, head), gate, found, tuple(losses), temperature, threshold)


def _balanced(labels: Sequence[str]) -> Floats:
    """Weigh cells by the inverse root of their label's number; 1 on average."""
    _, at, counts = np.unique(np.array(labels), return_inverse=True, return_counts=True)
    worth = 1 / np.sqrt(counts[at])
    return np.asarray(worth / worth.mean(), np.float64)


def _on_locked(plan: RetrainPlan, seen: dict[str, Seen], prior: Head, head: Head, notes: list[str]) -> Gate:
    slides_not_seen((case.group for case in plan.cases), (case.group for case in plan.locked))
    x = np.concatenate([seen[case.id].reviewed for case in plan.locked])
    return compare(
        [label for case in plan.locked for label in case.labels],
        groups_of(plan.locked),
        prior.logits(x),
        head.logits(x),
        plan.classes,
        plan.new_classes,
        "the reviewed cells of locked cases",
        notes,
    )


def groups_of(cases: Sequence[ReviewedCase]) -> list[str]:
    """Give the group of each reviewed cell: its slide; with one slide, its block of it."""
    if len({case.group for case in cases}) > 1:
        return [case.group for case in cases for _ in case.labels]
    return [f"{case.group}/{block}" for case in cases for block in blocks_of(case.places)]


def _on_left_out(
    plan: RetrainPlan,
    problem: Problem,
    found: Search,
    groups: NDArray[np.str_],
    finer: NDArray[np.int64],
    labels: Sequence[str],
    notes: list[str],
) -> Gate:
    """Measure on the cells of each fold with a layer that was fitted without them."""
    # The model before must not have seen them either: guard 14.
    use = np.flatnonzero(np.isin(groups, plan.unseen)).tolist()
    slides_not_seen(trained_groups(plan.bundle), groups[use].tolist())
    one = plan.slides == 1
    return compare(
        [labels[i] for i in use],
        [f"{groups[i]}/{finer[i]}" if one else str(groups[i]) for i in use],
        problem.old[use],
        found.left_out[use],
        plan.classes,
        plan.new_classes,
        "cells left out of the fit, block by block of the slide"
        if one
        else "cells left out of the fit, slide by slide",
        notes,
    )


def _calibration(plan: RetrainPlan, found: Search, allowed: Bools) -> tuple[float, float, str]:
    """Fit temperature and threshold anew where the reviewed cells are a fair sample, and enough; say which it is."""
    old = plan.bundle
    whole = all(case.whole for case in plan.cases)
    if len(allowed) < CALIBRATED_BY or not whole:
        needs = f"it takes {CALIBRATED_BY} cells of cases that were reviewed whole"
        return old.temperature, old.threshold, f"Temperature and threshold are the old model's: {needs}."
    logits = torch.from_numpy(found.left_out * old.temperature)
    even = torch.full((len(allowed),), 1 / len(allowed), dtype=torch.float64)
    temperature = round(fit_temperature(logits, torch.from_numpy(allowed), even), 4)
    sure = torch.softmax(logits / temperature, dim=1).amax(dim=1)
    coverage = float(old.training.get("settings", {}).get("coverage", 0.97))
    threshold = round(float(sure.quantile(1 - coverage)), 3)
    return temperature, threshold, "Temperature and threshold were fitted anew, on cells left out."


def _changes(
    plan: RetrainPlan,
    seen: dict[str, Seen],
    old: Head,
    head: Head,
    temperature: float,
    threshold: float,
    tell: Tell,
    ready: Sequence[Case],
) -> tuple[CaseChange, ...]:
    out = []
    for done, one in enumerate(plan.every, 1):
        every: Any = seen[one.id].every
        before = named(_proba(old, every, plan.bundle.temperature), plan.bundle.classes, plan.bundle.threshold)
        after = named(_proba(head, every, temperature), plan.classes, threshold)
        with opened(one, ready) as (case, _):
            out.append(change_of(case, before, after, plan.new_classes))
        tell(Stage.GATE, done, len(plan.every))
    return tuple(out)


def _proba(head: Head, every: NDArray[Any], temperature: float) -> Floats:
    parts = [np.empty((0, len(head.bias)))]
    for start in range(0, len(every), 4096):
        logits = head.logits(every[start : start + 4096]) / temperature
        raised = np.exp(logits - logits.max(1, keepdims=True))
        parts.append(raised / raised.sum(1, keepdims=True))
    return np.concatenate(parts)
