"""The gate: the model before and after, on cells that neither has seen; a worse one does not get through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.classification.taxonomy import BLAST, TAXONOMY
from leukoscope.errors import LeukoscopeError

from ..metrics import Metric, balanced_accuracy, bootstrap_all, macro_f1, per_class
from .flips import CaseChange

__all__ = ["FEWEST_TO_JUDGE", "MARGIN", "Figure", "Gate", "GateRefusedError", "compare"]

MARGIN: Final = 0.02
FEWEST_TO_JUDGE: Final = 20
BY_CLASS: Final = ("precision", "recall", "F1")

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Figure:
    """One figure of both models on the same cells.

    Attributes
    ----------
    name : str
    before, after : (float, float, float)
        Value, and the ends of its 95 % interval; not a number where these cells do not define it.
    change : (float, float, float)
        After less before, with the 95 % interval of the pairs: both models are asked about the same drawn cells.
    cells : int
    judged : bool
        Whether the gate looks at it.
    """

    name: str
    before: tuple[float, float, float]
    after: tuple[float, float, float]
    change: tuple[float, float, float]
    cells: int
    judged: bool = False

    @property
    def worse(self) -> bool:
        """Whether it fell by more than `MARGIN`, or by less and the whole interval of the change is below 0."""
        value, _, high = self.change
        return value < -MARGIN - 1e-9 or (value < 0 and high < 0)


@dataclass(frozen=True)
class Gate:
    """What the gate found.

    Attributes
    ----------
    on : str
        The cells measured on, in words.
    cells, groups : int
    figures, by_class : tuple of Figure
    changes : tuple of CaseChange
        Of each case, in the order of `RetrainPlan.every`: the cells whose class changes, the verdict before and after.
    reasons : tuple of str
        Why the new model is refused; none if it passes.
    notes : tuple of str
    """

    on: str
    cells: int
    groups: int
    figures: tuple[Figure, ...] = ()
    by_class: tuple[Figure, ...] = ()
    changes: tuple[CaseChange, ...] = ()
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the new model."""
        return not self.reasons

    def metrics(self) -> tuple[Metric, ...]:
        """Give the new model's figures as a bundle keeps them."""
        return tuple(
            Metric(f.name, self.on, f.after[0], _finite(f.after[1]), _finite(f.after[2]), f.cells, self.groups)
            for f in (*self.figures, *self.by_class)
            if np.isfinite(f.after[0])
        )

    def table(self) -> str:
        """Give before and after as Markdown."""
        lines = [
            f"Measured on {self.on}: {self.cells} cells, {self.groups} groups.",
            "",
            "| figure | before | after | change | cells | gate |",
            "|---|---|---|---|---|---|",
        ]
        for f in (*self.figures, *self.by_class):
            gate = ("worse" if f.worse else "holds") if f.judged and np.isfinite(f.change[0]) else ""
            lines.append(
                f"| {f.name} | {_text(f.before)} | {_text(f.after)} | {_signed(f.change)} | {f.cells} | {gate} |"
            )
        for change in self.changes:
            lines += ["", *change.lines()]
        lines += ["", *(f"- {note}" for note in self.notes)] if self.notes else []
        lines += ["", *(f"- refused: {reason}" for reason in self.reasons)] if self.reasons else []
        return "\n".join(lines)


class GateRefusedError(LeukoscopeError):
    """The retrained model is worse than the one before, or nothing shows that it is not; it was not written.

    Attributes
    ----------
    gate : Gate
        The figures.
    """

    def __init__(self, gate: Gate) -> None:
        remedy = "Keep the model you have, review more cells, or let somebody overrule this by name."
        super().__init__(f"the gate refused the retrained model: {'; '.join(gate.reasons)}", remedy)
        self.gate = gate


