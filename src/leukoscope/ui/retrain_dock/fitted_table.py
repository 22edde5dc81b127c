"""A table that breaks its texts where there is no room for them side by side."""

from __future__ import annotations

from typing import Any

from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QHeaderView, QTableView, QWidget

from ..review_dock.rows import RowsModel, rows_view

__all__ = ["FittedTable"]

PADDING = 10  # px that a style keeps free beside a cell's text


class FittedTable(QTableView):
    """Shows rows without a horizontal scroll bar: a value's interval stands below it where the table is narrow.

    Parameters
    ----------
    model : RowsModel
        Its first column takes what room the others leave.
    """

    def __init__(self, model: RowsModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        rows_view(model, view=self)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.horizontalHeader().setStretchLastSection(False)
        self.setWordWrap(True)
        model.modelReset.connect(self.fit)

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Share out the new width."""
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Give each column its texts' width, or its longest word's where that is too much."""
        model: Any = self.model()
        room, columns = self.viewport().width(), range(1, model.columnCount())
        first, others = self.sizeHintForColumn(0), [self._whole(column) for column in columns]
        if first + sum(others) > room:
            others = [self._longest_word(column) for column in columns]
        for column, width in zip(columns, others, strict=True):
            self.setColumnWidth(column, width)
        self.setColumnWidth(0, max(room - sum(others), 0))
        self.resizeRowsToContents()

    def _whole(self, column: int) -> int:
        return max(self.sizeHintForColumn(column), self.horizontalHeader().sectionSizeHint(column))

    def _longest_word(self, column: int) -> int:
        model: Any = self.model()
        words = {word for row in model.rows for word in row[column].split(" ")}
        widest = max(map(self.fontMetrics().horizontalAdvance, words), default=0)
        return max(widest + PADDING, self.horizontalHeader().sectionSizeHint(column))
