"""Plain rows as a Qt table: regions, agreement, signatures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from qtpy.QtGui import QColor, QFont
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

__all__ = ["RowsModel", "rows_view"]

_NOWHERE = QModelIndex()


class RowsModel(QAbstractTableModel):
    """Rows of texts under headers, made anew as a whole.

    Parameters
    ----------
    headers : sequence of str
    left : collection of int
        Columns of words; the others hold figures and stand to the right.
    """

    def __init__(self, headers: Sequence[str] = (), left: Sequence[int] = (0,), parent: Any = None) -> None:
        super().__init__(parent)
        self._headers = tuple(headers)
        self._left = frozenset(left)
        self.rows: list[tuple[str, ...]] = []
        self._bold: frozenset[int] = frozenset()
        self._swatches: Mapping[tuple[int, int], str] = {}
        self._side: tuple[str, ...] = ()

    def show_rows(
        self,
        rows: Sequence[tuple[str, ...]],
        headers: Sequence[str] | None = None,
        bold: Sequence[int] = (),
        swatches: Mapping[tuple[int, int], str] | None = None,
        side: Sequence[str] = (),
    ) -> None:
        """Show other rows; `bold` ones stand out, `swatches` are colors by row and column, `side` names the rows."""
        self.beginResetModel()
        self.rows = list(rows)
        self._headers = self._headers if headers is None else tuple(headers)
        self._bold = frozenset(bold)
        self._swatches = swatches or {}
        self._side = tuple(side)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Count the rows."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | QPersistentModelIndex = _NOWHERE) -> int:  # noqa: N802
        """Count the columns."""
        return 0 if parent.isValid() else len(self._headers)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Name columns and rows."""
        names = self._headers if orientation == Qt.Orientation.Horizontal else self._side
        return names[section] if role == Qt.ItemDataRole.DisplayRole and section < len(names) else None

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give a cell's text, weight, swatch or alignment."""
        if not index.isValid():
            return None
        row, column = index.row(), index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return self.rows[row][column]
        if role == Qt.ItemDataRole.FontRole and row in self._bold:
            font = QFont()
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.DecorationRole and (row, column) in self._swatches:
            return QColor(self._swatches[row, column])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if column in self._left else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


def rows_view(model: Any, parent: QWidget | None = None, view: QTableView | None = None) -> QTableView:
    """Show a model's rows, whole rows selectable, the last column as wide as there is room; in a view of one's own."""
    view = QTableView(parent) if view is None else view
    view.setModel(model)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    view.setWordWrap(False)
    view.verticalHeader().setVisible(False)
    view.verticalHeader().setDefaultSectionSize(22)
    header = view.horizontalHeader()
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setStretchLastSection(True)
    header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
    view.setMinimumHeight(80)
    return view
