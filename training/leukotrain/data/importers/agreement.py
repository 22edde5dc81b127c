"""Do two sources mean the same by their labels? Swapped polarity, and names that mean different classes (guard 8).

A source whose blasts are labeled normal and whose normal cells are labeled blast passes every other check. Here a plain
linear rule learned on one source is asked about another: told by color and size alone it may know little, but where it
is surely *worse* than chance, one of the two has its labels the wrong way round.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.slides import read_picture

from ...metrics import auroc, bootstrap
from ..manifest import ManifestError, Row, find
from ..splits import kfold
from ._names import Progress

__all__ = ["Agreement", "cell_features", "check_polarity", "check_taxonomy", "compare", "features", "single_sourced"]

_FEWEST: Final = 8  # cells of a label in a source, to say anything
_TELLS: Final = 0.7  # within a source, the rule must tell the labels apart at least so well (AUROC)
_SWAPPED: Final = 0.35  # between sources: below this, with the whole interval below chance, the labels are swapped
_DAMPING: Final = 0.3  # of the rule: few subjects cannot teach ten weights

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """How two sources agree about a pair of labels.

    Attributes
    ----------
    sources, labels : tuple of (str, str)
    within : float
        How well such rules do in one source, on groups that they were not learned on: the AUROC of the lesser source.
    across : float
        The mean of the AUROCs of each source's rule on the other.
    high : float
        The upper end of the 95 % interval across sources, cells resampled by group, of the direction in which it is
        higher; not a number where `across` is not below chance.
    """

    sources: tuple[str, str]
    labels: tuple[str, str]
    within: float
    across: float
    high: float

    @property
    def verdict(self) -> str:
        """Give "agree", "swapped", or "unclear" where color and size cannot say."""
        if not self.within >= _TELLS:
            return "unclear"
        if self.across < _SWAPPED and self.high < 0.5:
            return "swapped"
        return "agree" if self.across > 0.5 else "unclear"


def cell_features(rgb: NDArray[np.uint8], mask: NDArray[np.bool_], mpp: float) -> Floats:
    """Describe a cell by color and size.

    Parameters
    ----------
    rgb : uint8 array (h, w, 3)
    mask : bool array (h, w)
        The cell; the whole picture where it is empty.
    mpp : float
        µm per pixel; where unknown, sizes are compared within a source only, which is all that is needed.

    Returns
    -------
    float array (10,)
        The logarithm of the area; mean, spread and 90th percentile of each channel's optical density.
    """
    inside = rgb[mask] if mask.any() else rgb.reshape(-1, 3)
    density = -np.log((inside.astype(np.float64) + 1) / 256)
    area = math.log(len(inside) * (1.0 if math.isnan(mpp) else mpp**2))
    return np.concatenate([[area], density.mean(axis=0), density.std(axis=0), np.percentile(density, 90, axis=0)])


def features(rows: Sequence[Row], roots: Sequence[Path], progress: Progress | None = None) -> Floats:
    """Describe the cells of rows by color and size, float array (n, 10).

    A cell without an outline is what is not black in its picture.
    """
    out = []
    for i, row in enumerate(rows):
        image = read_picture(find(row.image, roots))
        if row.mask:
            with Image.open(find(row.mask, roots)) as picture:
                mask = np.asarray(picture.convert("L")) > 0
        else:
            mask = image.max(axis=2) > 0
        out.append(cell_features(image, mask, row.mpp))
        if progress is not None:
            progress(i + 1, len(rows))
    return np.array(out).reshape(len(rows), -1)


def _rule(x: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Give the direction that tells two labels apart best (Fisher's), damped, for features of unit spread."""
    apart = x[positive].mean(axis=0) - x[~positive].mean(axis=0)
    rest = np.concatenate([x[k] - x[k].mean(axis=0) for k in (positive, ~positive)])
    spread = rest.T @ rest / len(rest) + _DAMPING * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(spread, apart))


def _within(x: Floats, positive: NDArray[np.bool_], group: NDArray[np.str_]) -> float:
    """Give the AUROC of rules on groups that they were not learned on; not a number where a label has one group only.

    On cells that it was learned on, a rule tells subjects apart, and that proves nothing about labels.
    """
    most = min(len(set(group[positive])), len(set(group[~positive])), 5)
    if most < 2:
        return math.nan
    fold = kfold([str(p) for p in positive], group.tolist(), most)
    score = np.empty(len(x))
    for k in range(most):
        learn = fold != k
        if len(set(positive[learn])) < 2:
            return math.nan
        score[~learn] = x[~learn] @ _rule(x[learn], positive[learn])
    return auroc(positive, score)


def _balanced(x: Floats, positive: NDArray[np.bool_]) -> Floats:
    """Bring a source to zero mean and unit spread, both labels counting alike: its stain and scale drop out."""
    parts = [x[positive], x[~positive]]
    center = np.mean([p.mean(axis=0) for p in parts], axis=0)
    spread = np.sqrt(np.mean([((p - center) ** 2).mean(axis=0) for p in parts], axis=0))
    return np.asarray((x - center) / np.maximum(spread, 1e-9))


