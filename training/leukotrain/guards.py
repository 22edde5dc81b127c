"""The fourteen ways in which figures were flattered in the references, each with what refuses it here.

A guard raises `GuardError`, which names its number; `check_all` runs those for which it is given what they need, and
says which these were. Guards 3 and 4 are also in `Manifest`: no manifest can break them.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from leukoscope.classification import Bundle
from leukoscope.errors import LeukoscopeError, SettingsError

from ._decisions import from_decisions, lone_accuracy
from .data._looks import find_copy, odd_class
from .data.importers.agreement import check_polarity, check_taxonomy
from .data.manifest import Manifest, Row, find, groups_hash
from .metrics import Metric

__all__ = [
    "GUARDS",
    "GuardError",
    "check_all",
    "figures_follow",
    "fitted_on_training",
    "generators_saw_training",
    "label_blind",
    "labels_agree",
    "majority_beside",
    "no_copies",
    "same_test_set",
    "scores_are_graded",
    "seed_given",
    "selected_without_test",
    "slides_not_seen",
    "synthetic_in_training",
    "trained_groups",
    "treated_alike",
    "whole_groups",
]

GUARDS: Final = {
    1: "no augmented copy across splits",
    2: "generators saw training groups only",
    3: "synthetic cells in training only",
    4: "whole groups in one split",
    5: "statistics of the training split",
    6: "no statistics by class",
    7: "every class treated alike",
    8: "labels mean the same in all sources",
    9: "figures are what they are called",
    10: "one test set for all arms",
    11: "seeds are given, runs repeat",
    12: "accuracy beside the majority",
    13: "nothing selected on test cells",
    14: "no slide measured that was corrected",
}

_CLOCK: Final = 7 * 86400.0  # seconds around now in which a seed is taken for the time of day

Transform = Callable[[NDArray[Any], Sequence[str]], ArrayLike]
Fit = Callable[[NDArray[Any]], ArrayLike]


class GuardError(LeukoscopeError):
    """A result that would be flattered."""


def _refuse(number: int, cause: str, remedy: str) -> NoReturn:
    raise GuardError(f"guard {number} ({GUARDS[number]}): {cause}", remedy)


def no_copies(manifest: Manifest, roots: Sequence[Path]) -> None:
    """Guard 1: refuse pictures of two splits that are one picture, turned, mirrored, saved anew or slightly blurred.

    A copy that was turned by other angles or recolored is not seen here: let it keep its original's group (guard 4).
    Nearly plain pictures, such as bare background, all look alike and are passed over.
    """
    pair = find_copy([find(row.image, roots) for row in manifest], [row.split for row in manifest])
    if pair is not None:
        a, b = pair
        cause = f"{manifest.name(a)} in {manifest.rows[a].split} is a copy of {manifest.name(b)}"
        _refuse(1, f"{cause} in {manifest.rows[b].split}", "Split first, augment afterwards, in training only.")


def generators_saw_training(manifest: Manifest, seen: Mapping[str, Iterable[str]] | None = None) -> None:
    """Guard 2: refuse synthetic cells whose generator was fitted on groups of "val" or "test".

    Parameters
    ----------
    manifest : Manifest
    seen : mapping of str to iterable of str, optional
        By generator, the groups that it was fitted on. Without, the hash in the manifest must be that of all training
        groups, or of those of one source, of one label, or of one label in one source.
    """
    held: set[str] = set()
    known: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for row in manifest:
        if row.split != "train":
            held.add(row.group)
        elif not row.synthetic:
            for key in ((), ("s", row.source), ("l", row.label), (row.source, row.label, "")):
                known[key].add(row.group)
    hashes = {groups_hash(groups) for groups in known.values()}
    for i, row in enumerate(manifest):
        if not row.synthetic:
            continue
        if seen is not None and row.generator in seen:
            groups = set(seen[row.generator])
            if groups_hash(groups) != row.generator_groups:
                _refuse(2, f"{manifest.name(i)}: {row.generator} saw other groups than the row says", "Make it anew.")
            if groups & held:
                cause = f"{manifest.name(i)} is by {row.generator}, which saw {min(groups & held)}, held out here"
                _refuse(2, cause, "Fit the generator on the training split.")
        elif row.generator_groups not in hashes:
            cause = f"{manifest.name(i)}: {row.generator} was fitted on groups that are not the training groups here"
            _refuse(2, cause, "Fit the generator on this split, or give the groups that it saw.")


def synthetic_in_training(rows: Iterable[Row]) -> None:
    """Guard 3: refuse synthetic cells in "val" or "test"."""
    for i, row in enumerate(rows, 1):
        if row.synthetic and row.split != "train":
            _refuse(3, f"row {i} ({row.image}) is synthetic and in {row.split}", "Measure on real cells.")


def whole_groups(groups: Sequence[str], splits: Sequence[Any]) -> None:
    """Guard 4: refuse a group of which a part is in another split; for folds as well as for train, val and test."""
    first: dict[str, Any] = {}
    for group, split in zip(groups, splits, strict=True):
        if first.setdefault(group, split) != split:
            _refuse(4, f"group {group} is in {first[group]} and in {split}", "Split by group (leukotrain.data.splits).")


def fitted_on_training(fit: Fit, values: NDArray[Any], splits: Sequence[str], claimed: ArrayLike) -> None:
    """Guard 5, and typed-in statistics (11): refuse parameters that fitting on the training rows does not give.

    `fit` takes values (m, …) and gives the parameters of a scaler, a PCA, a stain normalization; `values` (n, …) are
    those of all rows; `claimed` is what is stored with the model.
    """
    right = np.asarray(fit(values[np.asarray(splits) == "train"]), np.float64)
    given = np.asarray(claimed, np.float64)
    if right.shape != given.shape or not np.allclose(right, given, rtol=1e-3, atol=1e-6):
        _refuse(5, "the stored statistics are not those of the training split", "Fit on rows of split train only.")


def label_blind(transform: Transform, values: NDArray[Any], labels: Sequence[str]) -> None:
    """Guard 6, and 7 for augmentation: refuse a step whose result changes when only the labels do.

    `transform` takes values (n, …) and labels, and seeds itself, so that it repeats.
    """
    kinds = sorted(set(labels))
    if len(kinds) < 2 or len(labels) < 3:
        raise SettingsError("too few cells to show whether classes are treated alike", "Give three, of two classes.")
    before = np.asarray(transform(values, list(labels)))
    renamed = [kinds[(kinds.index(name) + 1) % len(kinds)] for name in labels]  # bites where a class is named
    dealt = list(labels)  # bites where the cells of a class are pooled: two classes exchange a cell
    i, k = (dealt.index(name) for name in kinds[:2])
    dealt[i], dealt[k] = dealt[k], dealt[i]
    for other in (renamed, dealt):
        if not np.array_equal(before, np.asarray(transform(values, other))):
            _refuse(6, "the step gives other pixels to another label", "Let no step before the network know labels.")


def treated_alike(manifest: Manifest, roots: Sequence[Path]) -> None:
    """Guard 7: refuse a source in which one class alone is gray, of another file format, or blurred."""
    odd = odd_class(manifest.rows, [find(row.image, roots) for row in manifest])
    if odd:
        _refuse(7, odd, "Bring the pictures as they were taken; augment every class alike, in training only.")


def labels_agree(rows: Sequence[Row], features: NDArray[np.float64], declared: Mapping[str, Mapping[str, str]]) -> None:
    """Guard 8: refuse swapped labels and names that mean two classes, see `importers.agreement`."""
    try:
        check_taxonomy(rows, declared)
        check_polarity(rows, features)
    except LeukoscopeError as error:
        _refuse(8, error.cause, error.remedy)


def scores_are_graded(scores: ArrayLike) -> None:
    """Guard 9: refuse to rank by hard labels: an AUC needs scores."""
    if len(np.unique(np.asarray(scores))) <= 2:
        _refuse(9, "an area under the curve was asked of hard labels", "Give the probabilities.")


def figures_follow(truth: ArrayLike, called: ArrayLike, figures: Mapping[str, float]) -> None:
    """Guard 9: refuse figures that the decisions do not give, such as a specificity called precision.

    Parameters
    ----------
    truth, called : bool arrays (n,)
    figures : mapping of str to float
        "accuracy", "precision", "recall", "sensitivity", "specificity", "f1"; others are passed over.
    """
    right = from_decisions(truth, called)
    for name, value in figures.items():
        if name in right and not math.isnan(right[name]) and not abs(value - right[name]) < 1e-3:
            _refuse(9, f"{name} is given as {value:.3f}, and is {right[name]:.3f}", "Compute it from the decisions.")


def same_test_set(arms: Mapping[str, Manifest]) -> None:
    """Guard 10: refuse an ablation whose arms are measured on different cells."""
    tests = {arm: sorted((r.image, r.label) for r in manifest if r.split == "test") for arm, manifest in arms.items()}
    for arm, found in tests.items():
        if found != next(iter(tests.values())):
            _refuse(10, f"{arm} has another test set than {next(iter(tests))}", "Give all arms the same test rows.")


def seed_given(seed: Any, run: Callable[[int], ArrayLike] | None = None) -> None:
    """Guard 11: refuse no seed, one from the clock, and (where a run is given) one that does not make it repeat."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        _refuse(11, f"the seed is {seed!r}", "Give a whole number, and record it.")
    if any(abs(int(seed) / unit - time.time()) < _CLOCK for unit in (1, 1e3, 1e6, 1e9)):
        _refuse(11, f"the seed {seed} is the time of day", "Give a number of your own, and record it.")
    if run is not None and not np.array_equal(np.asarray(run(int(seed))), np.asarray(run(int(seed)))):
        _refuse(11, f"two runs with seed {seed} differ", "Seed every generator of random numbers.")


