"""The log of the case, to look up who said what of which cell and when."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex
from qtpy.QtWidgets import QAbstractItemView, QHeaderView

from leukoscope.cases import Case, Event

from .._napari import camera
from .._state import Session
from ..review import look_at
from .history_model import HistoryModel
from .rows import rows_view
from .tab import Tab, label

__all__ = ["HistoryTab"]

MOST = 5000  # as in the gallery: napari takes long to ring more


class HistoryTab(Tab):
    """Every event, newest first; a click selects its cells."""

    title = "History"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.model = HistoryModel(self)
        self.table = rows_view(self.model)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setToolTip("")
        # widths once, not of every row: the log may be long
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        for column, width in enumerate((122, 62, 52, 38)):
            self.table.setColumnWidth(column, width)
        self.table.clicked.connect(self._pick)
        self.said = label()
        self.page.addWidget(self.table, stretch=1)
        self.page.addWidget(self.said)

    def on_case(self) -> None:
        """Begin anew: another case has another log."""
        self.model.show_history(None)

    def compute(self) -> None:
        """Show what was added."""
        case = None if self.session.reading is not None else self.session.case
        if case is None:
            self.model.show_history(None)
        else:
            self.model.show_history(case.history, case.taxonomy)
        count = self.model.rowCount()
        self.said.setText(
            f"{count:,} events, newest first; ✓: confirmed; struck out: undone since. Click one to select its cells."
            if count
            else "Nothing has happened to this case since it was analyzed."
            if case is not None
            else "No case is open."
        )

    def _pick(self, index: QModelIndex) -> None:
        case, layer = self.session.case, self.session.cells
        if case is None or layer is None:
            return
        events = {event.id: event for event in case.events}
        event = events[self.model.event_id(index.row())]
        cells = _cells(event, events, case)
        if cells is None:
            self.said.setText("That was about cells of an earlier analysis, which are no longer shown.")
            return
        rows = {cell - 1 for cell in cells if cell <= len(layer.data) and layer.shown[cell - 1]}
        self.session.viewer.layers.selection.active = layer
        layer.selected_data = rows if len(rows) <= MOST else set()
        if len(rows) == 1:
            look_at(self.session, next(iter(rows)))
        elif rows:
            middle = layer.data[sorted(rows)].mean(axis=0)
            camera(self.session.viewer).center = layer.data_to_world(middle)
        selected = "none" if not rows else f"{len(rows):,} cells" if len(rows) > 1 else f"cell {next(iter(rows)) + 1}"
        self.said.setText(
            f"Event {event.id}: {selected} selected."
            if len(rows) <= MOST
            else f"{len(rows):,} cells: too many to select."
        )


def _cells(event: Event, events: dict[int, Event], case: Case) -> list[int] | None:
    """Find the shown cells that an event is about; None where they are of another analysis."""
    if event.kind == "carry":
        return sorted(entry.to for entry in event.carried if entry.to is not None)
    about = event if event.target is None else events.get(event.target, event)
    if about.cells and (case.run is None or about.run != case.run.id):
        return None
    return list(about.cells)
