"""More like this: the cells nearest to some by the model's embedding, and the line that says so above them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QSpinBox, QWidget

from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.pipeline import embed_case

from .._state import Session
from ..job import Job, Report
from ..notify import reporting_errors, show_error_line
from ..settings import user_settings

if TYPE_CHECKING:
    from leukoscope.cases import Case
    from leukoscope.pipeline import Embeddings

__all__ = ["Alike", "likeness"]

NEAREST = 60  # a screen or two: what is looked through at once
STEPS_MS = 250


def likeness(found: Embeddings, cells: Sequence[int]) -> npt.NDArray[np.float64]:
    """Tell how much each cell of a case looks like any of some.

    Parameters
    ----------
    found : Embeddings
        Of the case's cells.
    cells : sequence of int
        Ids.

    Returns
    -------
    float array (n,)
        Cosine, by row; infinite for the cells asked about, NaN for those that a reviewer removed.

    Raises
    ------
    SettingsError
        All that were asked about have been removed.
    """
    asked = [cell for cell in cells if cell not in found.removed]
    if not asked:
        raise SettingsError("the cells asked about are no longer there", "Ask about others.")
    out = np.full(len(found), np.nan)
    ids, cosines = found.nearest(asked, len(found))
    out[ids - 1] = cosines
    out[np.array(asked) - 1] = np.inf
    return out


class Alike(QFrame):
    """Asks for the cells most like some, and stands above them while they are shown; out of sight otherwise.

    Parameters
    ----------
    session : Session
        Of the viewer.

    Attributes
    ----------
    asked : tuple of int
        The cells asked about, by id; none where all cells are shown.
    job : Job or None
        The search that is under way.
    """

    found = Signal(object)
    """How much each cell is like those asked about (`likeness`)."""
    resized = Signal()
    """More of them are wanted, or fewer."""
    left = Signal()
    """All cells are to be shown again."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.asked: tuple[int, ...] = ()
        self.job: Job | None = None
        self._asking: tuple[int, ...] = ()
        self._known: Embeddings | None = None  # to read them anew takes most of a second
        self.said = QLabel()
        self.number = QSpinBox()
        self.number.setRange(1, 9999)
        self.number.setValue(NEAREST)
        self.number.setPrefix("nearest ")
        self.number.setToolTip("How many of them; the filters above choose first")
        self.progress = QProgressBar()
        self.progress.setMaximumHeight(16)
        self.back = QPushButton()
        self.back.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.back.clicked.connect(lambda *_: self.leave())
        self.setObjectName("alike")
        self.setStyleSheet("QFrame#alike { border: 1px solid #ffd54a; border-radius: 3px; }")
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 3, 3, 3)
        row.addWidget(self.said, stretch=1)
        for widget in (self.progress, self.number, self.back):
            row.addWidget(widget)
        self._typed = QTimer(self)
        self._typed.setSingleShot(True)
        self._typed.setInterval(STEPS_MS)
        self._typed.timeout.connect(self.resized)
        self.number.valueChanged.connect(lambda *_: self._typed.start())
        self._show_state()

    def ask(self, cells: Sequence[int]) -> None:
        """Look for the cells most like these, in another thread; the cells are embedded first, once."""
        with reporting_errors():
            case, slide = self._whole(), self.session.shown_slide()
            asked, device = tuple(sorted(cells)), user_settings().device
            self._stop()
            self._asking, known = asked, self._known

            def work(report: Report, canceled: Callable[[], bool]) -> tuple[Embeddings, npt.NDArray[np.float64]]:
                found = known or embed_case(case, slide, device, report, canceled)
                return found, likeness(found, asked)

            job = self.job = Job(work, "Looking for cells alike", self)
            job.advanced.connect(lambda said: self._on_advanced(job, said))
            job.done.connect(lambda found: self._on_found(job, asked, *found))
            job.failed.connect(self._on_failed)
            job.ended.connect(lambda: self._on_ended(job))
            self.progress.setRange(0, 0)
            self._show_state()
            job.start()

    def forget(self) -> None:
        """Embed again before the next search: outlines have changed. Only cells that were drawn since take time."""
        self._stop()
        self._known = None
        self._show_state()

    def ask_again(self) -> None:
        """Look again for cells like those that were asked about, where some are shown."""
        if self.asked:
            self.ask(self.asked)

    def leave(self) -> None:
        """Look for nothing, and have all cells shown; a first search is canceled, what is embedded is kept."""
        searching, shown = self.job is not None, bool(self.asked)
        self._stop()
        if not searching:  # Cancel, while cells alike are shown already, leaves these
            self.asked = ()
        self._show_state()
        if shown and not searching:
            self.left.emit()

    def reset(self) -> None:
        """Forget what was asked: another case is shown."""
        self.asked = ()
        self.forget()

    # -- the search -----------------------------------------------------------------------------------------------

    def _whole(self) -> Case:
        case, reading = self.session.whole, self.session.reading
        if case is None or self.session.cells is None:
            raise SettingsError("there are no cells", "Analyze a slide, or open a *.leuko folder.")
        if reading is not None and reading.reader.hide_model:
            remedy = "End the reading first: Review dock, Readers."
            raise SettingsError("what the model sees is kept from this reader", remedy)
        if self.session.busy:
            raise SettingsError("an analysis is running", "Wait for its end: cells are compared when all are there.")
        return case

    def _stop(self) -> None:
        if self.job is not None:
            self.job.cancel()
            self.job = None

    def _on_advanced(self, job: Job, said: list[tuple[int, int, Any]]) -> None:
        done, total, _ = said[-1]
        if job is self.job:
            self.progress.setRange(0, total)
            self.progress.setValue(done)

    def _on_found(self, job: Job, asked: tuple[int, ...], known: Embeddings, alike: npt.NDArray[np.float64]) -> None:
        if job is self.job:
            self.asked, self._known = asked, known
            self.found.emit(alike)

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, LeukoscopeError):
            raise error  # a fault of ours: napari shows it with its traceback
        show_error_line(error)

    def _on_ended(self, job: Job) -> None:
        if job is self.job:
            self.job = None
        self._show_state()

    def _show_state(self) -> None:
        searching = self.job is not None
        cells = self._asking if searching else self.asked
        first = f"cell {cells[0]}" if cells else ""
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        self.said.setText(f"{'Comparing all cells with' if searching else 'Most like'} {first}{more}")
        self.progress.setVisible(searching)
        self.number.setVisible(not searching)
        self.back.setText("Cancel" if searching else "Back to all")
        self.back.setToolTip(
            "What is embedded is kept: asking again goes on from there" if searching else "Show all cells again"
        )
        self.setVisible(bool(cells))
