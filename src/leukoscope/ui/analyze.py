"""The Analyze widget: from the slide in the viewer to a case, with progress and cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils import cancelable_progress
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QMessageBox, QWidget

from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.pipeline import BlockDone, Finished, Started

from .analysis_job import AnalysisJob
from .analyze_pane import AnalyzePane
from .choices import case_status, duration, parse_mpp
from .commands import show_counts
from .docks import open_dock
from .notify import reporting_errors, say, show_error_line

__all__ = ["AnalyzeWidget"]

SHOW_MS = 500  # how often cells that came in are drawn while an analysis runs


class AnalyzeWidget(AnalyzePane):
    """Choose a slide and how to analyze it; press Analyze.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose slides are offered, and which shows the case.

    Attributes
    ----------
    job : AnalysisJob or None
        The analysis that is under way.
    """

    job: AnalysisJob | None = None

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self._bar: Any = None
        self._previous: Path | None = None
        self.open.clicked.connect(self._open)
        self.analyze.clicked.connect(self.start)
        self.cancel.clicked.connect(self._cancel)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SHOW_MS)
        self._timer.timeout.connect(self._show_new_cells)

    @property
    def running(self) -> bool:
        """Whether an analysis is under way."""
        return self.job is not None

    def start(self) -> None:
        """Begin the analysis that is chosen; a case that is complete is analyzed again only after asking."""
        if self.job is not None:
            return
        with reporting_errors():
            if self.session.reading is not None:  # it would close the case, and show all of it at the end
                remedy = "End the reading first: Review dock, Readers"
                raise SettingsError("a blinded reading is under way, and an analysis would end it", remedy)
            self.session.ensure_free()
            slide, output, folder = self.slide, self.output, self.folder()
            if slide is None or output is None or folder is None:
                raise SettingsError(
                    "no slide is open", "Open one with File, Open, or the sample under File, Open Sample"
                )
            mpp = parse_mpp(self.choices.mpp.text())
            status = case_status(folder, self.session.case)
            resume = status is None or not status.complete
            if not resume and not self._ask_again(folder, status.reviewed if status else 0):
                return
            arguments = {
                "slide": slide.address,
                "out": output,
                "resume": resume,
                "mpp": mpp,
                **self.choices.arguments(),
            }
            self._previous = None if self.session.case is None else self.session.case.path
            self.session.close_case()  # the analysis is its only writer
            self.run(arguments)

    def run(self, arguments: dict[str, Any], **options: Any) -> None:
        """Run an analysis with these arguments of `leukoscope.pipeline.run`."""
        job = self.job = AnalysisJob(arguments, parent=self, **options)
        job.started.connect(self._on_started)
        job.advanced.connect(self._on_block)
        job.finished.connect(self._on_finished)
        job.canceled.connect(self._on_canceled)
        job.failed.connect(self._on_failed)
        job.ended.connect(self._on_ended)
        self.destroyed.connect(job.cancel)
        self.progress.setRange(0, 0)
        self.status.setText("Starting: reading the slide, measuring its white point…")
        self.session.busy = True
        self.show_state()
        job.start()

    def _ask_again(self, folder: Path, reviewed: int) -> bool:
        kept = f" The {reviewed} labels given by reviewers are carried to the new cells." if reviewed else ""
        question = f"{folder.name} is complete. Analyze the slide again?{kept} The case stays as it is until the end."
        return QMessageBox.question(self, "Analyze again", question) == QMessageBox.StandardButton.Yes

    def _open(self) -> None:
        folder = self.folder()
        if folder is not None:
            with reporting_errors():
                self.session.open(folder)
                show_counts(self.session.viewer)

    def _cancel(self) -> None:
        if self.job is not None:
            self.job.cancel()
            self.status.setText("Canceling after the block at hand…")
            self.cancel.setEnabled(False)

    def _on_started(self, event: Started) -> None:
        self.progress.setRange(0, max(event.blocks, 1))
        self.progress.setValue(event.done)
        self.status.setText(f"{event.cells} cells so far")
        self.session.show(event.case, refit=False)
        open_dock(self.session.viewer, "Counts", front=False)  # progress and Cancel stay in sight
        # Last, here and in _on_block: napari's bar lets Qt handle events, so the next of ours arrive inside this call.
        bar = cancelable_progress(total=event.blocks, desc=f"Leukoscope: {event.case.slide.name}")
        if self.job is None:
            bar.close()
        else:
            self._bar = bar
            bar.update(self.progress.value())

    def _on_block(self, event: BlockDone) -> None:
        self.progress.setValue(event.done)
        if self.job is not None and not self.job.canceling:
            left = f", about {duration(event.remaining)} left" if event.done < event.blocks else ""
            self.status.setText(f"{event.done} of {event.blocks} blocks, {event.cells} cells{left}")
        if not self._timer.isActive():
            self._timer.start()
        bar = self._bar
        if bar is not None and bar.n < event.done:
            bar.update(event.done - bar.n)
            if bar.is_canceled:
                self._cancel()

    def _show_new_cells(self) -> None:
        self.session.sync()

    def _on_finished(self, event: Finished) -> None:
        self.session.show(event.case, refit=False)
        carried, orphans = event.case.carried, event.case.orphans
        text = f"{event.cells} cells in {duration(event.seconds)}"
        if len(carried):
            text += f"; {len(carried) - len(orphans)} reviewed labels carried over"
        if len(orphans):
            where = ", ".join(f"{row.label} at x {row.x:.0f}, y {row.y:.0f}" for row in orphans.head(5).itertuples())
            text += f"; {len(orphans)} found no new cell ({where}{', …' if len(orphans) > 5 else ''})"
        self.status.setText(text)
        show_counts(self.session.viewer)
        say(f"{event.case.slide.name}: {text}. {event.case.path}")

    def _on_canceled(self) -> None:
        case = self.session.case
        if case is not None:
            self.session.show(case, refit=False)
            self.status.setText(f"Canceled; kept: {len(case)} cells, {case.status}. Continue goes on from there.")

    def _on_failed(self, error: Exception) -> None:
        self.session.busy = False
        self.status.setText(
            str(error) if isinstance(error, LeukoscopeError) else "The analysis failed; see the notification."
        )
        if self.session.case is None and self._previous is not None:
            with reporting_errors():
                self.session.open(self._previous)
        if not isinstance(error, LeukoscopeError):
            raise error  # a fault of ours: napari shows where
        show_error_line(error)

    def _on_ended(self) -> None:
        self.session.busy = False
        self._timer.stop()
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
        if self.job is not None:
            self.job.deleteLater()
            self.job = None
        self.progress.setRange(0, 1)
        self.progress.setValue(0)
        self.show_state()
