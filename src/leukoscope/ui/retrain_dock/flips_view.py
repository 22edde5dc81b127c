"""The cells of this case whose class would change, one by one, and in the gallery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from leukoscope.classification.taxonomy import TAXONOMY

from .._state import Session
from ..review import look_at
from ..review_dock.in_gallery import show_in_gallery
from ..review_dock.rows import RowsModel, rows_view
from ..review_dock.tab import button, label

if TYPE_CHECKING:
    from leukotrain.retrain import CaseChange

    from .bench import Outcome

__all__ = ["FlipsView"]

OTHERS = 96  # px, for what would change in other cases


class FlipsView(QWidget):
    """Lists what the new model calls otherwise; a row leads to its cell.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.said = label()
        self.model = RowsModel(("Cell", "Before", "After", "Reviewer says"), left=(1, 2, 3))
        self.table = rows_view(self.model)
        self.table.selectionModel().currentRowChanged.connect(lambda current, _: self._go(current.row()))
        self.table.clicked.connect(lambda index: self._go(index.row()))
        self.gallery = button("Show them in Cells", self._to_gallery, "Only the cells that would change class")
        self.others = label()
        self.rest = QScrollArea()  # a line a case, and there may be many
        self.rest.setFrameShape(QScrollArea.Shape.NoFrame)
        self.rest.setWidgetResizable(True)
        self.rest.setMaximumHeight(OTHERS)
        self.rest.setWidget(self.others)
        layout = QVBoxLayout(self)
        layout.addWidget(self.said)
        layout.addWidget(self.table, stretch=1)
        layout.addWidget(self.gallery)
        layout.addWidget(self.rest)
        self.change: CaseChange | None = None
        self.show_outcome(None)

    def show_outcome(self, outcome: Outcome | None) -> None:
        """Show what would change in the case that is open; of the others a line each."""
        changes: dict[Any, CaseChange] = {}
        if outcome is not None:
            paths = [case.path for case in outcome.plan.every]
            changes = dict(zip(paths, outcome.gate.changes, strict=False))  # none where none were asked for
        whole = self.session.whole
        here = None if whole is None else whole.path
        self.change = changes.pop(here, None) if here is not None else None
        flips = () if self.change is None else self.change.flips
        taxonomy = TAXONOMY if whole is None else whole.taxonomy
        self.model.show_rows(
            [(str(f.cell), taxonomy.name(f.before), taxonomy.name(f.after), taxonomy.name(f.reviewed)) for f in flips],
            swatches={
                (i, column): taxonomy.color(called)
                for i, f in enumerate(flips)
                for column, called in ((1, f.before), (2, f.after), (3, f.reviewed))
                if called
            },
        )
        self.gallery.setEnabled(bool(flips))
        if self.change is not None:
            found = self.change
            said = f"{len(flips):,} of {found.cells:,} cells would change class, {len(found.unreviewed):,} of them not "
            said += "reviewed; what a reviewer said stands, whatever the model. "
            same = found.verdict_before == found.verdict_after
            said += f"Verdict: {found.verdict_before}"
            said += "; the same after." if same else f" before; {found.verdict_after} after."
        elif outcome is None:
            said = "Which cells of this case another model would call otherwise is listed here."
        else:
            said = "This case was not compared: it was not among those chosen, or changes were not asked for."
        self.said.setText(said)
        self.others.setText("\n".join(change.lines()[0] for change in changes.values()))
        self.rest.setVisible(bool(changes))

    def _go(self, row: int) -> None:
        layer = self.session.cells
        if self.change is None or layer is None or not 0 <= row < len(self.change.flips):
            return
        at = self.change.flips[row].cell - 1
        if at < len(layer.data) and set(layer.selected_data) != {at}:
            self.session.viewer.layers.selection.active = layer
            layer.selected_data = {at}  # the gallery follows
            look_at(self.session, at)

    def _to_gallery(self) -> None:
        if self.change is not None:
            show_in_gallery(self.session.viewer, [flip.cell for flip in self.change.flips])
