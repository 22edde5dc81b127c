"""Several cases of one patient: the blasts by date, and what has changed."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from qtpy.QtCore import QDate, QModelIndex, QPersistentModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QFileDialog, QLabel

from leukoscope.cases import open_case
from leukoscope.classification.taxonomy import BLAST, TAXONOMY
from leukoscope.errors import LeukoscopeError
from leukoscope.hematology import Change, load_profile, profile_names

from .._state import Session
from ..notify import reporting_errors, say, show_error_line
from ..settings import user_settings
from .rows import RowsModel, rows_view
from .series_counts import CaseCount, count_case, counted_series
from .series_plot import SeriesPlot
from .tab import Tab, button, label, line

__all__ = ["SeriesTab"]

PROPOSED = {"scan": "Proposed: the day on which the slide was scanned", "file": "Proposed: the day of the slide's file"}
"""Where a day is from that nobody has said, and how that is put; the row is marked with it."""
SET_DAY = "Double-click to set the day the smear was taken: the case keeps it"
HEADERS = ("Smear of", "Blasts, %", "Since first", "Since previous", "Counted", "Slide")


class SeriesModel(RowsModel):
    """The rows of a series; the day of the smear can be set."""

    def __init__(self, tab: SeriesTab) -> None:
        super().__init__(HEADERS, left=(0, 5), parent=tab)
        self._tab = tab

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        """Let the day be edited."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == 0 else flags

    def data(self, index: QModelIndex | QPersistentModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give the day to its editor as a date."""
        if role == Qt.ItemDataRole.EditRole and index.isValid() and index.column() == 0:
            day = self._tab.day(index.row())
            return QDate(day.year, day.month, day.day)
        if role == Qt.ItemDataRole.ToolTipRole and index.isValid() and index.column() == 0:
            proposed = PROPOSED.get(self._tab.day_of(index.row()))
            return f"{proposed}. {SET_DAY}" if proposed else SET_DAY
        return super().data(index, role)

    def setData(  # noqa: N802
        self, index: QModelIndex | QPersistentModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Take another day."""
        if role != Qt.ItemDataRole.EditRole or not index.isValid():
            return False
        self._tab.set_day(index.row(), datetime.date(value.year(), value.month(), value.day()))
        return True


class SeriesTab(Tab):
    """Counts the cases that are chosen, one profile for all."""

    title = "Series"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.paths: list[Path] = []
        self.profile = QComboBox()
        self.profile.addItems(profile_names())
        self.profile.currentTextChanged.connect(lambda *_: self.compute())
        self.model = SeriesModel(self)
        self.table = rows_view(self.model)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.plot = SeriesPlot(TAXONOMY.color(BLAST))
        self.said = label()
        self._rows: list[CaseCount] = []
        here = button("Add this case", self._add_here)
        add = button("Add a case…", self._ask, "The folder of another case, <slide>.leuko")
        self.remove = button("Remove", self._remove, "Leave the selected case out")
        self.page.addWidget(line(here, add, self.remove))
        self.page.addWidget(line(QLabel("Profile"), self.profile))
        self.page.addWidget(self.table, stretch=1)
        self.page.addWidget(self.plot, stretch=2)
        self.page.addWidget(self.said)

    def add(self, path: str | Path) -> None:
        """Add a case, by its folder; one that is in the series already stays once."""
        folder = Path(path).absolute()
        if folder in self.paths:
            say(f"{folder.name} is in the series already.")
            return
        with reporting_errors():
            count_case(folder, self.profile.currentText())
            self.paths.append(folder)
            self.compute()

    def set_day(self, row: int, day: datetime.date) -> None:
        """Say when the smear of a row was taken: an event of its case."""
        path, whole, reviewer = self._rows[row].path, self.session.whole, user_settings().reviewer
        with reporting_errors():
            if whole is not None and whole.path == path:
                whole.set_taken(day, reviewer)
            else:
                with open_case(path) as case:
                    case.set_taken(day, reviewer)
            self.compute()

    def day(self, row: int) -> datetime.date:
        """Give the day of a row."""
        return self._rows[row].day

    def day_of(self, row: int) -> str:
        """Tell where the day of a row is from."""
        return self._rows[row].day_of

    def compute(self) -> None:
        """Count all of them anew."""
        counts = []
        for path in self.paths:
            try:
                counts.append(count_case(path, self.profile.currentText()))
            except LeukoscopeError as error:
                show_error_line(error)
        rows = counted_series(counts)
        self._rows = [count for count, _ in rows]
        self.model.show_rows(
            [
                (
                    dated.day.isoformat() + (f" ({count.day_of})" if count.day_of in PROPOSED else ""),
                    f"{dated.percent:.1f} ({dated.low:.1f}–{dated.high:.1f})",
                    _change(dated.since_first),
                    _change(dated.since_previous),
                    f"{dated.blasts:,} of {dated.cells:,}",
                    count.name + (" ✓" if count.signed else ""),
                )
                for count, dated in rows
            ]
        )
        marks = [threshold.percent for threshold in load_profile(self.profile.currentText()).thresholds]
        self.plot.set_counts([dated for _, dated in rows], marks)
        self.remove.setEnabled(bool(rows))
        self.said.setText(
            "Changes in percentage points with 95 % intervals; * leaves out no change. They take every count for a "
            "random sample: of smears, stains and readers that differ they know nothing. ✓: signed."
            if rows
            else "No case chosen yet: add those of one patient."
        )

    def _add_here(self) -> None:
        if self.session.case is None:
            say("No case is open: analyze a slide, or open a *.leuko folder.")
        else:
            self.add(self.session.case.path)

    def _ask(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Add a case (a folder *.leuko)")
        if path:
            self.add(path)

    def _remove(self) -> None:
        row = self.table.currentIndex().row()
        if 0 <= row < len(self._rows):
            self.paths.remove(self._rows[row].path)
            self.compute()


def _change(found: Change | None) -> str:
    if found is None:
        return "–"
    text = f"{found.points:+.1f} ({found.low:+.1f}…{found.high:+.1f}){'*' if found.certain else ''}"
    return text.replace("-", "−")
