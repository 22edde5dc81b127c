"""What the Analyze widget asks, and what it knows before an analysis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QComboBox, QLineEdit, QWidget

from leukoscope.cases import Case, open_case
from leukoscope.classification import model_names
from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.hematology import profile_names
from leukoscope.segmentation import segmenter_names
from leukoscope.slides import Slide, open_slide

from .layers import slide_of
from .settings import follow_model, user_settings

__all__ = ["CaseStatus", "Choices", "case_status", "duration", "mpp_in_words", "parse_mpp", "slides_in"]

NO_MODEL = "none"
DEVICES = ("auto", "cpu", "cuda", "mps")


class Choices:
    """The input fields, preset from the user's settings.

    Parameters
    ----------
    parent : QWidget
        Their parent.
    """

    def __init__(self, parent: QWidget) -> None:
        chosen = user_settings()
        self.slide = QComboBox(parent)
        self.slide.setToolTip("Of the images in the viewer")
        self.segmenter = _combo(parent, segmenter_names(), chosen.segmenter)
        self.segmenter.setToolTip("What finds and outlines the cells")
        self.model = _combo(parent, (*model_names(), NO_MODEL), chosen.model, editable=True)
        follow_model(self._on_model)
        self.model.setToolTip("What names the cells: a shipped model, the folder of a model bundle, or none")
        self.device = _combo(parent, DEVICES, chosen.device)
        self.device.setToolTip("Where the networks run; auto takes a GPU when there is one")
        self.profile = _combo(parent, profile_names(), chosen.profile, editable=True)
        self.profile.setToolTip("What counts as 100 %, and the thresholds: blood, marrow, or a profile file")
        self.mpp = QLineEdit(parent)
        self.mpp.setToolTip("µm per pixel at full resolution; empty: as shown below")
        self.output = QLineEdit(parent)
        self._all = (self.slide, self.segmenter, self.model, self.device, self.profile, self.mpp, self.output)

    def arguments(self) -> dict[str, Any]:
        """Give the choices as arguments of `leukoscope.pipeline.run`."""
        return {
            "segmenter": self.segmenter.currentText(),
            "model": None if self.model.currentText().strip() in ("", NO_MODEL) else self.model.currentText().strip(),
            "device": self.device.currentText(),
            "profile": self.profile.currentText().strip(),
        }

    def _on_model(self, *_: Any) -> None:
        with suppress(RuntimeError):  # Qt has deleted it, with the widget
            self.model.setCurrentText(user_settings().model)

    def setEnabled(self, on: bool) -> None:  # noqa: N802
        """Let the fields be changed, or not."""
        for field in self._all:
            field.setEnabled(on)


@dataclass(frozen=True)
class CaseStatus:
    """What there is of a case: cells, reviewed cells, whether it is complete, and its state in words."""

    cells: int
    reviewed: int
    complete: bool
    status: str


def case_status(folder: Path, shown: Case | None = None) -> CaseStatus | None:
    """Look what a case's folder holds, without taking the right to write.

    Parameters
    ----------
    folder : Path
        ``<slide>.leuko``; it need not exist.
    shown : Case, optional
        The case that is open already; asked where it is the same.

    Returns
    -------
    CaseStatus or None
        None where there is no case.

    Raises
    ------
    CaseError
        If it is damaged.
    """
    if shown is not None and shown.path == folder.absolute():
        return _status(shown)
    if not (folder / "case.sqlite").is_file():
        return None
    with open_case(folder, readonly=True) as case:
        return _status(case)


def slides_in(viewer: Any) -> Iterator[tuple[str, Slide]]:
    """Yield the name and the slide of each image layer that shows one, opened by napari's own reader or ours."""
    for layer in viewer.layers:
        slide = slide_of(layer)
        if slide is None and getattr(layer, "rgb", False) and layer.source.path:
            try:
                slide = open_slide(layer.source.path)
            except LeukoscopeError:
                continue  # an image of something else, which this list is not the place to complain about
            layer.metadata["leukoscope"] = {"slide": slide}
        if slide is not None:
            yield layer.name, slide


def parse_mpp(text: str) -> float | None:
    """Read µm per pixel as typed, with a point or a comma; None where nothing was typed.

    Raises
    ------
    SettingsError
        If it is no number, or not a possible one.
    """
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0.01 <= value <= 10:
        raise SettingsError(f"{text!r} µm per pixel is not possible", "Type a number between 0.01 and 10, or nothing")
    return value


def mpp_in_words(slide: Slide) -> str:
    """Say what µm per pixel is, and where the figure comes from."""
    if slide.mpp is None:
        return "Unknown: type it in. Cells cannot be found without it."
    origin = {"metadata": "from the file", "red cells": "estimated from the red cells (7.2 µm)", "given": "given"}
    return f"{slide.mpp:.4g}, {origin.get(slide.mpp_source, slide.mpp_source)}; type another to override"


def duration(seconds: float) -> str:
    """Say how long, in seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _status(case: Case) -> CaseStatus:
    return CaseStatus(len(case), int((case.cells["source"] == "reviewer").sum()), case.complete, case.status)


def _combo(parent: QWidget, names: Any, chosen: str, editable: bool = False) -> QComboBox:
    combo = QComboBox(parent)
    combo.addItems(list(names))
    combo.setEditable(editable)
    if combo.findText(chosen) < 0 and chosen:
        combo.addItem(chosen)
    combo.setCurrentText(chosen)
    return combo