def compare(
    labels: Sequence[str],
    groups: Sequence[str],
    before: Floats,
    after: Floats,
    classes: Sequence[str],
    new_classes: Sequence[str] = (),
    on: str = "cells left out",
    notes: Sequence[str] = (),
) -> Gate:
    """Hold two models against each other on the same cells.

    Parameters
    ----------
    labels : sequence of str, (n,)
        What reviewers said.
    groups : sequence of str, (n,)
        Slides, or blocks of one slide: these are resampled for the intervals, then cells within them.
    before, after : float arrays (n, classes)
        Logits or probabilities; those before have no say about the new classes.
    classes, new_classes : sequences of str
        All that the new model knows, and those of them that the one before did not.
    on : str
        What cells these are.
    notes : sequence of str

    Returns
    -------
    Gate
        With reasons where the model after is worse: of macro-F1 over the classes that both know, and of the sensitivity
        and specificity for blasts, one fell by more than `MARGIN`, or by less with the whole interval of the change
        below 0. Or where fewer than `FEWEST_TO_JUDGE` cells are there to say, or only of one label.
    """
    known = {name: i for i, name in enumerate(classes)}
    truth = np.array([_class_of(label, known) for label in labels], np.int64)
    strange = [known[name] for name in new_classes]
    masked = np.array(before, np.float64)
    masked[:, strange] = -np.inf
    called = masked.argmax(1) if len(masked) else np.empty(0, np.int64), np.asarray(after).argmax(1)
    of = np.array(list(groups), np.str_)
    blast = np.array([BLAST in TAXONOMY.parts(label) for label in labels], bool)
    other = ~blast & np.array([label not in TAXONOMY or TAXONOMY[label].nucleated for label in labels], bool)
    blast_at = known.get(BLAST, -2)
    single = truth >= 0
    both = single & ~np.isin(truth, strange)

    def share(of_blasts: bool) -> Callable[[Ints, Ints], float]:
        return lambda at, given: float(np.mean((given[at] == blast_at) == of_blasts)) if len(at) else float("nan")

    wanted: list[tuple[str, NDArray[np.bool_], Callable[[Ints, Ints], float], bool]] = [
        ("accuracy", single, lambda at, given: float(np.mean(given[at] == truth[at])), False),
        ("macro-F1", both, lambda at, given: macro_f1(truth[at], given[at]), True),
        ("balanced accuracy", single, lambda at, given: balanced_accuracy(truth[at], given[at]), False),
        ("sensitivity, blast", blast & (blast_at >= 0), share(True), True),
        ("specificity, blast", other & (blast_at >= 0), share(False), True),
    ]
    if strange:
        figure = lambda at, given: macro_f1(truth[at], given[at])  # noqa: E731
        wanted.insert(2, ("macro-F1, with new classes", single, figure, False))
    figures = [
        _figure(name, np.flatnonzero(use), value, called, of, truth, judged)
        for name, use, value, judged in wanted
        if use.any()
    ]
    if single.any():
        counts = np.bincount(truth[single])
        majority = float(counts.max() / counts.sum())
        nothing = (majority, float("nan"), float("nan"))
        label = f"accuracy of the majority, {classes[int(counts.argmax())]}"
        figures.insert(1, Figure(label, nothing, nothing, (0.0, float("nan"), float("nan")), int(single.sum())))
    reasons = [f"{f.name} {f.before[0]:.3f} before, {f.after[0]:.3f} after" for f in figures if f.judged and f.worse]
    if len(labels) < FEWEST_TO_JUDGE:
        reasons.append(f"only {len(labels)} cells to measure on, and it takes {FEWEST_TO_JUDGE}")
    if len(set(labels)) == 1:  # then what calls every cell that is never worse
        reasons.append(f"all cells to measure on are {labels[0]}, and what becomes of others is not measured")
    said = list(notes)
    if not blast.any() and blast_at >= 0:
        said.append("No blasts among these cells: what the new model does with blasts is not measured.")
    return Gate(
        on, len(labels), len(set(groups)), tuple(figures), _by_class(truth, called, of, classes), (), tuple(reasons),
        tuple(said),
    )  # fmt: skip


def _class_of(label: str, known: dict[str, int]) -> int:
    """Give the class that a label says; -1 where it says several, or one that the model does not know."""
    parts = [known[part] for part in TAXONOMY.parts(label) if part in known]
    return parts[0] if len(parts) == 1 else -1 if parts else known.get(TAXONOMY.roll_up(label), -1)


def _figure(
    name: str,
    at: Ints,
    value: Callable[[Ints, Ints], float],
    called: tuple[Ints, Ints],
    groups: NDArray[np.str_],
    truth: Ints,
    judged: bool,
) -> Figure:
    def both(rows: NDArray[Any]) -> Floats:
        first, second = (value(at[rows], given) for given in called)
        return np.array([first, second, second - first])

    values = both(np.arange(len(at)))
    low, high = bootstrap_all(both, groups[at], truth[at])
    before, after, change = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    return Figure(name, before, after, change, len(at), judged)


def _by_class(
    truth: Ints, called: tuple[Ints, Ints], groups: NDArray[np.str_], classes: Sequence[str]
) -> tuple[Figure, ...]:
    at = np.flatnonzero(truth >= 0)
    size = len(classes)

    def tables(rows: NDArray[Any]) -> Floats:
        first, second = (per_class(truth[at[rows]], given[at[rows]], size) for given in called)
        return np.stack([first, second, second - first])

    if not len(at):
        return ()
    values = tables(np.arange(len(at)))
    low, high = (
        ends.reshape(values.shape) for ends in bootstrap_all(lambda i: tables(i).ravel(), groups[at], truth[at])
    )
    found = []
    for k in np.unique(truth[at]):
        for m, name in enumerate(BY_CLASS):
            three = [(float(values[s, m, k]), float(low[s, m, k]), float(high[s, m, k])) for s in range(3)]
            cells = int((truth == k).sum())
            found.append(Figure(f"{name}, {classes[k]}", three[0], three[1], three[2], cells))
    return tuple(found)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _text(figure: tuple[float, float, float]) -> str:
    value, low, high = figure
    if not np.isfinite(value):
        return "undefined"
    return f"{value:.3f} ({low:.3f} to {high:.3f})" if np.isfinite(low) else f"{value:.3f}"


def _signed(figure: tuple[float, float, float]) -> str:
    value, low, high = figure
    if not np.isfinite(value):
        return ""
    return f"{value:+.3f} ({low:+.3f} to {high:+.3f})" if np.isfinite(low) else ""
