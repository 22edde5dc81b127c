"""Pictures of More like this and the Retrain dock: ``python -m leukoscope.ui.screenshot_retrain --case … --out …``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtWidgets import QWidget

from leukoscope.errors import LeukoscopeError

from .screenshot import settle
from .screenshot_review import shrink

__all__ = ["main", "take_retrain"]

PathLike = str | os.PathLike[str]
NEAR_UM = 5.0  # a found cell farther from all drawn ones is none


def take_retrain(case: PathLike, truth: PathLike, out: PathLike) -> list[Path]:
    """Look for cells alike and retrain from a copy of a case, as docs/retrain.md tells, and save what is shown.

    Parameters
    ----------
    case : path
        The case's folder; nothing in it changes.
    truth : path
        What its cells are: a table with columns label, x_um and y_um. It stands in for a reviewer.
    out : path
        The folder for the pictures.

    Returns
    -------
    list of Path
        The pictures.
    """
    from qtpy.QtWidgets import QApplication

    from ._state import session_of
    from ._view import view
    from .commands import show_counts, show_gallery, show_retrain
    from .settings import prefer_model, user_settings

    pictures, model, out = [], user_settings().model, Path(out).absolute()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(case, Path(folder) / Path(case).name))
        truth = Path(truth).absolute()
        here = os.getcwd()
        os.chdir(folder)  # a folder that reads well in a picture
        viewer = view(copy, show=True, block=False)
        session = session_of(viewer)
        try:
            viewer.window.resize(1250, 860)
            viewer.window._qt_viewer.dockLayerControls.hide()
            gallery = show_gallery(viewer)
            viewer.window.remove_dock_widget(show_counts(viewer))
            settle()
            _ask_for_more(gallery)
            pictures.append(_window(viewer, out / "gallery_alike.png"))
            viewer.window.remove_dock_widget(gallery)
            _review(session, pd.read_csv(truth))
            dock = show_retrain(viewer)
            dock.choices.folder.setText("models")
            settle()
            pictures.append(_grab(dock, out / "retrain_cases.png"))
            dock.start()
            while dock.job is not None:
                settle(1)
            for tab, name in ((1, "curves"), (2, "gate")):
                dock.tabs.setCurrentIndex(tab)
                settle()
                pictures.append(_grab(dock, out / f"retrain_{name}.png"))
            dock.tabs.setCurrentWidget(dock.flips)
            dock.flips.table.selectRow(0)
            pictures.append(_window(viewer, out / "retrain_changes.png"))
        finally:
            prefer_model(Path(model))
            viewer.close()
            session.close_case()
            QApplication.processEvents()
            os.chdir(here)
    return pictures


def _ask_for_more(gallery: Any) -> None:
    """Ask for cells like the smallest that is surely a lymphocyte."""
    table = gallery.session.case.cells
    sure = table[(table["label"] == "lymphocyte") & (table["probability"] > table["probability"].median())]
    gallery.more_like_this([int((sure if len(sure) else table).nsmallest(1, "area_um2")["cell_id"].iloc[0])])
    while gallery.alike.job is not None:
        settle(1)
    settle(5)
    while gallery.thumbnails.waiting:
        settle(1)


def _review(session: Any, truth: pd.DataFrame) -> None:
    """Label two cells of three as the nearest drawn one, or as no cell."""
    table = session.case.cells
    table = table[table["cell_id"] % 3 > 0]
    drawn = truth[["x_um", "y_um"]].to_numpy(float)
    named = truth["label"].to_numpy(str)
    given: dict[str, list[int]] = {}
    for cell, place in zip(table["cell_id"], table[["x_um", "y_um"]].to_numpy(float), strict=True):
        away = np.hypot(*(drawn - place).T)
        label = str(named[away.argmin()]) if away.min() < NEAR_UM else "artefact"
        given.setdefault(label, []).append(int(cell))
    for label, cells in given.items():
        session.relabel(cells, label)


def _window(viewer: Any, path: Path) -> Path:
    settle()
    for child in viewer.window._qt_window.findChildren(QWidget):
        if type(child).__name__ == "NapariQtNotification":  # it would hide the scale bar
            child.close()
    settle(2)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    return path


def _grab(dock: Any, path: Path) -> Path:
    dock.grab().save(str(path))
    shrink(path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    from leukoscope.sample import sample_path

    parser = argparse.ArgumentParser(
        description="Save pictures of More like this and the Retrain dock. Needs a display, or xvfb-run."
    )
    parser.add_argument("--case", required=True, help="the case's folder, <slide>.leuko; it is copied, not changed")
    parser.add_argument("--truth", help="what its cells are, CSV: label, x_um, y_um (default: of the sample smear)")
    parser.add_argument("--out", required=True, help="the folder for the pictures")
    chosen = parser.parse_args(arguments)
    try:
        truth = chosen.truth or sample_path().parent / "sample_smear_truth.csv"
        take_retrain(chosen.case, truth, chosen.out)
    except LeukoscopeError as error:
        sys.stderr.write(f"leukoscope: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
