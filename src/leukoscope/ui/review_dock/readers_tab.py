"""A second reader: blinded while reading, compared afterwards."""

from __future__ import annotations

from collections.abc import Collection

from qtpy.QtWidgets import QCheckBox, QGroupBox, QLineEdit, QVBoxLayout

from .._state import Session
from ..notify import reporting_errors
from .agreement_view import AgreementView
from .stepper import CorrectingStepper
from .tab import Tab, button, label, line

__all__ = ["ReadersTab"]


class ReadersTab(Tab):
    """Begins and ends blinded readings, and compares readers."""

    title = "Readers"
    during_reading = True

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the second reader")
        self.hide_model = QCheckBox("hide the model's labels, too")
        self.begin = button("Begin", self._begin, "Show only what this reader may see, everywhere in this window")
        self.end = button("End the reading", self._end, "Show the whole case again")
        self.state = label(bold=True)
        self.progress = label()
        self.stepper = CorrectingStepper(session)
        self.agreement = AgreementView(session)
        group = QGroupBox("Blinded reading")
        layout = QVBoxLayout(group)
        self.ask = line(self.name, self.hide_model, self.begin)
        for widget in (self.state, self.ask, self.progress, self.stepper, self.end):
            layout.addWidget(widget)
        self.page.addWidget(group)
        self.page.addWidget(self.agreement, stretch=1)
        self.page.addStretch(0)

    def on_case(self) -> None:
        """Forget where it was."""
        self.stepper.current = None
        self.agreement.on_case()

    def on_relabeled(self, ids: list[int]) -> None:
        """Go on when the cell at hand was read, by whatever way."""
        if self.session.reading is not None and self.isVisible():
            self.stepper.show_cells(self._to_read(), self._read())
            self.stepper.advance(ids)

    def refresh(self) -> None:
        """Show who reads, and how far, or how far readers agree."""
        case, reading = self.session.case, self.session.reading
        self.begin.setEnabled(case is not None and not case.readonly)
        for widget in (self.end, self.stepper, self.progress):
            widget.setVisible(reading is not None)
        self.ask.setVisible(reading is None)
        self.agreement.setVisible(reading is None)
        if reading is None:
            self.state.setText("" if case is not None else "No case is open.")
            self.state.setVisible(case is None)
            super().refresh()
            return
        labels = (
            "this reader's labels, the model's are hidden"
            if reading.hide_model
            else "this reader's labels and the model's"
        )
        self.state.setText(
            f"{reading.reader.name} is reading. This window shows only {labels}; "
            "the other tabs are closed until the reading ends."
        )
        self.state.setVisible(True)
        cells, done = self._to_read(), self._read()
        self.stepper.show_cells(cells, done)
        of = "of the sample" if reading.whole.sample is not None else "of the case"
        self.progress.setText(f"{sum(cell in done for cell in cells):,} of {len(cells):,} cells {of} read.")

    def compute(self) -> None:
        """Compare the readers anew."""
        if self.session.reading is None:
            self.agreement.refresh()

    def _to_read(self) -> list[int]:
        """List the sample's cells, where there is one: which they are tells nothing of what others said."""
        whole = self.session.whole
        if whole is None:
            return []
        return list(whole.ids if whole.sample is None else whole.sample.cells)

    def _read(self) -> Collection[int]:
        return {} if self.session.reading is None else self.session.reading.reader.read

    def _begin(self) -> None:
        with reporting_errors():
            self.session.read_blinded(self.name.text().strip(), self.hide_model.isChecked())
            self.stepper.next()

    def _end(self) -> None:
        self.session.end_reading()
