"""A second reader's view of a case: their own labels, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from ..classification.taxonomy import UNIDENTIFIED
from ..errors import CaseError
from ..hematology import Differential, Profile
from ._event import by_label
from ._review import Hand
from .records import Event

if TYPE_CHECKING:
    import pandas as pd

    from ._comparing import ComparedCase

__all__ = ["SecondReader"]


class SecondReader:
    """A case in the eyes of a reader who is not told what others said. Made by `Case.second_reader`.

    It has what a view needs of a case, under the same names. The labels are events of the kind "read": they are on disk
    when a call returns, undone and redone by the reader alone, carried to the cells of a new analysis, and they change
    nothing of what the case shows.

    Parameters
    ----------
    case : Case
        The case.
    name : str
        The reader's.
    hide_model : bool
        Keep the model's labels and probabilities from the reader, too: a cell not read yet is "unidentified".

    Attributes
    ----------
    labels_changed : Signal
        Dict of id to label, of the cells that were read.
    """

    labels_changed: ClassVar[Signal] = Signal(object, description="dict of id to label, of the cells that changed")

    def __init__(self, case: ComparedCase, name: str, hide_model: bool = False) -> None:
        self.case, self.name, self.hide_model = case, name, hide_model

    def __repr__(self) -> str:
        return f"<SecondReader {self.name!r} of {self.case!r}>"

    def __len__(self) -> int:
        return len(self.case)

    @property
    def _hand(self) -> Hand:
        return self.case._review.readers.get(self.name) or Hand()

    @property
    def read(self) -> dict[int, str]:
        """The label of each shown cell that the reader has read."""
        with self.case._store.mutex:
            return {cell: event.label for cell, event in sorted(self.case._review.reviewed(self._hand).items())}

    @property
    def cells(self) -> pd.DataFrame:
        """The shown cells as the reader may see them: as `Case.cells`, ``source`` "hidden" where nothing is told."""
        return self._told(self.case._cells_by(self._hand))

    @property
    def all_cells(self) -> pd.DataFrame:
        """The shown and the removed cells as the reader may see them: as `Case.all_cells`."""
        return self._told(self.case._all_cells_by(self._hand))

    def _told(self, table: pd.DataFrame) -> pd.DataFrame:
        if self.hide_model:
            told = [name for name in table.columns if name in ("probability", "entropy") or name.startswith("p_")]
            table[told] = float("nan")  # for cells that were read, too: they would tell what the model said
            unread = table["source"] == "model"
            table.loc[unread, "label"] = UNIDENTIFIED
            table.loc[unread, "source"] = "hidden"
        return table

    def labels(self, ids: Iterable[int] | int) -> dict[int, str]:
        """Return the labels of these shown cells as the reader may see them, by id."""
        with self.case._store.mutex:
            return self.case._labels_by(self.case._known(ids), self._hand, self._unread)

    def reviewed(self, ids: Iterable[int] | int) -> dict[int, Event | None]:
        """Return the reader's reading of each of these shown cells, by id; None where there is none."""
        with self.case._store.mutex:
            hand = self._hand
            return {cell: self.case._review.label(cell, hand) for cell in self.case._known(ids)}

    def counts(self) -> dict[str, int]:
        """Return how many shown cells have each label, as the reader may see them."""
        if not self.hide_model:
            return self.case._counts_by(self._hand)
        with self.case._store.mutex:
            found = {label: len(cells) for label, cells in by_label(self.read).items()}
            unread = len(self) - sum(found.values())
        found[UNIDENTIFIED] = found.get(UNIDENTIFIED, 0) + unread
        return {label: found[label] for label in self.case.taxonomy.order(found) if found[label]}

    def differential(self, profile: str | Profile | None = None) -> Differential:
        """Count the shown cells as the reader may see them."""
        return self.case.count(self.counts(), profile)

    def relabel(self, ids: Iterable[int] | int, label: str) -> Event:
        """Say what cells are; it is on disk when this returns. A signed case may be read, too: nothing of it changes.

        Raises
        ------
        CaseError
            If a cell or the label is unknown, or the case cannot be written.
        """
        with self.case._store.mutex:
            told = self.case._record([self._reading(ids, label)])
        return self._tell(self.case._tell_all(told))[0]

    def confirm(self, ids: Iterable[int] | int) -> tuple[Event, ...]:
        """Say that cells are what they are labeled in the reader's view; one event for each label, all of them or none.

        Raises
        ------
        CaseError
            As `relabel`; also if the model's label of one is kept from the reader.
        """
        with self.case._store.mutex:
            labels = self.labels(ids)
            if not labels:
                raise CaseError("no cell is chosen", "Choose at least one cell to confirm.", self.case.path)
            if self.hide_model and (unread := labels.keys() - self.read.keys()):
                remedy = "Give each a label: the model's is kept from this reader."
                raise CaseError(f"{len(unread)} of the cells have not been read", remedy, self.case.path)
            told = self.case._record([self._reading(cells, label) for label, cells in by_label(labels).items()])
        return self._tell(self.case._tell_all(told))

    def undo(self) -> Event | None:
        """Take back the reader's latest reading that stands; None where there is none."""
        return self._step("undo")

    def redo(self) -> Event | None:
        """Bring back what the reader undid last; None where there is nothing, or more was read since."""
        return self._step("redo")

    def _step(self, kind: str) -> Event | None:
        event = self.case._step(kind, self.name, self._hand, self._unread)
        return self._tell((event,))[0] if event else None

    @property
    def _unread(self) -> str:
        """What a cell not yet read is to the reader; the model's label where it is empty. The events say no more."""
        return UNIDENTIFIED if self.hide_model else ""

    def _reading(self, ids: Iterable[int] | int, label: str) -> Event:
        detail = {"model_hidden": True} if self.hide_model else {}
        return self.case._labeling("read", ids, label, self.name, detail, self._hand, self._unread)

    def _tell(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        for event in events:
            if changed := self.labels(event.became):
                self.labels_changed.emit(changed)
        return events
