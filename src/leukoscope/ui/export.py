"""Asking what to export, and saying where it went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from .notify import reporting_errors, say

if TYPE_CHECKING:
    from leukoscope.cases import Case

__all__ = ["ExportDialog", "ask_and_export", "export"]

CHOICES = (
    ("csv", "Tables: cells.csv, counts.csv", True),
    ("geojson", "Outlines for QuPath: cells.geojson", True),
    ("labels", "Label image: labels.zarr", False),
    ("report", "Report: report.html", True),
    ("pdf", "Report to print and to file: report.pdf", False),
)


class ExportDialog(QDialog):
    """Offers what a case can write.

    Parameters
    ----------
    case : Case
        Whose folder gets the files.
    """

    def __init__(self, case: Case, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export")
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(f"Into {case.path}"))
        self.boxes: dict[str, QCheckBox] = {}
        for name, text, on in CHOICES:
            self.boxes[name] = QCheckBox(text)
            self.boxes[name].setChecked(on)
            layout.addWidget(self.boxes[name])
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        self.ok = buttons.button(QDialogButtonBox.StandardButton.Ok)
        for box in self.boxes.values():
            box.toggled.connect(lambda *_: self.ok.setEnabled(any(self.chosen().values())))
        layout.addWidget(buttons)

    def chosen(self) -> dict[str, bool]:
        """Give the arguments of `Case.export`."""
        return {name: box.isChecked() for name, box in self.boxes.items()}


def ask_and_export(case: Case, parent: QWidget | None = None) -> None:
    """Ask what to write, write it, and say where it went."""
    dialog = ExportDialog(case, parent)
    if dialog.exec():
        export(case, **dialog.chosen())
    dialog.deleteLater()


def export(
    case: Case,
    csv: bool = False,
    geojson: bool = False,
    labels: bool = False,
    report: bool = False,
    pdf: bool = False,
) -> None:
    """Write a case's files; a notification says where they are, or what went wrong."""
    with reporting_errors():
        paths = case.export(csv=csv, geojson=geojson, labels=labels, report=report, pdf=pdf)
        names = ", ".join(paths) or "nothing"
        say(f"Exported {names} to {case.path}")
