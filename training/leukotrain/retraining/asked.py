"""What is asked of a retraining, held against what its cases hold: a slip of the pen ends here, not in a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.errors import SettingsError

from ..guards import slides_not_seen
from .reviewed import ReviewedCase

__all__ = ["check_mapping", "check_moved", "check_slides"]


def check_mapping(mapping: Mapping[str, str], classes: Iterable[str], cases: Sequence[ReviewedCase]) -> None:
    """Refuse to map what is no label, or onto what is no class.

    Parameters
    ----------
    mapping : mapping of str to str
        Classes by label; "" leaves a label's cells out.
    classes : iterable of str
        Of the model.
    cases : sequence of ReviewedCase

    Raises
    ------
    SettingsError
        A name is of neither the taxonomy, the model nor a case.
    """
    own = sorted({label for case in cases for label in case.own} | {*classes} - {*TAXONOMY})
    for name in (*mapping, *filter(None, mapping.values())):
        if name not in TAXONOMY and name not in own:
            also = f" (of your own: {', '.join(own)})" if own else ""
            remedy = f"Write it as the taxonomy does, such as neutrophil_segmented{also}."
            raise SettingsError(f"there is no class {name!r} to map", remedy)


def check_moved(moved: Iterable[str], cases: Sequence[ReviewedCase]) -> None:
    """Refuse to say where the slide of a case is that is not among the cases.

    Raises
    ------
    SettingsError
    """
    names = {case.name for case in cases}
    for name in moved:
        if name not in names:
            remedy = f"Write the name of its folder: {', '.join(sorted(names))}."
            raise SettingsError(f"a slide is given for {name!r}, which is none of the cases", remedy)


def check_slides(learned: Sequence[ReviewedCase], held: Sequence[ReviewedCase], seen: Iterable[str]) -> None:
    """Refuse a slide that is in two cases, or both learned from and measured on.

    Parameters
    ----------
    learned, held : sequences of ReviewedCase
        To learn from, and locked.
    seen : iterable of str
        Groups that the model to start from was trained on.

    Raises
    ------
    SettingsError
        Reviewed cells of two cases of one use are of one slide: parts that are kept apart would share them.
    GuardError
        Guard 14.
    """
    for cases in (learned, held):
        first: dict[str, ReviewedCase] = {}
        for case in filter(len, cases):
            other = first.setdefault(case.group, case)
            if other is not case:
                remedy = "Leave one of them out: their cells would count twice."
                raise SettingsError(f"is of the same slide as {other.path}", remedy, case.path)
    taught = {case.group: f"the slide of {case.name}" for case in learned}
    slides_not_seen(taught.values(), (taught.get(case.group, "") for case in held))
    groups = tuple(seen)
    known = [f"{found}, the slide of {case.name}," for case in held if (found := case.seen_in(groups))]
    slides_not_seen(known, known)
