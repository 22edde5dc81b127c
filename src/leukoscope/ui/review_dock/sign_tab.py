"""Signing a count, and amending it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QComboBox, QFormLayout, QGroupBox, QLineEdit, QVBoxLayout, QWidget

from leukoscope.cases import Case, Signature
from leukoscope.errors import LeukoscopeError
from leukoscope.hematology import profile_names

from .._state import Session
from ..background import in_background
from ..marks import HOLDS, marked
from ..notify import reporting_errors, say, show_error_line
from ..settings import user_settings
from .hindrances import Hindrance, hindrances
from .in_gallery import show_in_gallery
from .rows import RowsModel, rows_view
from .tab import Tab, button, label, line

__all__ = ["SignTab"]

REVIEWS = {
    "none": "as they are: none must be reviewed",
    "sample": "those of the sample",
    "blasts": "all called blasts",
    "all": "all that are counted",
}


class SignTab(Tab):
    """Says what keeps a count from being signed, signs it, and opens amendments."""

    title = "Sign"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.state = label(bold=True)
        self.reviewer = QLineEdit()
        self.profile = QComboBox()
        self.profile.addItems(profile_names())
        self.review = QComboBox()
        for kind, text in REVIEWS.items():
            self.review.addItem(text, kind)
        self.hinders = label()
        self.show_cells = button(
            "Show them in Cells", self._to_gallery, "Only the cells that keep it from being signed"
        )
        self.sign = button("Sign", self._sign, "Keep the report and the counts as they are now")
        self.reason = QLineEdit()
        self.reason.setPlaceholderText("reason; it stands in every later report")
        self.amend = button("Amend", self._amend, "Labels may change again, until it is signed anew")
        self.model = RowsModel(("Report", "At (UTC)", "By", "Files", "Said"), left=(0, 1, 2, 3, 4))
        self.table = rows_view(self.model)
        self.table.doubleClicked.connect(lambda index: self._open(index.row()))
        self.verify = button("Verify", self.compute, "Compare the files with what was signed")
        self.open = button("Open report", lambda: self._open(self.table.currentIndex().row()))
        self.hindered: list[Hindrance] = []
        self._signatures: Sequence[Signature] = ()
        self._busy = False
        self._build()
        self.profile.currentTextChanged.connect(self._on_profile)
        self.review.currentIndexChanged.connect(lambda *_: self.compute())
        self.reason.textChanged.connect(lambda *_: self._enable())
        self.reviewer.textChanged.connect(lambda *_: self._enable())

    def _build(self) -> None:
        self.signing = QWidget()
        form = QFormLayout(self.signing)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Who", self.reviewer)
        form.addRow("Profile", self.profile)
        form.addRow("Reviewed", self.review)
        form.addRow(self.hinders)
        form.addRow(line(self.show_cells, self.sign))
        self.amending = line(self.reason, self.amend)
        kept = QGroupBox("Signed reports")
        layout = QVBoxLayout(kept)
        layout.addWidget(self.table)
        layout.addWidget(line(self.verify, self.open))
        for widget in (self.state, self.signing, self.amending):
            self.page.addWidget(widget)
        self.page.addWidget(kept, stretch=1)
        self.page.addWidget(
            label("For research use only. No cryptographic signature: it shows accidents, not forgery.")
        )

    def on_case(self) -> None:
        """Take the case's profile, and what that asks for."""
        case = self.session.whole
        self.reviewer.setText(user_settings().reviewer)
        self.reason.clear()
        self.model.show_rows(())
        if case is not None:
            wanted = case.settings.profile
            if self.profile.findText(wanted) < 0:
                self.profile.addItem(wanted)
            self.profile.setCurrentText(wanted)
            self._on_profile()

    def compute(self) -> None:
        """See what hinders, and whether the signed files are as they were."""
        case = self.session.case
        if case is None or self.session.reading is not None:
            self.state.setText("No case is open.")
            self.state.setStyleSheet("")
            self.hindered = [Hindrance("")]
            for widget in (self.signing, self.amending):
                widget.setEnabled(False)
            return
        self.signing.setEnabled(not self._busy)
        self.amending.setEnabled(not self._busy)
        try:
            profile = case.profile(self.profile.currentText())
            self.hindered = hindrances(case, profile, self.review.currentData())
        except LeukoscopeError as error:
            show_error_line(error)
            self.hindered = [Hindrance(str(error))]
        self._show(case)

    def _show(self, case: Case) -> None:
        signed, amendments = case.signed, case.amendments
        if signed is not None:
            self.state.setText(
                f"✓ Signed by {signed.reviewer}, {_when(signed.at)}: report {signed.number}. Labels stay as they are."
            )
        elif amendments and case.signatures:
            last = amendments[-1]
            self.state.setText(f"Amendment {last.detail['number']} is open ({last.reviewer}: {last.detail['reason']}).")
        else:
            self.state.setText("Not signed.")
        self.state.setStyleSheet(marked(HOLDS) if signed is not None else "font-weight: 600;")
        self.signing.setVisible(signed is None)
        self.amending.setVisible(signed is not None)
        self.hinders.setText("\n".join(f"• {one.said}" for one in self.hindered) or "Nothing hinders.")
        self.show_cells.setVisible(any(one.cells for one in self.hindered))
        self._signatures = case.signatures
        rows = []
        for signature in self._signatures:
            wrong = "; ".join(signature.verify()) or "as signed"
            rows.append((str(signature.number), _when(signature.at), signature.reviewer, wrong, signature.verdict))
        strays = [wrong for wrong in case.verify() if "of no signature" in wrong]
        rows += [("", "", "", wrong, "") for wrong in strays]
        self.model.show_rows(rows, bold=[i for i, row in enumerate(rows) if row[3] != "as signed"])
        self._enable()

    def _enable(self) -> None:
        self.sign.setEnabled(not self.hindered and bool(self.reviewer.text().strip()) and not self._busy)
        self.amend.setEnabled(bool(self.reason.text().strip()) and not self._busy)
        self.open.setEnabled(bool(self.model.rows))

    def _on_profile(self, *_: Any) -> None:
        case = self.session.whole
        with reporting_errors():
            if case is not None:
                self.review.setCurrentIndex(self.review.findData(case.profile(self.profile.currentText()).review))
        self.refresh()

    # -- what is done ---------------------------------------------------------------------------------------------

    def _sign(self) -> None:
        case = self.session.case
        if case is None:
            return
        who, profile, review = self.reviewer.text().strip(), self.profile.currentText(), self.review.currentData()

        def show(signature: Signature) -> None:
            if self.session.case is case:
                self.session.caught_up()
            say(f"Signed: report {signature.number} is in {signature.folder}")

        self._set_busy(True)
        in_background(lambda: case.sign(who, profile, review), show, "Signing", lambda: self._set_busy(False))

    def _amend(self) -> None:
        case = self.session.case
        if case is not None:
            with reporting_errors():
                case.amend(self.reviewer.text().strip() or user_settings().reviewer, self.reason.text().strip())
                self.reason.clear()

    def _set_busy(self, busy: bool) -> None:
        self._busy = busy
        self.sign.setText("Signing…" if busy else "Sign")
        self.signing.setEnabled(not busy)
        self._enable()
        if not busy:
            self.compute()

    def _open(self, row: int) -> None:
        if self._signatures:
            signature = self._signatures[row if 0 <= row < len(self._signatures) else -1]
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(signature.folder / "report.html")))

    def _to_gallery(self) -> None:
        show_in_gallery(self.session.viewer, {cell for one in self.hindered for cell in one.cells})


def _when(at: str) -> str:
    return at[:16].replace("T", " ")
