"""What the Retrain dock asks beside the cases: which model to start from, how much of it, and the new one's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QFormLayout, QLineEdit, QToolButton, QWidget

from leukoscope.classification import model_names
from leukoscope.errors import SettingsError

from ..review_dock.tab import line
from ..settings import user_settings
from .bench import MODES, free_name

__all__ = ["RetrainChoices", "models_folder"]


def models_folder() -> Path:
    """Give the folder for retrained models: in that for cases where the user has set one, else in the home folder."""
    chosen = user_settings().output.strip()
    return (Path(chosen).expanduser() if chosen else Path.home() / "Leukoscope") / "models"


class RetrainChoices(QWidget):
    """The input fields."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = QComboBox()
        self.model.setEditable(True)
        self.model.addItems(model_names())
        self.model.setToolTip(
            "A shipped model, or the folder of a bundle. Best the shipped one with all cases: slides that a model was "
            "retrained on cannot measure it any more"
        )
        self.mode = QComboBox()
        for mode, text in MODES.items():
            self.mode.addItem(text, mode)
        self.mode.setToolTip("The head needs few cells and little time; all of it, many cells and a GPU")
        for box in (self.model, self.mode):
            box.setMinimumContentsLength(8)  # else as wide as its longest text, whatever room there is
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.name = QLineEdit()
        self.name.setToolTip("Of the new model: up to 40 of a-z, 0-9, - and _, a letter first")
        self.folder = QLineEdit()
        self.folder.setPlaceholderText(str(models_folder()).replace(str(Path.home()), "~"))
        self.folder.setToolTip("The new model becomes a folder of its name in here")
        browse = QToolButton()
        browse.setText("…")
        browse.setToolTip("Choose the folder for the new model")
        browse.clicked.connect(self._browse)
        self.flips = QCheckBox("Also list cells that would change class")
        self.flips.setToolTip("All cells of the cases are shown to the model for that, once")
        self.flips.setChecked(True)
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Start from", self.model)
        form.addRow("Retrain", self.mode)
        form.addRow("New model", self.name)
        form.addRow("In folder", line(self.folder, browse))
        form.addRow(self.flips)
        self.model.currentTextChanged.connect(lambda *_: self.suggest())
        self.folder.editingFinished.connect(self.suggest)
        self._suggested = ""
        self.suggest()

    @property
    def out(self) -> Path:
        """The new bundle's folder.

        Raises
        ------
        SettingsError
            It has no name.
        """
        name = self.name.text().strip()
        if not name:
            raise SettingsError("the new model has no name", "Type one.")
        return self._folder() / name

    def suggest(self) -> None:
        """Suggest a name that is free, unless the user has typed one."""
        if self.name.text().strip() in ("", self._suggested):
            self._suggested = free_name(self._folder(), self.model.currentText().strip() or "model")
            self.name.setText(self._suggested)

    def _folder(self) -> Path:
        text = self.folder.text().strip()
        return Path(text).expanduser().absolute() if text else models_folder()

    def _browse(self, *_: Any) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for models", str(self._folder()))
        if folder:
            self.folder.setText(folder)
            self.suggest()
