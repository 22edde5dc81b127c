"""Two readers of one case: what each said, and where they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import CaseError
from ._outlining import OutlinedCase
from ._reviewing import one_line
from ._second import SecondReader

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ComparedCase", "Comparison"]


@dataclass(frozen=True)
class Comparison:
    """What two readers said of the cells that both have labeled.

    Parameters
    ----------
    reader_a, reader_b : str
        Their names.
    cells : tuple of int
        The shown cells that both have labeled, ascending.
    labels_a, labels_b : tuple of str
        What each said, a label for each of the cells.
    adjudicated : mapping of int to str
        What was decided of the cells on which they differ, where it was.
    """

    reader_a: str
    reader_b: str
    cells: tuple[int, ...]
    labels_a: tuple[str, ...]
    labels_b: tuple[str, ...]
    adjudicated: Mapping[int, str]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The two labels of each cell."""
        return tuple(zip(self.labels_a, self.labels_b, strict=True))

    @property
    def disagreements(self) -> tuple[int, ...]:
        """The cells on which they differ."""
        return tuple(cell for cell, (a, b) in zip(self.cells, self.pairs, strict=True) if a != b)

    @property
    def undecided(self) -> tuple[int, ...]:
        """The cells on which they differ, and of which nothing was decided."""
        return tuple(cell for cell in self.disagreements if cell not in self.adjudicated)


class ComparedCase(OutlinedCase):
    """What several readers do with a case, for `leukoscope.cases.Case`."""

    def second_reader(self, name: str, hide_model: bool = False) -> SecondReader:
        """Return the case in the eyes of a reader who does not see others' labels, and whose own change nothing shown.

        Parameters
        ----------
        name : str
            The reader's name. Going on under the same name goes on with the same readings.
        hide_model : bool
            Keep the model's labels from the reader, too.

        Raises
        ------
        CaseError
            If the name is empty.
        """
        line = one_line(name)
        if not line:
            raise CaseError("a second reader needs a name", "Give one: the labels are kept under it.", self.path)
        return SecondReader(self, line, hide_model)

    @property
    def readings(self) -> pd.DataFrame:
        """The blinded readers' labels that stand.

        Columns: cell_id (<NA> where the cell was removed, or a new analysis did not find it), reader, label, at (ISO
        8601, UTC).
        """
        import pandas as pd

        with self._store.mutex:
            hidden = self._review.edits.hidden
            homes = {track: None if home in hidden else home for track, home in self._review.home.items()}
            rows = [
                (homes[track], name, stack[-1].label, stack[-1].at)
                for name, hand in sorted(self._review.readers.items())
                for track, stack in sorted(hand.labels.items())
                if stack
            ]
        return pd.DataFrame(rows, columns=["cell_id", "reader", "label", "at"]).astype({"cell_id": "Int64"})

    @property
    def readers(self) -> tuple[str, ...]:
        """Everybody who has given a label that stands, blinded or not, by name."""
        with self._store.mutex:
            names = {name for name, hand in self._review.readers.items() if any(hand.labels.values())}
            names |= {event.reviewer for stack in self._review.labels.values() for event in stack if _own(event.detail)}
        return tuple(sorted(names))

    def read_by(self, name: str) -> dict[int, str]:
        """Return what somebody said of the shown cells, by id, whether or not the case shows it.

        That is a blinded reader's labels; of somebody who was none, the latest given to each cell as a reviewer and not
        taken back, without those that adjudicated between others.
        """
        with self._store.mutex:
            hand = self._review.readers.get(name)
            if hand and any(hand.labels.values()):
                return {cell: event.label for cell, event in sorted(self._review.reviewed(hand).items())}
            found = {}
            for cell in sorted(self._review.reviewed()):
                for event in self._review.stack(cell):
                    if event.reviewer == name and _own(event.detail):
                        found[cell] = event.label
            return found

    def compare(self, reader_a: str, reader_b: str) -> Comparison:
        """Compare what two readers said of the cells that both have labeled.

        Settle a difference with ``case.relabel(cell, label, reviewer, adjudicates=(reader_a, reader_b))``: neither
        reader's own label is touched by it.

        Raises
        ------
        CaseError
            If it is one reader, or one has labeled nothing.
        """
        if reader_a == reader_b:
            raise CaseError(f"it takes two readers to compare, not {reader_a} twice", "Name another.", self.path)
        with self._store.mutex:
            said = {name: self.read_by(name) for name in (reader_a, reader_b)}
            for name, labels in said.items():
                if not labels:
                    known = ", ".join(self.readers) or "nobody yet"
                    raise CaseError(f"{name} has labeled no cell of this case", f"Readers are: {known}.", self.path)
            a, b = said.values()
            cells = tuple(cell for cell in a if cell in b)
            decided = {}
            for cell in cells:
                for event in self._review.stack(cell):
                    if event.detail.get("adjudicates") == sorted(said):
                        decided[cell] = event.label
        labels_a, labels_b = (tuple(labels[cell] for cell in cells) for labels in (a, b))
        differ = {cell: decided[cell] for cell in decided if a[cell] != b[cell]}
        return Comparison(reader_a, reader_b, cells, labels_a, labels_b, differ)


def _own(detail: Mapping[str, object]) -> bool:
    return not detail.get("adjudicates")
