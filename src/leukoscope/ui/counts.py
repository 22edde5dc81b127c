"""The Counts dock: the blasts and their interval beside the picture, the differential, the ledger, undo and export."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from leukoscope.classification.taxonomy import BLAST, TAXONOMY
from leukoscope.errors import LeukoscopeError
from leukoscope.hematology import Differential, Finding, cells_to_decide, profile_names

from ._state import Session, session_of
from ._ties import Ties
from .counts_table import CountsModel
from .docks import Docked
from .export import ask_and_export
from .interval_bar import IntervalBar
from .keys import alike_key
from .marks import HOLDS, marked
from .notify import reporting_errors, show_error_line
from .review import redo, undo
from .settings import user_settings

__all__ = ["CountsWidget"]

REFRESH_MS = 250  # how long changes are gathered before the table is drawn again


class CountsWidget(Docked):
    """The counts of the case that a viewer shows; follows every analysis and correction.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose case it counts.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.session: Session = session_of(napari_viewer)
        self.model = CountsModel(self)
        self.differential: Differential | None = None
        self._build()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._ties = Ties(
            self,
            (self.session.case_changed, self._on_case),
            (self.session.cells_added, self._soon),
            (self.session.relabeled, self.refresh),  # a correction shows at once
            (self.session.keys_changed, self.refresh),
            (self.session.keys_changed, self._say_keys),
            (self.session.logged, self._name),
        )
        self._on_case()

    def _build(self) -> None:
        self.percent = QLabel("–")
        self.percent.setObjectName("leukoscope_blast_percent")
        self.percent.setStyleSheet("font-size: 34px; font-weight: 600;")
        self.interval = QLabel()
        self.interval.setWordWrap(True)
        self.bar = IntervalBar(TAXONOMY.color(BLAST))
        self.verdict = QLabel()
        self.verdict.setWordWrap(True)
        self.verdict.setStyleSheet("font-weight: 600;")
        self.decide = QLabel()
        self.decide.setWordWrap(True)
        self.profile = QComboBox()
        self.profile.addItems(profile_names())
        self.profile.setToolTip("What counts as 100 %: leukocytes in blood, all nucleated cells in marrow")
        self.profile.currentTextChanged.connect(self.refresh)
        self.case_name = QLabel()
        self.case_name.setWordWrap(True)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys go to the picture
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(22)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.table.setMinimumHeight(120)
        self.setMinimumWidth(480)
        self.ledger = QLabel()
        self.ledger.setWordWrap(True)
        self.keys = QLabel()
        self.keys.setWordWrap(True)
        self.undo = QPushButton("Undo")
        self.undo.setToolTip("Take back the last correction (Ctrl+Z on the cells layer)")
        self.undo.clicked.connect(lambda *_: undo(self.session))
        self.redo = QPushButton("Redo")
        self.redo.setToolTip("Make it again (Ctrl+Shift+Z on the cells layer)")
        self.redo.clicked.connect(lambda *_: redo(self.session))
        self.find = QPushButton("Find slide…")
        self.find.setToolTip("The slide is not where it was when the case was made: show where it is now")
        self.find.clicked.connect(self._find)
        self.export = QPushButton("Export…")
        self.export.setToolTip("Tables, outlines for QuPath, label image, report")
        self.export.clicked.connect(self._export)
        research = QLabel("For research use only")
        research.setStyleSheet("font-style: italic;")
        for label in (self.ledger, self.keys, self.case_name, self.verdict, self.interval):
            label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)

        top = QGridLayout()
        top.addWidget(self.percent, 0, 0, 2, 1)
        top.addWidget(QLabel("Profile"), 0, 1, Qt.AlignmentFlag.AlignRight)
        top.addWidget(self.profile, 0, 2)
        top.addWidget(self.interval, 1, 1, 1, 2)
        buttons = QHBoxLayout()
        for button in (self.undo, self.redo, self.find, self.export):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.case_name)
        layout.addLayout(top)
        for widget in (self.bar, self.verdict, self.decide):
            layout.addWidget(widget)
        layout.addWidget(self.table, stretch=1)
        for widget in (self.ledger, self.keys):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(research)

    def refresh(self, *_: Any) -> None:
        """Count again and show it."""
        self._timer.stop()
        case = self.session.case
        try:
            self.differential = None if case is None else case.differential(profile=self.profile.currentText())
        except LeukoscopeError as error:
            show_error_line(error)
            return
        self._show(self.differential)
        writable = case is not None and not case.readonly
        for button in (self.undo, self.redo):
            button.setEnabled(writable)
        self.export.setEnabled(case is not None)

    def _show(self, counts: Differential | None) -> None:
        self.model.show_differential(counts, self.session.keys)
        if counts is None or counts.blast_percent is None:
            self.percent.setText("–")
            none = "No case is open: analyze a slide, or open a *.leuko folder."
            self.interval.setText(none if counts is None else counts.verdict)
            self.bar.set_values(
                None, 0.0, 100.0, [] if counts is None else [t.percent for t in counts.profile.thresholds]
            )
            self.verdict.clear()
        else:
            low, high = counts.blast_interval()
            noun = "leukocytes" if counts.profile.denominator == "leukocytes" else "nucleated cells"
            self.percent.setText(f"{counts.blast_percent:.1f} %")
            self.interval.setText(
                f"blasts: {counts.blasts} of {counts.denominator} {noun}; 95 % interval {low:.1f}–{high:.1f} %"
            )
            self.bar.set_values(counts.blast_percent, low, high, [t.percent for t in counts.profile.thresholds])
            self.bar.setToolTip("\n".join(f"{t.percent:g} %: {t.name}" for t in counts.profile.thresholds))
            self.verdict.setText(counts.verdict)
        self.ledger.setText("" if counts is None else _ledger(counts))
        self.decide.setText("" if counts is None else _more(counts))
        self.decide.setVisible(bool(self.decide.text()))

    def _on_case(self, *_: Any) -> None:
        case = self.session.case
        self._name()
        self._say_keys()
        self.find.setVisible(case is not None and self.session.slide is None)
        wanted = user_settings().profile if case is None else case.settings.profile
        self.profile.blockSignals(True)
        if self.profile.findText(wanted) < 0:
            self.profile.addItem(wanted)
        self.profile.setCurrentText(wanted)
        self.profile.blockSignals(False)
        self.refresh()

    def _say_keys(self, *_: Any) -> None:
        case, reading = self.session.case, self.session.reading
        alike = "" if case is None else alike_key(case.taxonomy).upper()
        more = f" {alike}: more like this." if alike else ""
        self.keys.setText(
            ""
            if case is None
            else f"Correct: point at a cell, or select some, and press a class's key (cells layer). Q: next uncertain "
            f"cell.{more} Reviewer: {reading.reader.name if reading else user_settings().reviewer}"
        )

    def _name(self, *_: Any) -> None:
        """Say what is shown: the case, who signed it, or who reads it."""
        whole, reading = self.session.whole, self.session.reading
        signed = None if whole is None or reading is not None else whole.signed
        says = "" if whole is None else whole.slide.name
        says += " (read only)" if whole is not None and whole.readonly else ""
        says += f" (only what {reading.reader.name} may see, a blinded reader)" if reading is not None else ""
        says += f" ✓ signed by {signed.reviewer}, {signed.at[:10]}, report {signed.number}" if signed else ""
        self.case_name.setText(says)
        self.case_name.setStyleSheet(marked(HOLDS) if signed else "")
        self.case_name.setToolTip("" if whole is None else str(whole.path))

    def _soon(self, *_: Any) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _find(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Find the slide")
        if path:
            with reporting_errors():
                self.session.locate_slide(path)

    def _export(self) -> None:
        if self.session.case is not None:
            ask_and_export(self.session.case, self)


def _ledger(counts: Differential) -> str:
    left_out = [entry for entry in counts.ledger if entry.count]
    name = counts.taxonomy.name
    lines = [f"{name(entry.label).lower()} {entry.count:,} ({entry.reason})" for entry in left_out]
    ratio = counts.erythroblasts_per_100
    if ratio:
        lines.append(f"{ratio:.1f} erythroblasts per 100 leukocytes")
    return "Left out: " + "; ".join(lines) if left_out else "\n".join(lines)


def _more(counts: Differential) -> str:
    """Say how many more cells it takes, where it takes more."""
    if counts.finding not in (Finding.TOO_FEW, Finding.UNDECIDED):
        return ""
    marks = [threshold.percent for threshold in counts.profile.thresholds]
    more = cells_to_decide(counts.blasts, counts.denominator, marks, min_cells=counts.profile.min_cells)
    if more is None:
        return "Counting more does not decide it: the blasts are at a threshold, or too near to it."
    return f"Count about {more:,} more to decide, if blasts go on at this rate."
