"""The cells that are shown, in their order, as a Qt list model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, Qt

from leukoscope.classification.taxonomy import TAXONOMY, Taxonomy

from .cells import CellTable, Filters, Rows

__all__ = ["CELL_ROLE", "GalleryModel"]

CELL_ROLE = Qt.ItemDataRole.UserRole
"""The id of a cell."""

MANY_SPANS = 200  # more separate changes than this are told as one
_NOWHERE = QModelIndex()
_FLAGS = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsDragEnabled


class GalleryModel(QAbstractListModel):
    """A case's cells, filtered and sorted.

    A relabeled cell stays in its place, whatever the filters and the order say, until these are applied again: nothing
    jumps under the reader's eyes, and undo is in sight.

    Attributes
    ----------
    table : CellTable or None
        The cells; None without a case.
    order : int array
        The table's row of each item.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.table: CellTable | None = None
        self.taxonomy: Taxonomy = TAXONOMY
        self.order: Rows = np.empty(0, np.intp)
        self._place: Rows = np.empty(0, np.intp)
        self.moved: set[int] = set()

    def show_cells(self, table: CellTable | None, order: Rows | None = None, taxonomy: Taxonomy = TAXONOMY) -> None:
        """Show other cells, or the same in another order."""
        self.beginResetModel()
        self.table = table
        self.taxonomy = taxonomy
        self.order = np.empty(0, np.intp) if order is None else order
        self._place = np.full(0 if table is None else len(table), -1, np.intp)
        self._place[self.order] = np.arange(len(self.order))
        self.moved.clear()
        self.endResetModel()

    def arrange(self, filters: Filters, by: str, backward: bool = False, by_class: bool = True) -> None:
        """Filter and sort the cells anew."""
        if self.table is not None:
            rows = self.table.sorted(self.table.chosen(filters), by, backward, by_class)
            self.show_cells(self.table, rows, self.taxonomy)

    def relabeled(self, cells: Iterable[int], labels: list[str], reviewed: npt.NDArray[np.bool_]) -> None:
        """Take in new labels of cells, by id; only their items are told to have changed."""
        if self.table is None:
            return
        rows = np.fromiter(cells, np.intp) - 1
        self.table.assign(rows, labels, reviewed)
        places = np.sort(self._place[rows])
        places = places[places >= 0]
        if not len(places):
            return
        self.moved.update((self.order[places] + 1).tolist())
        starts = np.flatnonzero(np.diff(places, prepend=-2) > 1)
        spans = list(zip(places[starts], places[np.append(starts[1:], len(places)) - 1], strict=True))
        if len(spans) > MANY_SPANS:
            spans = [(places[0], places[-1])]
        for first, last in spans:
            self.dataChanged.emit(self.index(int(first)), self.index(int(last)))

    def cell(self, item: int) -> int:
        """Give the id of the cell at an item."""
        return int(self.order[item]) + 1

    def cells(self, items: npt.NDArray[Any]) -> list[int]:
        """Give the ids of the cells at items."""
        ids: list[int] = (self.order[items] + 1).tolist()
        return ids

    def places(self, cells: Iterable[int]) -> Rows:
        """Find the items of cells, ascending; cells that are not shown are left out."""
        rows = np.fromiter(cells, np.intp) - 1
        places = self._place[rows[(rows >= 0) & (rows < len(self._place))]]
        shown: Rows = np.sort(places[places >= 0])
        return shown

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Count the cells that are shown."""
        return 0 if parent.isValid() else len(self.order)

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Let every cell be selected and dragged."""
        return _FLAGS if index.isValid() else Qt.ItemFlag.NoItemFlags

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give a cell's id, or what a tool tip and a screen reader say of it."""
        if not index.isValid() or self.table is None:
            return None
        if role == CELL_ROLE:
            return self.cell(index.row())
        if role not in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.DisplayRole):
            return None
        row = int(self.order[index.row()])
        name, probability = self.taxonomy.name(self.table.label(row)), self.table.probability[row]
        known = "not a class of the model" if np.isnan(probability) else f"{probability:.0%} by the model"
        like = np.nan if self.table.likeness is None else self.table.likeness[row]
        alike = f", likeness {like:.2f}" if np.isfinite(like) else ", asked about" if like > 0 else ""
        return f"Cell {row + 1}: {name}, {known}{', reviewed' if self.table.reviewed[row] else ''}{alike}"