def majority_beside(metrics: Sequence[Metric], truth: Mapping[str, Sequence[str]] | None = None) -> None:
    """Guard 12: refuse an accuracy without, on the same cells, what calling everything the commonest class gives.

    The baseline's name has "majority" in it; its value is checked by labels in `truth`, by `Metric.data`, if given.
    """
    wrong = lone_accuracy(metrics, truth or {})
    if wrong:
        _refuse(12, wrong, "Give the accuracy of calling everything the commonest class beside it.")


def selected_without_test(manifest: Manifest, used: Iterable[str]) -> None:
    """Guard 13: refuse that the pictures `used` to choose (an epoch, threshold, temperature, model) are of "test"."""
    held = {row.group for row in manifest if row.split == "test"}
    group = {row.image: row.group for row in manifest}
    for image in used:
        if image not in group or group[image] in held:
            _refuse(13, f"{image} was used to choose by, and is not of train or val", "Choose by validation cells.")


def trained_groups(bundle: Bundle) -> set[str]:
    """Give the groups of all sources that a model was trained or validated on."""
    return {group for groups in bundle.training.get("groups", {}).values() for group in groups}


def slides_not_seen(trained: Iterable[str], evaluated: Iterable[str]) -> None:
    """Guard 14: refuse to measure on a slide, or any group, whose (corrected) cells were trained on."""
    both = set(trained) & set(evaluated)
    if both:
        _refuse(14, f"{min(both)} was trained on and is to be measured on", "Measure on slides that nobody corrected.")


