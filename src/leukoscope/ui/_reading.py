"""A case in the eyes of a blinded reader, so that layers, gallery and counts take it for the case."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from leukoscope.cases import Case, Event
from leukoscope.errors import CaseError

if TYPE_CHECKING:
    from .outlining.layer import EditLayers

__all__ = ["BlindedView", "Reading"]

_TELLS_NOTHING = {"close", "complete", "count", "id", "ids", "label_levels", "last_id", "mpp", "outlines", "painter"}
_TELLS_NOTHING |= {"path", "readonly", "run", "runs", "settings", "slide", "status", "taxonomy", "uuid"}
_OF_THE_READER = {"all_cells", "cells", "counts", "differential", "hide_model", "labels", "labels_changed"}
_OF_THE_READER |= {"name", "read", "reviewed"}


class Reading:
    """What a blinded reader may see and do, under the names that `Case` has.

    Whatever is not listed above is refused, in one line that says so: a view that is added later shows nothing of what
    others said, rather than all.

    Parameters
    ----------
    case : Case
        The whole case.
    name : str
        The reader's.
    hide_model : bool
        Keep the model's labels from the reader, too.

    Attributes
    ----------
    whole : Case
        What lies behind; not for the reader's eyes.
    """

    def __init__(self, case: Case, name: str, hide_model: bool = False) -> None:
        self.whole = case
        self.reader = case.second_reader(name, hide_model)

    def __getattr__(self, name: str) -> Any:
        if name in _TELLS_NOTHING:
            return getattr(self.whole, name)
        if name in _OF_THE_READER:
            return getattr(self.reader, name)
        if name.startswith("__") or "whole" not in self.__dict__ or not hasattr(self.whole, name):
            raise AttributeError(name)
        cause = f"a blinded reading is under way, and {name.strip('_').replace('_', ' ')} is of the whole case"
        raise CaseError(cause, "End the reading first: Review dock, Readers", self.whole.path)

    def __len__(self) -> int:
        return len(self.whole)

    @property
    def events(self) -> tuple[Event, ...]:
        """The reader's own."""
        whole = self.whole.events
        mine = {event.id for event in whole if event.kind == "read" and event.reviewer == self.reader.name}
        return tuple(event for event in whole if event.id in mine or event.target in mine)

    def relabel(self, ids: Iterable[int], label: str, reviewer: str | None = None) -> Event:
        """Say what cells are, in the reader's own name, whoever is set as the reviewer."""
        return self.reader.relabel(ids, label)

    def confirm(self, ids: Iterable[int], reviewer: str | None = None) -> tuple[Event, ...]:
        """Say that cells are what the reader sees them labeled."""
        return self.reader.confirm(ids)

    def undo(self, reviewer: str | None = None) -> Event | None:
        """Take back the reader's latest reading."""
        return self.reader.undo()

    def redo(self, reviewer: str | None = None) -> Event | None:
        """Bring back what the reader undid last."""
        return self.reader.redo()


class BlindedView:
    """The half of a session that shows its case as a blinded reader may see it.

    Attributes
    ----------
    case : Case or None
        What every view reads; during a blinded reading a `Reading`.
    busy : bool
        An analysis is writing the case.
    drawing : EditLayers or None
        The window whose outlines are being drawn anew.
    """

    def __init__(self) -> None:
        self.case: Case | None = None
        self.busy = False
        self.drawing: EditLayers | None = None

    @property
    def reading(self) -> Reading | None:
        """The blinded reading that is under way."""
        shown: Any = self.case
        return shown if isinstance(shown, Reading) else None

    @property
    def whole(self) -> Case | None:
        """The case with all that is known of it, during a blinded reading too."""
        return self.case if self.reading is None else self.reading.whole

    def ensure_free(self) -> None:
        """Refuse to show anything else while that would lose work: an analysis that writes, outlines not committed.

        Raises
        ------
        CaseError
            Saying which.
        """
        path = None if self.whole is None else self.whole.path
        if self.busy:
            raise CaseError("an analysis is running in this viewer", "Cancel it or wait for its end", path)
        if self.drawing is not None and self.drawing.drawn:
            remedy = "Commit or Discard them first: Outlines dock"
            raise CaseError("outlines that were drawn are not committed", remedy, path)

    def read_blinded(self, name: str, hide_model: bool = False) -> None:
        """Show what a blinded reader may see, everywhere in this viewer; labels given from now on are the reader's.

        Raises
        ------
        CaseError
            If the name is empty, work would be lost (`ensure_free`), or nothing can be written. What was shown stays.
        """
        whole = self.whole
        if whole is not None:
            self.ensure_free()
            if whole.readonly:
                raise CaseError("the case is open for reading only", "Close it in the other program first", whole.path)
            # to layers, gallery and counts it is a case; what would tell too much it refuses by itself
            self._see(cast(Case, Reading(whole, name, hide_model)))

    def end_reading(self) -> None:
        """Show the whole case again."""
        if self.reading is not None:
            self._see(self.reading.whole)

    def _see(self, case: Case) -> None:
        """Have every view read this in place of what it reads now."""
        raise NotImplementedError
