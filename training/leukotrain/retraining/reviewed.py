"""What cases hold that a model can be retrained from: the cells that reviewers labeled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.cases import Case, open_case
from leukoscope.classification.taxonomy import TAXONOMY, UNIDENTIFIED
from leukoscope.errors import CaseError

from ..data.importers.qupath import group_of

__all__ = ["ReviewedCase", "blocks_of", "choices", "read_case"]

BLOCKS: Final = 5  # of a slide, where it has to stand for several
WHOLE: Final = 0.9  # share of a case's cells from which on it counts as reviewed whole


@dataclass(frozen=True, eq=False)
class ReviewedCase:
    """The reviewed cells of a case; those left unidentified are not among them.

    Attributes
    ----------
    path : Path
        The case's folder.
    id : str
        The case's.
    group : str
        The slide, by its fingerprint: what guard 14 compares.
    slide : str
        Where the slide is.
    cells : int
        Of the case, reviewed or not.
    ids : int64 array (n,)
    labels, called, reviewers : tuples of str, (n,)
        What the reviewer said each is, what the case's model thought likeliest ("" without a model), and who said it.
    places : float64 array (n, 2)
        x and y, level-0 px.
    unidentified : int
        Cells that a reviewer left unidentified.
    model : str
        The fingerprint of the case's model.
    names : tuple of str
        What the slide is called, and its fields, without their files' endings.
    own : tuple of str
        Classes that the case has beside the taxonomy's.
    disputed : int
        Reviewed cells on which two readers differ, and of which nobody decided.
    """

    path: Path
    id: str
    group: str
    slide: str
    cells: int
    ids: NDArray[np.int64]
    labels: tuple[str, ...]
    called: tuple[str, ...]
    reviewers: tuple[str, ...]
    places: NDArray[np.float64]
    unidentified: int
    model: str
    names: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    disputed: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def name(self) -> str:
        """What the case's folder is called."""
        return self.path.name

    def seen_in(self, groups: Iterable[str]) -> str:
        """Give the group of a model's training by which the model has seen this slide; "" where it has not.

        A slide is known again by its fingerprint. Fields of public data sets are listed by name: one that is called
        so, or so with an underscore and more ("Im001_1" of the group "Im001"), is taken for it.
        """
        known = {group.casefold(): group for group in groups}
        if self.group in known.values():
            return self.group
        for name in map(str.casefold, self.names):
            parts = name.split("_")
            for count in range(len(parts), 0, -1):
                if found := known.get("_".join(parts[:count])):
                    return found
        return ""

    @property
    def whole(self) -> bool:
        """Whether nearly all cells were reviewed: only then are the reviewed ones a fair sample of them."""
        return len(self) + self.unidentified >= WHOLE * self.cells

    @property
    def corrected(self) -> int:
        """Cells that the model thought to be of another class than the reviewer."""
        return sum(not agrees(label, called) for label, called in zip(self.labels, self.called, strict=True))

    @property
    def by_class(self) -> dict[str, int]:
        """How many cells have each label."""
        counts = Counter(self.labels)
        return {label: counts[label] for label in TAXONOMY.order(counts)}

    @property
    def by_reviewer(self) -> dict[str, int]:
        """How many cells each reviewer labeled last."""
        return dict(sorted(Counter(self.reviewers).items()))


def agrees(label: str, called: str) -> bool:
    """Tell whether a class is what a label says; a roll-up says any of its parts."""
    return called in TAXONOMY.parts(label) or (called != "" and called == TAXONOMY.roll_up(label))


def read_case(case: Case | Path, mapping: Mapping[str, str] | None = None, slide: Path | None = None) -> ReviewedCase:
    """Read the reviewed cells of a case.

    Parameters
    ----------
    case : Case or Path
        Only read.
    mapping : mapping of str to str, optional
        Other labels for some, "" to leave their cells out; all others stand for themselves, a laboratory's own too.
    slide : Path, optional
        Where the slide is now; else where it was when it was analyzed.

    Raises
    ------
    CaseError
        The case cannot be read, or has no cell.
    """
    if not isinstance(case, Case):
        with open_case(case, readonly=True) as opened:
            return read_case(opened, mapping, slide)
    table = case.cells
    if not len(table):
        raise CaseError("the case has no cells", "Analyze its slide first.", case.path)
    known = [name.removeprefix("p_") for name in table.columns if name.startswith("p_")]
    reviewed = table[table["source"] == "reviewer"]
    given = [(mapping or {}).get(label, label) for label in reviewed["label"].tolist()]
    kept = np.array([label not in ("", UNIDENTIFIED) for label in given], bool)
    chosen = reviewed[kept]
    called = [""] * len(chosen)
    if known and len(chosen):
        best = chosen[[f"p_{name}" for name in known]].to_numpy(np.float64).argmax(1)
        called = [known[i] for i in best]
    return ReviewedCase(
        case.path,
        str(case.id),
        group_of(case.slide.fingerprint),
        str(slide or case.slide.address),
        len(table),
        chosen["cell_id"].to_numpy(np.int64),
        tuple(label for label, keep in zip(given, kept, strict=True) if keep),
        tuple(called),
        tuple(str(name) for name in chosen["reviewed_by"].tolist()),
        chosen[["x", "y"]].to_numpy(np.float64),
        int((reviewed["label"] == UNIDENTIFIED).sum()),
        case.settings.model_fingerprint,
        (case.slide.name, *(Path(field.name).stem for field in case.slide.fields)),
        tuple(label for label in case.taxonomy if label not in TAXONOMY),
        len(_undecided(case) & {*chosen["cell_id"].tolist()}),
    )


def _undecided(case: Case) -> set[int]:
    """Find the cells on which any two readers differ, and of which nobody decided."""
    cells: set[int] = set()
    for pair in combinations(case.readers, 2):
        with suppress(CaseError):  # one of them labeled cells that are gone
            cells.update(case.compare(*pair).undecided)
    return cells


def blocks_of(places: NDArray[np.floating[Any]], count: int = BLOCKS) -> NDArray[np.int64]:
    """Part a slide's cells into blocks that lie apart, of about as many cells each.

    Parameters
    ----------
    places : float array (n, 2)
    count : int
        Blocks; fewer where there are fewer cells.

    Returns
    -------
    int64 array (n,)
        The block, from 0.
    """
    out = np.zeros(len(places), np.int64)

    def part(rows: NDArray[np.int64], pieces: int, first: int) -> None:
        out[rows] = first
        if pieces < 2 or len(rows) < 2:
            return
        some = places[rows]
        axis = int(np.ptp(some, axis=0).argmax())  # across the longer side
        order = rows[np.argsort(some[:, axis], kind="stable")]
        half = pieces // 2
        middle = round(len(rows) * half / pieces)
        part(order[:middle], half, first)
        part(order[middle:], pieces - half, first + half)

    part(np.arange(len(places)), min(count, len(places)), 0)
    return np.unique(out, return_inverse=True)[1].astype(np.int64)


def choices(labels: Sequence[str], classes: Iterable[str]) -> tuple[str, ...]:
    """Name the classes among labels that a model knows nothing of, neither themselves nor parts nor the broader one."""
    known = set(classes)
    strange = [
        label
        for label in set(labels)
        if not known & set(TAXONOMY.parts(label)) and TAXONOMY.roll_up(label) not in known
    ]
    return tuple(TAXONOMY.order(strange))