def check_all(
    manifest: Manifest,
    roots: Sequence[Path] | None = None,
    seen: Mapping[str, Iterable[str]] | None = None,
    also: Mapping[int, Callable[[], object]] | None = None,
) -> set[int]:
    """Run every guard for which there is something to check.

    Parameters
    ----------
    manifest : Manifest
        Guards 2, 3, 4.
    roots : sequence of Path, optional
        Of its pictures: guards 1 and 7.
    seen : mapping, optional
        For guard 2.
    also : mapping of int to callable, optional
        By number, a call of the guard with what it needs: ``{13: lambda: selected_without_test(manifest, used)}``.

    Returns
    -------
    set of int
        The numbers of the guards that were checked, and hold.

    Raises
    ------
    GuardError
        At the first guard that does not hold.
    """
    generators_saw_training(manifest, seen)
    synthetic_in_training(manifest)
    whole_groups([row.group for row in manifest], [row.split for row in manifest])
    checked = {2, 3, 4}
    if roots is not None:
        no_copies(manifest, roots)
        treated_alike(manifest, roots)
        checked |= {1, 7}
    for number, call in (also or {}).items():
        if number not in GUARDS:
            raise SettingsError(f"there is no guard {number}", f"They are numbered 1 to {max(GUARDS)}.")
        call()
        checked.add(number)
    return checked
