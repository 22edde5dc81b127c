"""The cases to retrain from: which are learned from, which only measured on, and what reviewers did in each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QGridLayout, QVBoxLayout, QWidget

from leukoscope.classification.taxonomy import TAXONOMY

from .._state import Session
from ..notify import reporting_errors, say
from ..review_dock.rows import RowsModel
from ..review_dock.tab import button, label
from .bench import by_class, contents
from .fitted_table import FittedTable

if TYPE_CHECKING:
    from leukotrain.retrain import ReviewedCase

__all__ = ["CasesView"]

LEARN, LOCK = "learn", "lock"
USES = {LEARN: "learn from", LOCK: "measure on only"}
RECOUNT_MS = 700  # corrections are gathered for so long before the open case is counted again


class CasesView(QWidget):
    """Lists the chosen cases, the open one first, and the classes of the selected one's reviewed cells.

    Parameters
    ----------
    session : Session
        Of the viewer.

    Attributes
    ----------
    uses : dict of Path to str
        What each chosen case, by its folder, is used for.
    held : dict of Path to ReviewedCase
        What each holds.
    """

    changed = Signal()
    """Other cases, other uses, or other cells in one."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.uses: dict[Path, str] = {}
        self.held: dict[Path, ReviewedCase] = {}
        self._here: Path | None = None  # the open case, where it was added by itself
        self.model = RowsModel(("Case", "Use", "Reviewed", "Corrected", "Confirmed"), left=(0, 1))
        self.table = FittedTable(self.model)
        self.table.setFixedHeight(104)
        self.classes = RowsModel(("Class", "Corrected", "Confirmed"))
        self.class_table = FittedTable(self.classes)
        self.class_table.setMinimumHeight(96)
        self.of = label()
        here = button("Add this case", self.add_here, "The case that is open")
        add = button("Add a case…", self._ask, "The folder of another case, <slide>.leuko")
        self.lock = button("Measure on only", self._turn, "Never learn from the selected case: the gate measures on it")
        self.remove = button("Remove", self._remove, "Leave the selected case out")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)
        buttons = QGridLayout()  # two and two: the dock may be narrow
        for i, each in enumerate((here, add, self.lock, self.remove)):
            buttons.addWidget(each, i // 2, i % 2)
        layout.addLayout(buttons)
        layout.addWidget(self.of)
        layout.addWidget(self.class_table, stretch=1)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(RECOUNT_MS)
        self._later.timeout.connect(self.recount)
        self.table.selectionModel().currentRowChanged.connect(lambda *_: self._show_classes())
        self._show()

    def paths(self, use: str) -> tuple[Path, ...]:
        """Give the cases of one use."""
        return tuple(path for path, own in self.uses.items() if own == use)

    def add(self, path: str | Path) -> bool:
        """Add a case, by its folder, to learn from; tell whether it is among the chosen now."""
        folder = Path(path).absolute()
        if folder in self.uses:
            say(f"{folder.name} is chosen already.")
            return True
        with reporting_errors():
            self.held[folder] = self._read(folder)
            self.uses[folder] = LEARN
            self._show(folder)
            self.changed.emit()
        return folder in self.uses

    def add_here(self) -> None:
        """Add the case that is open."""
        if self.session.whole is None:
            say("No case is open: analyze a slide, or open a *.leuko folder.")
        else:
            self.add(self.session.whole.path)

    def on_case(self) -> None:
        """Take another open case in the place of the one before, unless that one was added by hand."""
        whole = self.session.whole
        here = None if whole is None else whole.path
        if here == self._here:
            return
        if self._here is not None and self.uses.get(self._here) == LEARN:
            self._drop(self._here)
        self._here = None
        if whole is not None and here is not None and here not in self.uses and len(whole) and whole.complete:
            self._here = here if self.add(here) else None
        self._show()

    def soon(self, *_: object) -> None:
        """Count the open case's cells again, a little later."""
        if not self._later.isActive():
            self._later.start()

    def recount(self) -> None:
        """Count the open case's cells again."""
        whole = self.session.whole
        if whole is not None and whole.path in self.uses and self.isVisible():
            with reporting_errors():
                self.held[whole.path] = contents(whole)
                self._show()
                self.changed.emit()

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Count what was labeled while another tab was shown."""
        super().showEvent(event)
        self.soon()

    def _read(self, folder: Path) -> ReviewedCase:
        whole = self.session.whole
        return contents(whole if whole is not None and whole.path == folder else folder)

    # -- what is shown --------------------------------------------------------------------------------------------

    @property
    def selected(self) -> Path | None:
        """The case of the selected row."""
        row = self.table.currentIndex().row()
        return list(self.uses)[row] if 0 <= row < len(self.uses) else None

    def _show(self, select: Path | None = None) -> None:
        chosen = select or self.selected
        rows = []
        for path, use in self.uses.items():
            held = self.held[path]
            counts = (held.corrected, len(held) - held.corrected)
            reviewed = f"{len(held):,} of {held.cells:,}"
            rows.append((path.name, USES[use], reviewed, *(f"{count:,}" for count in counts)))
        self.model.show_rows(rows)
        if chosen in self.uses:
            self.table.selectRow(list(self.uses).index(chosen))
        self._show_classes()

    def _show_classes(self) -> None:
        selected = self.selected
        shown = [selected] if selected is not None else list(self.paths(LEARN))
        corrected, confirmed = Counter[str](), Counter[str]()
        for path in shown:
            for name, (changed, kept) in by_class(self.held[path]).items():
                corrected[name] += changed
                confirmed[name] += kept
        whole = self.session.whole
        taxonomy = TAXONOMY if whole is None else whole.taxonomy
        labels = taxonomy.order({*corrected, *confirmed})
        self.classes.show_rows(
            [(taxonomy.name(name), f"{corrected[name]:,}", f"{confirmed[name]:,}") for name in labels],
            swatches={(i, 0): taxonomy.color(name) for i, name in enumerate(labels)},
        )
        if not self.uses:
            text = "No case chosen yet. Reviewed cells teach: those that were corrected, and those that were confirmed."
        else:
            of = selected.name if selected is not None else "all cases to learn from"
            cells = sum(corrected.values()) + sum(confirmed.values())
            text = f"{cells:,} reviewed cells of {of}:" if cells else f"No cell of {of} was reviewed."
        self.of.setText(text)
        for widget in (self.lock, self.remove):
            widget.setEnabled(selected is not None)
        locked = selected is not None and self.uses[selected] == LOCK
        self.lock.setText("Learn from it" if locked else "Measure on only")

    # -- what is chosen -------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Add a case (a folder *.leuko)")
        if path:
            self.add(path)

    def _turn(self) -> None:
        path = self.selected
        if path is not None:
            self.uses[path] = LEARN if self.uses[path] == LOCK else LOCK
            self._show()
            self.changed.emit()

    def _remove(self) -> None:
        path = self.selected
        if path is not None:
            self._drop(path)
            self._show()
            self.changed.emit()

    def _drop(self, path: Path) -> None:
        del self.uses[path], self.held[path]