def compare(x: Floats, labels: Sequence[str], groups: Sequence[str], sources: Sequence[str]) -> list[Agreement]:
    """Compare each pair of sources by each pair of labels that both have.

    Parameters
    ----------
    x : float array (n, d)
        Cheap features of the cells, see `features`.
    labels, groups, sources : sequences of str, (n,)

    Returns
    -------
    list of Agreement
        Labels with fewer than 8 cells in a source are passed over.
    """
    label, group, source = (np.asarray(v, dtype=object).astype(str) for v in (labels, groups, sources))
    enough = {
        name: {k for k in np.unique(label[source == name]) if np.sum((source == name) & (label == k)) >= _FEWEST}
        for name in np.unique(source).tolist()
    }
    out = []
    for a, b in combinations(enough, 2):
        for first, second in combinations(sorted(enough[a] & enough[b]), 2):
            at = [np.flatnonzero((source == s) & np.isin(label, (first, second))) for s in (a, b)]
            positive = [label[i] == first for i in at]
            data = [_balanced(x[i], p) for i, p in zip(at, positive, strict=True)]
            rules = [_rule(d, p) for d, p in zip(data, positive, strict=True)]
            within = min(_within(d, p, group[i]) for d, p, i in zip(data, positive, at, strict=True))
            score = [data[k] @ rules[1 - k] for k in (0, 1)]
            across = float(np.mean([auroc(p, v) for p, v in zip(positive, score, strict=True)]))
            high = math.nan
            if across < 0.5:
                high = max(_upper(p, v, group[i]) for p, v, i in zip(positive, score, at, strict=True))
            pair, kinds = (str(a), str(b)), (str(first), str(second))
            out.append(Agreement(pair, kinds, within, across, high))
    return out


def _upper(positive: NDArray[np.bool_], score: Floats, group: NDArray[np.str_]) -> float:
    return bootstrap(lambda i: auroc(positive[i], score[i]), group, positive.astype(int))[1]


def check_polarity(rows: Sequence[Row], x: Floats) -> list[Agreement]:
    """Make sure that no two sources have a pair of labels the opposite way round.

    Parameters
    ----------
    rows : sequence of Row, (n,)
        Synthetic cells are passed over.
    x : float array (n, d)
        Their features.

    Returns
    -------
    list of Agreement
        What was compared; empty where no two sources share two labels, which proves nothing.

    Raises
    ------
    ManifestError
        Labels are swapped; sources and labels are named.
    """
    real = [i for i, row in enumerate(rows) if not row.synthetic]
    columns = ([getattr(rows[i], name) for i in real] for name in ("label", "group", "source"))
    found = compare(x[real], *columns)
    for one in found:
        if one.verdict == "swapped":
            (a, b), (first, second) = one.sources, map(_short, one.labels)
            raise ManifestError(
                f"{first} and {second} look swapped between {a} and {b}: a rule that tells them apart in either "
                f"(AUROC {one.within:.2f}) is wrong in the other ({one.across:.2f}, at most {one.high:.2f})",
                "Look at cells of both; correct the mapping of the source that is wrong.",
            )
    return found


def check_taxonomy(rows: Iterable[Row], declared: Mapping[str, Mapping[str, str]]) -> None:
    """Make sure that sources use the labels they declare, and that one name does not mean two classes.

    Parameters
    ----------
    rows : iterable of Row
    declared : mapping of str to mapping of str to str
        By source, the mapping from its own names to labels that its importer was given.

    Raises
    ------
    ManifestError
        A name that stands for labels without a class in common in two sources, or a row whose label its source does not
        declare; sources that declare nothing are passed over.
    """
    meant: dict[str, tuple[str, str]] = {}
    for source, mapping in declared.items():
        for name, label in mapping.items():
            if not label:
                continue
            other, before = meant.setdefault(name.casefold(), (source, label))
            if not set(_parts(before)) & set(_parts(label)):
                raise ManifestError(
                    f"{name!r} is {before} in {other} and {label} in {source}",
                    "One of the mappings is wrong, or the two sets mean different things by it: rename one.",
                )
    allowed = {source: {p for label in mapping.values() for p in _parts(label)} for source, mapping in declared.items()}
    for number, row in enumerate(rows, 1):
        if row.source in allowed and not set(_parts(row.label)) <= allowed[row.source]:
            remedy = "Correct the row or the mapping."
            raise ManifestError(
                f"row {number} ({row.image}) is {row.label}, which {row.source} does not declare", remedy
            )


def single_sourced(rows: Iterable[Row]) -> dict[str, str]:
    """Give the classes that come from one source alone, with that source: its style may give them away."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if len(row.allowed) == 1 and not row.synthetic:
            found[row.label].add(row.source)
    return {label: sources.pop() for label, sources in sorted(found.items()) if len(sources) == 1}


def _short(label: str) -> str:
    parts = label.split("|")
    return label if len(parts) < 4 else f"one of {len(parts)} classes from {parts[0]} to {parts[-1]}"


def _parts(label: str) -> list[str]:
    parts: list[str] = []
    for one in label.split("|") if label else ():
        own, *rolled = TAXONOMY.parts(one)
        parts += rolled or [own]
    return parts
