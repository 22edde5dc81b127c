"""What still keeps a case from being signed, without Qt."""

from __future__ import annotations

from typing import NamedTuple

from leukoscope.cases import Case
from leukoscope.classification.taxonomy import UNIDENTIFIED
from leukoscope.hematology import Profile
from leukoscope.wording import cells_said

__all__ = ["Hindrance", "hindrances"]


class Hindrance(NamedTuple):
    """One of them, in words, and the cells that it is about."""

    said: str
    cells: tuple[int, ...] = ()


def hindrances(case: Case, profile: Profile, review: str) -> list[Hindrance]:
    """List what `Case.sign` would refuse now, all of it: the case names the first.

    Parameters
    ----------
    case : Case
    profile : Profile
        How it is to be counted.
    review : {"none", "sample", "blasts", "all"}
        Which cells a reviewer must have seen.
    """
    found = []
    if case.readonly:
        found.append(Hindrance("The case is open for reading only."))
    if not case.complete:
        found.append(Hindrance(f"The analysis is not complete ({case.status})."))
    if case.signed is not None:
        found.append(Hindrance("The case is signed: open an amendment to change it and sign anew."))
        return found
    table = case.cells
    ids, labels = table["cell_id"].to_numpy(), table["label"].to_numpy(dtype=str)
    open_ = tuple(int(cell) for cell in ids[labels == UNIDENTIFIED])
    if open_:
        found.append(Hindrance(f"{_cells(open_)} unidentified: whether they count is not known.", open_))
    reviewed = (table["source"] == "reviewer").to_numpy(dtype=bool)
    if review == "sample":
        sample = case.sample
        left = () if sample is None else sample.remaining
        if sample is None:
            found.append(Hindrance("No sample has been drawn for review."))
    else:
        counted = {label for label, cell_class in case.taxonomy.items() if profile.counts(cell_class)}
        wanted = {"none": set(), "blasts": profile.blast_labels(case.taxonomy), "all": counted}[review]
        asked = [label in wanted for label in labels]
        left = tuple(int(cell) for cell, must, done in zip(ids, asked, reviewed, strict=True) if must and not done)
    if left:
        which = {"sample": "of the sample", "blasts": "called blasts", "all": "counted"}[review]
        found.append(Hindrance(f"{_cells(left)} not reviewed, of those {which}.", left))
    return found


def _cells(cells: tuple[int, ...]) -> str:
    return f"{cells_said(len(cells))} {'is' if len(cells) == 1 else 'are'}"
