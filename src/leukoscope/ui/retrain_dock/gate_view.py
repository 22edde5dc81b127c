"""The gate: before and after on the same cells, why a model is refused, and who has it written nevertheless."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from leukoscope.classification.taxonomy import TAXONOMY

from ..marks import HOLDS, WORSE, marked
from ..review_dock.rows import RowsModel
from ..review_dock.tab import button, label, line
from .fitted_table import FittedTable

if TYPE_CHECKING:
    from leukotrain.retrain import Figure

    from .bench import Outcome

__all__ = ["GateView"]

HEADERS = ("Figure, %", "Before", "After", "Change", "Cells")


class GateView(QWidget):
    """Shows what the gate found."""

    overruled = Signal(str)
    """Somebody, by name, takes it on that a refused model is written."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.verdict = label(bold=True)
        self.on = label()
        self.model = RowsModel(HEADERS)
        self.table = FittedTable(self.model)
        self.notes = label()
        self.name = QLineEdit()
        self.name.setPlaceholderText("your name: the model will carry it")
        self.overrule = button("Write it nevertheless", self._overrule, "The gate's refusal and your name are kept")
        self.overruling = line(self.name, self.overrule)
        self.name.textChanged.connect(lambda text: self.overrule.setEnabled(bool(text.strip())))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 4, 2, 4)  # the room is the table's
        for widget in (self.verdict, self.overruling, self.on):
            layout.addWidget(widget)
        layout.addWidget(self.table, stretch=1)
        layout.addWidget(self.notes)
        self.show_outcome(None)

    def show_outcome(self, outcome: Outcome | None) -> None:
        """Show another outcome, or none."""
        self.name.clear()
        self.overrule.setEnabled(False)
        self.overruling.setVisible(outcome is not None and outcome.folder is None)
        if outcome is None:
            self.verdict.setText("Nothing has been measured yet.")
            self.verdict.setStyleSheet("font-weight: 600;")
            self.on.setText("Before and after are compared on cells that neither model has learned from.")
            self.model.show_rows(())
            self.notes.clear()
            return
        gate = outcome.gate
        reasons = "; ".join(gate.reasons)
        if gate.passed:
            said = "Passed: the new model is no worse."
        elif outcome.folder is None:
            said = f"Refused, and not written: {reasons}."
        else:
            said = f"Refused ({reasons}); overruled by {outcome.overruled_by}."
        self.verdict.setText(said)
        self.verdict.setStyleSheet(marked(HOLDS if gate.passed else WORSE))
        groups = f"{gate.groups} group{'s' if gate.groups != 1 else ''}"
        self.on.setText(
            f"Measured on {gate.on}: {gate.cells:,} cells, {groups}. In brackets, 95 % intervals. The gate judges by "
            "the figures with a square: green holds, red is worse."
        )
        figures = (*gate.figures, *gate.by_class)
        judged = [i for i, f in enumerate(figures) if f.judged and np.isfinite(f.change[0])]
        swatches = {(i, 0): WORSE if figures[i].worse else HOLDS for i in judged}
        self.model.show_rows(list(map(_row, figures)), swatches=swatches)
        self.notes.setText("\n".join(gate.notes))
        self.notes.setVisible(bool(gate.notes))

    def _overrule(self) -> None:
        self.overruled.emit(self.name.text().strip())


def _row(figure: Figure) -> tuple[str, ...]:
    what, _, of = figure.name.rpartition(", ")
    name = f"{what}, {TAXONOMY.name(of).lower()}" if what else figure.name
    name = name.replace("accuracy of the majority,", "accuracy if all were")
    change = _percent(figure.change, "+.0f", "\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}")
    return name, _percent(figure.before), _percent(figure.after), change, f"{figure.cells:,}"


def _percent(figure: tuple[float, float, float], form: str = ".0f", to: str = "–") -> str:
    value, low, high = (100 * part for part in figure)
    if not np.isfinite(value):
        return "–"
    between = f" ({low:{form}}{to}{high:{form}})" if np.isfinite(low) else ""
    return f"{value:{form}}{between}".replace("-", "−")
