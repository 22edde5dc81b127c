"""Corrections made in QuPath, taken back into the case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from ..errors import CaseError
from ..wording import cells_said
from ._event import by_label
from ._geojson import rounded
from ._geojson_read import GeoObject, read_geojson
from .records import Event

if TYPE_CHECKING:
    from .case import Case

__all__ = ["Added", "Imported", "import_geojson"]

NEW: Final = "no cell of this case"
UNCLASSIFIED: Final = "without a class"
REMOVED: Final = "removed here since the export"
OUTLINE: Final = "outline changed: outlines are not taken over"
CONFLICT: Final = "relabeled here, too, since the export"

_BAND = 0.02
"""Pixels by which an outline may lie off, on average, for rounding's sake (QuPath keeps 32-bit floats)."""


class Added(NamedTuple):
    """An outline of the file that is no cell of this case: drawn or found in QuPath."""

    outline: BaseGeometry
    label: str | None
    name: str | None
    kind: str


@dataclass(frozen=True)
class Imported:
    """What a file changed, and what of it was left out.

    Parameters
    ----------
    changed : mapping of int to str
        The cells relabeled, and their new labels.
    unchanged : int
        Cells whose class was not changed there.
    unknown : mapping of str to int
        Cells by a class that this case does not have; they keep their labels.
    ignored : mapping of str to int
        Objects by why something of them was not taken over.
    absent : int
        Shown cells that are not in the file; they keep their labels.
    added : tuple of Added
        The outlines that are no cells of this case, for whoever wants to add them: the import does not.
    events : tuple of Event
        The relabels, one for each label.
    """

    changed: Mapping[int, str]
    unchanged: int
    unknown: Mapping[str, int]
    ignored: Mapping[str, int]
    absent: int
    added: tuple[Added, ...]
    events: tuple[Event, ...]

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = [f"{cells_said(len(self.changed))} relabeled", f"{self.unchanged} unchanged"]
        parts += [f"{count} of unknown class {name!r}" for name, count in self.unknown.items()]
        parts += [f"{count} {reason}" for reason, count in self.ignored.items()]
        return "; ".join([*parts, f"{self.absent} not in the file"] if self.absent else parts)


def import_geojson(case: Case, path: Path, reviewer: str | None) -> Imported:
    """Take over the classes that were changed; see `Case.import_geojson`."""
    with case._store.mutex:  # refused before the file is read: that may take long, and keeps nobody waiting
        case._check_writable()
        case._check_open()
    objects, digest = read_geojson(path)
    with case._store.mutex:
        mine, others = _sorted_out(case, objects, path)
        here = set(case.ids)
        removed = len(mine.keys() - here)
        mine = {cell: item for cell, item in mine.items() if cell in here}
        labels = _labels(case)
        changed, unchanged, unknown, ignored = _changes(case, mine, labels)
        if others:
            ignored[NEW] = len(others)
        if removed:
            ignored[REMOVED] = removed
        if moved := _moved(case, mine):
            ignored[OUTLINE] = moved
        detail = {"imported": {"file": path.name, "sha256": digest}}
        drafts = [case._relabeling(cells, label, reviewer, detail) for label, cells in by_label(changed).items()]
        told = case._record(drafts) if drafts else []
        absent = len(case) - len(mine)
    events = case._tell_all(told)
    added = tuple(
        Added(o.outline, labels.get((o.name or "").casefold()), o.name, o.kind) for o in others if o.outline is not None
    )
    return Imported(changed, unchanged, dict(unknown), dict(ignored), absent, added, events)


def _sorted_out(case: Case, objects: list[GeoObject], path: Path) -> tuple[dict[int, GeoObject], list[GeoObject]]:
    """Return the objects that are cells of this case, removed ones too, by id, and the others."""
    ids = {case.uuid(cell): cell for cell in range(1, case.last_id + 1)}
    mine: dict[int, GeoObject] = {}
    others = []
    foreign = 0
    for item in objects:
        cell = None if item.id is None else ids.get(item.id)
        if cell is None:
            # Ours are named by what they are (version 5), QuPath's own at random (version 4): one of ours that is not
            # here belongs to another case, or to cells that a new analysis has replaced.
            foreign += item.id is not None and item.id.version == 5
            others.append(item)
        elif cell in mine:
            raise CaseError(f"holds cell {cell} twice", "Export each object once.", path)
        else:
            mine[cell] = item
    if foreign:
        cause = f"{foreign} of its objects are cells of another case, or of an earlier analysis"
        raise CaseError(cause, "Export this case anew (cells.geojson), and correct that file.", path)
    return mine, others


def _labels(case: Case) -> dict[str, str]:
    """Return the label that each class of a file stands for: by its id or by its name, in any case."""
    names = {cell_class.name.casefold(): label for label, cell_class in case.taxonomy.items()}
    return names | {label.casefold(): label for label in (*case.settings.classes, *case.taxonomy)}


def _changes(
    case: Case, mine: Mapping[int, GeoObject], labels: Mapping[str, str]
) -> tuple[dict[int, str], int, Counter[str], Counter[str]]:
    """Compare three labels of each cell: the file's, the one it was exported with, and the one it has now."""
    changed: dict[int, str] = {}
    unchanged, unknown, ignored = 0, Counter[str](), Counter[str]()
    current = case.labels(mine)
    exported = _exported(case, mine)
    for cell, item in mine.items():
        before = exported.get(cell, current[cell])
        if item.name is None:
            ignored[UNCLASSIFIED] += 1
        elif (label := labels.get(item.name.casefold())) is None:
            unknown[item.name] += 1
        elif label in (current[cell], before):
            unchanged += 1  # here it may have changed since: that is newer
        elif current[cell] != before:
            ignored[CONFLICT] += 1
        else:
            changed[cell] = label
    return changed, unchanged, unknown, ignored


def _exported(case: Case, mine: Mapping[int, GeoObject]) -> dict[int, str]:
    """Return the label with which each cell was exported, where its metadata (kept since QuPath 0.5) tell."""
    given = {
        (case._review.home[track], event.at): event.label
        for event in case._events
        if event.kind == "relabel"
        for track in case._review.shared.touched[event.id]
    }
    model = case._named(dict.fromkeys(mine))
    found = {}
    for cell, item in mine.items():
        if item.metadata.get("source") == "model":
            found[cell] = model[cell]
        elif (label := given.get((cell, item.metadata.get("reviewed_at", "")))) is not None:
            found[cell] = label
    return found


def _moved(case: Case, mine: Mapping[int, GeoObject]) -> int:
    """Return how many of the cells have another outline in the file."""
    outlines = case.outlines(mine)
    theirs = np.array([mine[cell].outline for cell in outlines], dtype=object)
    ours = rounded([pair[0] for pair in outlines.values()])
    close = (np.abs(shapely.bounds(ours) - shapely.bounds(theirs)) <= 1).all(axis=-1)  # NaN, for no polygon, is not
    ours, theirs = ours[close], theirs[close]
    same = shapely.equals_exact(shapely.normalize(ours), shapely.normalize(theirs), 0.01)
    # A ring may start elsewhere after rounding: what is not the same point for point may still be the same outline.
    a, b = shapely.make_valid(ours[~same]), shapely.make_valid(theirs[~same])
    off = shapely.area(shapely.symmetric_difference(a, b)) > _BAND * shapely.length(a)
    return int((~close).sum() + off.sum())
