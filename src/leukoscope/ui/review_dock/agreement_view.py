"""How far two readers agree, and what is decided where they do not."""

from __future__ import annotations

from math import isnan
from typing import Any

from qtpy.QtWidgets import QComboBox, QGroupBox, QLabel, QVBoxLayout

from leukoscope.cases import Case, Comparison
from leukoscope.classification.taxonomy import Taxonomy
from leukoscope.errors import LeukoscopeError
from leukoscope.hematology import Agreement, Kappa, agreement

from .._state import Session
from ..notify import reporting_errors, say
from ..settings import user_settings
from .in_gallery import show_in_gallery
from .rows import RowsModel, rows_view
from .stepper import Stepper
from .tab import button, label, line

__all__ = ["AgreementView"]


class AgreementView(QGroupBox):
    """Two readers compared: κ, each class, the table of both, and their differences to decide.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session) -> None:
        super().__init__("Agreement")
        self.session = session
        self.first, self.second = QComboBox(), QComboBox()
        for box in (self.first, self.second):
            box.currentIndexChanged.connect(lambda *_: self.refresh())
        self.summary = label(bold=True)
        self.classes = RowsModel(("Class", "κ (95 % CI)", "first", "second"))
        self.per_class = rows_view(self.classes)
        self.confusion = RowsModel()
        self.table = rows_view(self.confusion)
        self.table.setToolTip("Cells by the first reader's class (row) and the second's (column)")
        self.differ = label()
        self.gallery = button("Show in Cells", self._to_gallery, "Only the cells on which they differ, in the gallery")
        self.decide = button("Decide one by one", self._begin, "Go through those not decided")
        self.stepper = Stepper(session)
        self.stepper.labeled.connect(self._decide)
        self.stepper.confirmed.connect(self._decide)
        self.said = label()
        self.found: Comparison | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 8, 4, 4)
        layout.addWidget(line(self.first, QLabel("and"), self.second))
        layout.addWidget(self.summary)
        layout.addWidget(self.per_class, stretch=2)
        layout.addWidget(self.table, stretch=2)
        layout.addWidget(line(self.differ, self.gallery, self.decide))
        layout.addWidget(self.said)
        layout.addWidget(self.stepper)

    def on_case(self) -> None:
        """Forget where it was, and what was to be decided."""
        self.stepper.current = None
        self.session.decides = lambda _: ()

    def refresh(self) -> None:
        """Compare the two who are chosen."""
        case = None if self.session.reading is not None else self.session.case
        self._list([] if case is None else list(case.readers))
        self.found, says = None, ""
        if case is not None:
            try:
                self.found = self._compare(case)
            except LeukoscopeError as error:
                says = str(error)
        self._show(case, says)

    def _list(self, names: list[str]) -> None:
        for i, box in enumerate((self.first, self.second)):
            if [box.itemText(j) for j in range(box.count())] != names:
                chosen = box.currentText()
                box.blockSignals(True)
                box.clear()
                box.addItems(names)
                box.setCurrentIndex(names.index(chosen) if chosen in names else min(i, len(names) - 1))
                if i and box.currentIndex() == self.first.currentIndex():
                    box.setCurrentIndex(next((j for j in range(len(names)) if j != box.currentIndex()), -1))
                box.blockSignals(False)

    def _compare(self, case: Case) -> Comparison | None:
        first, second = self.first.currentText(), self.second.currentText()
        return None if first == second else case.compare(first, second)

    def _show(self, case: Case | None, says: str) -> None:
        found = self.found
        whole = case is not None and found is not None and bool(found.cells)
        for widget in (self.per_class, self.table, self.differ, self.gallery, self.decide):
            widget.setVisible(whole)
        if case is None or found is None or not found.cells:
            few = "It takes two who have read the same cells: begin a blinded reading above."
            self.summary.setText(says or few)
            self._step(())
            return
        result = agreement(found.labels_a, found.labels_b, case.taxonomy)
        low, high = result.interval
        self.summary.setText(
            f"κ {_kappa(result.kappa)}; the same class on {result.agreed} of {result.cells} cells, "
            f"{result.percent:.0f} % ({low:.0f}–{high:.0f})"
        )
        self._tables(result, case.taxonomy, found)
        number, left = len(found.disagreements), len(found.undecided)
        self.differ.setText(f"They differ on {number}, {left} not decided." if number else "They differ on none.")
        self.gallery.setEnabled(bool(number))
        self.decide.setEnabled(bool(number))
        self._step(found.disagreements)

    def _tables(self, result: Agreement, taxonomy: Taxonomy, found: Comparison) -> None:
        names = [taxonomy.name(one) for one in result.labels]
        colors = {(i, 0): taxonomy.color(one) for i, one in enumerate(result.labels)}
        rows = []
        for i, one in enumerate(result.labels):
            kappa, counts = result.per_class[one], result.table
            figures = (counts[i].sum(), counts[:, i].sum())
            rows.append((names[i], _kappa(kappa), *map(str, figures)))
        headers = ("Class", "κ (95 % CI)", found.reader_a, found.reader_b)
        self.classes.show_rows(rows, headers, swatches=colors)
        # columns are headed by the classes' keys, which stand before their names below
        keys = {one: key.upper() for key, one in self.session.keys.items()}
        short = [keys.get(one, one[:3]) for one in result.labels]
        body = [
            (f"{key}  {name}", *(str(count) if count else "·" for count in row))
            for key, name, row in zip(short, names, result.table.tolist(), strict=True)
        ]
        self.confusion.show_rows(body, (f"{found.reader_a} ↓  {found.reader_b} →", *short), swatches=colors)

    # -- deciding -------------------------------------------------------------------------------------------------

    def _step(self, cells: tuple[int, ...]) -> None:
        found = self.found
        self.stepper.show_cells(cells, {} if found is None else found.adjudicated)
        self.stepper.setVisible(bool(cells) and self.stepper.current is not None)
        self.said.setVisible(self.stepper.current is not None)
        case, cell = self.session.case, self.stepper.current
        if found is None or case is None or cell is None:
            return
        a, b = found.pairs[found.cells.index(cell)]
        name = case.taxonomy.name
        decided = f"; decided: {name(found.adjudicated[cell])}" if cell in found.adjudicated else ""
        self.said.setText(f"{found.reader_a}: {name(a)}; {found.reader_b}: {name(b)}{decided}")

    def _begin(self) -> None:
        self.stepper.setVisible(True)
        self.stepper.next()
        if self.stepper.current is None and self.stepper.cells:
            self.stepper.go(self.stepper.cells[0])  # all decided: to look at, or decide otherwise
        self.refresh()
        self.stepper.setFocus()

    def _decide(self, cell: int, given: str = "") -> None:
        case, found = self.session.case, self.found
        if case is None or found is None:
            return
        with reporting_errors():
            given = given or case.labels([cell])[cell]
            readers = (found.reader_a, found.reader_b)
            case.relabel([cell], given, reviewer=user_settings().reviewer, adjudicates=readers)
            self.refresh()
            self.stepper.advance([cell])
            self.refresh()

    def _to_gallery(self) -> Any:
        found = self.found
        if found is None:
            return
        shown = show_in_gallery(self.session.viewer, found.disagreements).controls.ids
        cells, readers, text = set(found.disagreements), (found.reader_a, found.reader_b), shown.text()

        def decides(ids: list[int]) -> tuple[str, ...]:
            try:
                return readers if shown.text() == text and cells.issuperset(ids) else ()
            except RuntimeError:  # Qt has deleted the gallery
                return ()

        self.session.decides = decides
        say(f"Until Cells shows others, a label given to these decides between {' and '.join(readers)}.")


def _kappa(found: Kappa) -> str:
    if isnan(found.value):
        return "– (one class only)"
    return f"{found.value:.2f}" if isnan(found.low) else f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})"
