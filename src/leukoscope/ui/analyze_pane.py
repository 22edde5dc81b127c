"""How the Analyze dock is laid out, what is chosen in it, and what it says of the slide's case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from leukoscope.errors import LeukoscopeError
from leukoscope.pipeline import case_folder
from leukoscope.slides import Slide

from ._state import session_of
from ._ties import Ties
from .choices import Choices, case_status, mpp_in_words, slides_in
from .docks import Docked
from .notify import reporting_errors
from .settings import default_output

__all__ = ["AnalyzePane"]


class AnalyzePane(Docked):
    """The fields, the buttons, and the lines that say where things stand; runs nothing.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose slides are offered.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.session = session_of(napari_viewer)
        self._build()
        layers, session = self.session.viewer.layers, self.session
        self._ties = Ties(
            self,
            (layers.events.inserted, self._list_slides),
            (layers.events.removed, self._list_slides),
            (session.case_changed, self.show_state),
        )
        self._list_slides()

    @property
    def running(self) -> bool:
        """Whether an analysis is under way."""
        return False

    def _build(self) -> None:
        self.choices = Choices(self)
        self.mpp_source = QLabel()
        self.mpp_source.setWordWrap(True)
        self.browse = browse = QToolButton()
        browse.setText("…")
        browse.setToolTip("Choose the output folder")
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
        self.open.setToolTip("Show what was found before; nothing is analyzed")
        self.analyze = QPushButton("Analyze")
        self.analyze.setToolTip("Find, outline and classify the white cells; a case that was begun goes on")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop after the block at hand; what is done is kept")
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
        where = "" if self.output is None else f": {self.output}"
        self.choices.output.setToolTip(f"The case is made here, a folder <slide>.leuko{where}")
        self.show_state()

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the cases", str(self.output or Path.home()))
        if folder:
            self.choices.output.setText(folder)
            self._on_slide()

    def folder(self) -> Path | None:
        """Give the chosen slide's case, whether or not it exists; None without a slide."""
        slide, output = self.slide, self.output
        return None if slide is None or output is None else case_folder(slide, output)

    def show_state(self, *_: Any) -> None:
        """Say whether the slide has a case, and let only what can be done be pressed."""
        running, folder, shown = self.running, self.folder(), self.session.case
        status, text = None, ""
        if folder is not None and not running:
            try:
                status = case_status(folder, shown)
            except LeukoscopeError as error:
                text = str(error)
        if status is not None:
            reviewed = f", {status.reviewed} reviewed" if status.reviewed else ""
            text = f"This slide has a case: {status.cells} cells{reviewed}, {status.status}."
        self.existing.setText(text)
        self.existing.setVisible(bool(text))
        self.open.setVisible(status is not None and (shown is None or shown.path != folder))
        self.analyze.setText("Analyze" if status is None else "Analyze again…" if status.complete else "Continue")
        self.analyze.setEnabled(not running and self.slide is not None)
        self.choices.setEnabled(not running)
        self.browse.setEnabled(not running)
        self.cancel.setEnabled(running)
        self.progress.setVisible(running)
