"""The Analyze widget: from the slide in the viewer to a case, with progress and cancel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils import cancelable_progress
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.pipeline import BlockDone, Finished, Started, case_folder
from leukoscope.slides import Slide

from ._state import session_of
from .analysis_job import AnalysisJob
from .choices import Choices, case_status, duration, mpp_in_words, parse_mpp, slides_in
from .commands import show_counts
from .notify import reporting_errors, say, show_error_line
from .settings import default_output

__all__ = ["AnalyzeWidget"]

SHOW_MS = 500  # how often cells that came in are drawn while an analysis runs


class AnalyzeWidget(QWidget):
    """Choose a slide and how to analyze it; press Analyze.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose slides are offered, and which shows the case.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session_of(napari_viewer)
        self.job: AnalysisJob | None = None
        self._bar: Any = None
        self._previous: Path | None = None
        self._build()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(SHOW_MS)
        self._timer.timeout.connect(self._show_new_cells)
        layers = self.session.viewer.layers
        layers.events.inserted.connect(self._list_slides)
        layers.events.removed.connect(self._list_slides)
        self._list_slides()

    def _build(self) -> None:
        self.choices = Choices(self)
        self.mpp_source = QLabel()
        self.mpp_source.setWordWrap(True)
        browse = QToolButton()
        browse.setText("…")
        browse.clicked.connect(self._browse)
        output = QHBoxLayout()
        output.addWidget(self.choices.output)
        output.addWidget(browse)
        form = QFormLayout()
        form.addRow("Slide", self.choices.slide)
        form.addRow("Segmenter", self.choices.segmenter)
        form.addRow("Model", self.choices.model)
        form.addRow("Device", self.choices.device)
        form.addRow("Profile", self.choices.profile)
        form.addRow("µm per pixel", self.choices.mpp)
        form.addRow("", self.mpp_source)
        form.addRow("Output folder", output)
        self.existing = QLabel()
        self.existing.setWordWrap(True)
        self.open = QPushButton("Open the case")
        self.open.clicked.connect(self._open)
        self.analyze = QPushButton("Analyze")
        self.analyze.clicked.connect(self.start)
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self._cancel)
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.status = QLabel()
        self.status.setWordWrap(True)
        buttons = QHBoxLayout()
        for button in (self.open, self.analyze, self.cancel):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        for widget in (self.existing, self.progress, self.status):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addStretch()
        self.choices.slide.currentIndexChanged.connect(self._on_slide)
        self.choices.output.editingFinished.connect(self._on_slide)
        self._idle()

    # -- what is chosen ---------------------------------------------------------------------------------------------

    @property
    def slide(self) -> Slide | None:
        """The chosen slide, None where the viewer has none."""
        return self.choices.slide.currentData()

    @property
    def output(self) -> Path | None:
        """The folder that gets the case."""
        text = self.choices.output.text().strip()
        slide = self.slide
        return Path(text).expanduser() if text else None if slide is None else default_output(slide.address)

    def _list_slides(self, event: Any = None) -> None:
        combo = self.choices.slide
        chosen = self.slide
        combo.blockSignals(True)
        combo.clear()
        with reporting_errors():
            for name, slide in slides_in(self.session.viewer):
                combo.addItem(name, slide)
        if event is None or event.type == "removed":
            index = next((i for i in range(combo.count()) if combo.itemData(i) is chosen), combo.count() - 1)
        else:
            index = combo.count() - 1  # the slide that was opened last is the one that is meant
        combo.setCurrentIndex(index)
        combo.blockSignals(False)
        self._on_slide()

    def _on_slide(self, *_: Any) -> None:
        slide = self.slide
        self.mpp_source.setText("Open a slide first: File, Open." if slide is None else mpp_in_words(slide))
        self.choices.mpp.setPlaceholderText("" if slide is None or slide.mpp is None else f"{slide.mpp:.4g}")
        self.choices.output.setPlaceholderText("" if slide is None else str(default_output(slide.address)))
        if self.job is None:
            self._idle()

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the cases", str(self.output or Path.home()))
        if folder:
            self.choices.output.setText(folder)
            self._on_slide()

    def _folder(self) -> Path | None:
        slide, output = self.slide, self.output
        return None if slide is None or output is None else case_folder(slide, output)

    # -- running ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the analysis that is chosen; a case that is complete is analyzed again only after asking."""
        if self.job is not None:
            return
        with reporting_errors():
            if self.session.reading is not None:  # it would close the case, and show all of it at the end
                remedy = "End the reading first: Review dock, Readers"
                raise SettingsError("a blinded reading is under way, and an analysis would end it", remedy)
            slide, output, folder = self.slide, self.output, self._folder()
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
        self._idle()
        job.start()

    def _ask_again(self, folder: Path, reviewed: int) -> bool:
        kept = f" The {reviewed} labels given by reviewers are carried to the new cells." if reviewed else ""
        question = f"{folder.name} is complete. Analyze the slide again?{kept} The case stays as it is until the end."
        return QMessageBox.question(self, "Analyze again", question) == QMessageBox.StandardButton.Yes

    def _open(self) -> None:
        folder = self._folder()
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
        show_counts(self.session.viewer)
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
        self._idle()

    def _idle(self) -> None:
        running = self.job is not None
        folder = self._folder()
        status = None
        text = ""
        if folder is not None and not running:
            try:
                status = case_status(folder, self.session.case)
            except LeukoscopeError as error:
                text = str(error)
        if status is not None:
            reviewed = f", {status.reviewed} reviewed" if status.reviewed else ""
            text = f"This slide has a case: {status.cells} cells{reviewed}, {status.status}."
        self.existing.setText(text)
        self.existing.setVisible(bool(text))
        self.open.setVisible(status is not None)
        self.analyze.setText("Analyze" if status is None else "Analyze again…" if status.complete else "Continue")
        self.analyze.setEnabled(not running and self.slide is not None)
        self.choices.setEnabled(not running)
        self.cancel.setEnabled(running)
        self.progress.setVisible(running)
