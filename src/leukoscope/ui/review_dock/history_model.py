"""The log of a case as a Qt table, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from qtpy.QtGui import QFont

from leukoscope.classification.taxonomy import TAXONOMY, Taxonomy

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["HistoryModel"]

COLUMNS = {"at": "When (UTC)", "who": "Who", "kind": "What", "cells": "Cells", "is": "Was → is"}
_NOWHERE = QModelIndex()


class HistoryModel(QAbstractTableModel):
    """The rows of `Case.history`; texts are made for those in sight only."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._columns: dict[str, list[Any]] = {}
        self._taxonomy = TAXONOMY
        self._count = 0

    def show_history(self, table: pd.DataFrame | None, taxonomy: Taxonomy = TAXONOMY) -> None:
        """Show another log, or the same grown longer: rows that are there keep their place under the eye."""
        self._taxonomy = taxonomy
        columns = {} if table is None else {str(name): table[name].tolist() for name in table}
        before, now = self._columns.get("id", []), columns.get("id", [])
        grown = len(now) - len(before)
        if before and grown >= 0 and now[: len(before)] == before:
            if grown:
                self.beginInsertRows(QModelIndex(), 0, grown - 1)
                self._columns, self._count = columns, len(now)
                self.endInsertRows()
            self._columns = columns
            if now:  # an older event may be undone now
                self.dataChanged.emit(self.index(0, 0), self.index(len(now) - 1, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self._columns, self._count = columns, len(now)
        self.endResetModel()

    def event_id(self, row: int) -> int:
        """Give the number of the event in a row."""
        return int(self._columns["id"][self._count - 1 - row])

    def _change(self, at: int) -> str:
        was, now = (self._named(self._columns[name][at]) for name in ("was", "is"))
        if was == now:
            return f"✓ {now}"
        return f"{was} → {now}" if was else now

    def _named(self, text: str) -> str:
        return self._taxonomy.name(text) if text in self._taxonomy else text

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Count the events."""
        return 0 if parent.isValid() else self._count

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Count the columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Name the columns."""
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return list(COLUMNS.values())[section]
        return None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give a text; struck out where it stands undone."""
        if not index.isValid():
            return None
        name = list(COLUMNS)[index.column()]
        at = self._count - 1 - index.row()
        if role == Qt.ItemDataRole.DisplayRole:
            value = str(self._columns[name][at])
            return value[:16].replace("T", " ") if name == "at" else self._change(at) if name == "is" else value
        if role == Qt.ItemDataRole.ToolTipRole:
            model, version = self._columns["model"][at], self._columns["version"][at]
            undone = "; undone since" if self._columns["undone"][at] else ""
            return (
                f"{self._columns['at'][at]}: {self._change(at)}\n"
                f"Event {self._columns['id'][at]}; model {model or 'none'}, Leukoscope {version or 'not noted'}{undone}"
            )
        if role == Qt.ItemDataRole.FontRole and self._columns["undone"][at]:
            font = QFont()
            font.setStrikeOut(True)
            return font
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if name == "cells" else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None
