"""The differential as a Qt table model: a row a class, with its color and its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from qtpy.QtGui import QColor

from leukoscope.hematology import Differential

__all__ = ["CountsModel", "CountsRow"]

HEADERS = ("Key", "Class", "Counted", "Excl.", "%", "95 % CI")
_NOWHERE = QModelIndex()


@dataclass(frozen=True)
class CountsRow:
    """One class in the table; percentages are None where the class is not counted."""

    label: str
    name: str
    color: str
    key: str
    counted: int
    excluded: int
    percent: float | None
    low: float | None
    high: float | None

    def cells(self) -> tuple[str, ...]:
        """Give the texts of the columns."""
        percent = "" if self.percent is None else f"{self.percent:.1f}"
        interval = "" if self.low is None or self.high is None else f"{self.low:.1f}–{self.high:.1f}"
        counted = "" if self.excluded else str(self.counted)
        return self.key.upper(), self.name, counted, str(self.excluded or ""), percent, interval


class CountsModel(QAbstractTableModel):
    """The rows of a differential, every class of the taxonomy with a key among them."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._rows: list[CountsRow] = []

    def show_differential(self, differential: Differential | None, keys: Mapping[str, str] | None = None) -> None:
        """Show other counts, and the label of each key, by default the taxonomy's.

        Rows that stay keep their place, so that a selection and the scroll position do too.
        """
        rows = [] if differential is None else _rows_of(differential, keys)
        if [row.label for row in rows] == [row.label for row in self._rows]:
            before, self._rows = self._rows, rows
            changed = [i for i, (old, new) in enumerate(zip(before, rows, strict=True)) if old != new]
            if changed:  # all at once: the view measures its columns for each signal
                self.dataChanged.emit(self.index(changed[0], 0), self.index(changed[-1], len(HEADERS) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    @property
    def rows(self) -> list[CountsRow]:
        """The rows, top first."""
        return list(self._rows)

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Count the classes."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Count the columns."""
        return 0 if parent.isValid() else len(HEADERS)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Name the columns."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return HEADERS[section]
        return None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give a cell's text, its swatch or its alignment."""
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.cells()[index.column()]
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 1:
            return QColor(row.color)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            left = Qt.AlignmentFlag.AlignLeft if index.column() == 1 else Qt.AlignmentFlag.AlignRight
            center = Qt.AlignmentFlag.AlignHCenter if index.column() == 0 else left
            return center | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole and row.key:
            return f"With the cells layer selected, {row.key.upper()} makes the cell under the mouse: {row.name}"
        return None


def _rows_of(differential: Differential, keys: Mapping[str, str] | None) -> list[CountsRow]:
    taxonomy = differential.taxonomy
    by_label = {label: key for key, label in (taxonomy.by_key() if keys is None else keys).items()}
    found = differential.table()
    columns = [found[name].tolist() for name in ("counted", "excluded", "percent", "ci_low", "ci_high")]
    table = dict(zip(found["label"], zip(*columns, strict=True), strict=True))
    # classes without a cell are listed too: the table is where the keys are looked up
    labels = taxonomy.order([*table, *by_label])
    rows = []
    for label in labels:
        counted, excluded, *percents = table.get(label, (0, 0, nan, nan, nan))
        rows.append(
            CountsRow(
                label,
                taxonomy.name(label),
                taxonomy.color(label),
                by_label.get(label, ""),
                counted,
                excluded,
                *map(_known, percents),
            )
        )
    return rows


def _known(number: float) -> float | None:
    return None if isnan(number) else number
