"""Pictures of the Review dock: ``python -m leukoscope.ui.screenshot_review --case DIR --out FOLDER``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leukoscope.errors import LeukoscopeError

from .screenshot import settle

__all__ = ["main", "shrink", "take_review"]

SEED = 3


def take_review(case: str | os.PathLike[str], out: str | os.PathLike[str]) -> list[Path]:
    """Go through a copy of a case as docs/review.md tells, and save what each tab shows.

    Parameters
    ----------
    case : path
        The case's folder; nothing in it changes.
    out : path
        The folder for the pictures, ``review_<tab>.png``.

    Returns
    -------
    list of Path
        The pictures.
    """
    from qtpy.QtWidgets import QApplication

    from ._state import session_of
    from ._view import view
    from .commands import show_counts, show_review

    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(shutil.copytree(case, Path(folder) / name)) for name in ("second.leuko", "first.leuko")]
        viewer = view(copies[0], show=True, block=False)
        try:
            viewer.window.resize(1250, 860)
            viewer.window._qt_viewer.dockLayerControls.hide()
            dock = show_review(viewer)
            viewer.window.remove_dock_widget(show_counts(viewer))
            settle()
            for name, scene in SCENES.items():
                whole_window = scene(dock, copies)
                settle(12)
                path = Path(out) / f"review_{name}.png"
                if whole_window:
                    viewer.screenshot(str(path), canvas_only=False, flash=False)
                else:
                    dock.grab().save(str(path))
                    shrink(path)
                pictures.append(path)
        finally:
            viewer.close()
            session_of(viewer).close_case()
            QApplication.processEvents()
            _make_deletable(Path(folder))
    return pictures


def shrink(path: Path) -> None:
    """Keep a picture in 256 colors, a third of the bytes; enough for a dock, too few for a slide."""
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").quantize(256)
    small.save(path, optimize=True)


def _sample(dock: Any, _: list[Path]) -> bool:
    dock.show_tab(dock.sample)
    case = dock.session.case
    counted = case.differential().denominator
    dock.sample.number.setValue(max(1, min(100, counted * 2 // 3)))
    dock.sample.seed.setValue(SEED)
    dock.sample.draw_button.click()
    for i, cell in enumerate(case.sample.cells[: max(1, len(case.sample.cells) * 3 // 5)]):
        if i % 12 == 5:
            dock.session.relabel([cell], "monocyte")
        else:
            dock.session.confirm([cell])
    dock.sample.stepper.next()
    return True


def _regions(dock: Any, _: list[Path]) -> bool:
    dock.show_tab(dock.regions)
    dock.regions.compute()
    dock.regions.map.setChecked(True)
    dock.session.viewer.reset_view()
    return True


def _blinded(dock: Any, _: list[Path]) -> bool:
    dock.regions.map.setChecked(False)
    dock.show_tab(dock.readers)
    dock.readers.name.setText("Dr. Levi")
    dock.readers.begin.click()
    for cell in list(dock.readers.stepper.cells):
        given = dock.session.case.labels([cell])[cell]
        other = "monocyte" if given == "lymphocyte" and cell % 4 == 0 else given
        dock.session.relabel([cell], other)
    dock.readers.stepper.go(dock.readers.stepper.cells[-1])
    return False


def _readers(dock: Any, _: list[Path]) -> bool:
    dock.readers.end.click()
    view = dock.readers.agreement
    view.refresh()
    view.second.setCurrentText("Dr. Levi")
    view.first.setCurrentIndex(1 - view.second.currentIndex())
    if view.found is not None and view.found.disagreements:
        view.decide.click()
    return False


def _sign(dock: Any, _: list[Path]) -> bool:
    dock.show_tab(dock.sign)
    sign, case = dock.sign, dock.session.case
    left = case.cells["cell_id"][case.cells["label"] == "unidentified"]
    if len(left):
        dock.session.relabel(list(left), "artefact")
    case.sign("Dr. Kern", review="none")
    case.amend("Dr. Kern", "second reader: two monocytes")
    dock.session.relabel([case.sample.remaining[0]], "monocyte")
    sign.reviewer.setText("Dr. Kern")
    sign.review.setCurrentIndex(sign.review.findData("sample"))
    sign.compute()
    return False


def _history(dock: Any, _: list[Path]) -> bool:
    dock.session.undo()
    dock.show_tab(dock.history)
    dock.history.compute()
    return False


def _series(dock: Any, copies: list[Path]) -> bool:
    from datetime import date

    from leukoscope.cases import open_case

    with open_case(copies[1]) as case:  # as if it had been another smear, with more blasts
        table = case.cells
        case.relabel(list(table["cell_id"][table["label"] == "neutrophil_segmented"][::2]), "blast", "demo")
    dock.show_tab(dock.series)
    for path, day in zip(copies, (date(2024, 3, 4), date(2024, 2, 1)), strict=True):
        dock.series.add(path)
        dock.series.set_day(next(i for i, row in enumerate(dock.series._rows) if row.path == path.absolute()), day)
    return False


SCENES: dict[str, Callable[[Any, list[Path]], bool]] = {
    "sample": _sample,
    "regions": _regions,
    "blinded": _blinded,
    "readers": _readers,
    "sign": _sign,
    "history": _history,
    "series": _series,
}
"""What to do before each picture; whether it is one of the whole window."""


def _make_deletable(folder: Path) -> None:
    for signed in folder.glob("*.leuko/signed/*"):
        signed.chmod(0o755)  # signed reports are read-only


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Save pictures of the Review dock. Needs a display, or xvfb-run.")
    parser.add_argument("--case", required=True, help="the case's folder, <slide>.leuko; it is copied, not changed")
    parser.add_argument("--out", required=True, help="the folder for the pictures")
    chosen = parser.parse_args(arguments)
    try:
        take_review(chosen.case, chosen.out)
    except LeukoscopeError as error:
        sys.stderr.write(f"leukoscope: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
