"""A picture of a case in the viewer: ``python -m leukoscope.ui.screenshot --case DIR --out PNG [--dock NAME]``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from leukoscope.errors import LeukoscopeError

__all__ = ["main", "settle", "take"]

LINE_UM = 12.0  # from the middle of a cell to either end of the line that cuts it


def take(
    case: str | os.PathLike[str],
    out: str | os.PathLike[str],
    size: tuple[int, int] = (1500, 950),
    field_um: float = 220.0,
    dock: str = "counts",
) -> Path:
    """Open a case in the viewer and save what its window shows.

    Parameters
    ----------
    case : path
        The case's folder.
    out : path
        The picture, PNG.
    size : (int, int)
        Width and height of the window, px.
    field_um : float
        Height of the part of the slide that is shown, µm; the window on the place with the most blasts.
    dock : str
        What stands beside the slide: "counts"; "cells", the gallery, with one selected; or "outlines", below the
        counts, with a line that is about to cut a cell. Nothing in the case changes.

    Returns
    -------
    Path
        Of the picture.
    """
    from qtpy.QtWidgets import QApplication

    from ._napari import camera
    from ._state import session_of
    from ._view import view

    viewer = view(case, show=True, block=False)
    try:
        session = session_of(viewer)
        viewer.window.resize(*size)
        settle()
        if session.cells is not None and session.case is not None:
            camera(viewer).center = _interesting(session.cells, field_um)
            height = viewer.window._qt_viewer.canvas.size[0]
            camera(viewer).zoom = height / (field_um if session.case.mpp else field_um * 4)
        if dock == "cells":
            _show_cells(viewer)
        elif dock == "outlines":
            _show_outlines(viewer)
        settle()
        viewer.screenshot(str(out), canvas_only=False, flash=False)
    finally:
        viewer.close()
        session_of(viewer).close_case()
        QApplication.processEvents()
    return Path(out)


def _show_cells(viewer: Any) -> None:
    """Put the gallery in the place of the counts, in verdict order, and select a cell, which the camera goes to."""
    import numpy as np
    from qtpy.QtCore import QSignalBlocker

    from .commands import show_counts, show_gallery

    gallery = show_gallery(viewer)
    viewer.window.remove_dock_widget(show_counts(viewer))
    controls = gallery.controls
    with QSignalBlocker(controls.by_class), QSignalBlocker(controls.sort):  # not what the user left, to be kept
        controls.by_class.setChecked(False)
        controls.sort.setCurrentIndex(controls.sort.findData("verdict"))
    gallery.arrange()
    settle()
    gallery.grid.choose(np.array([gallery.grid.columns + 1]))
    gallery.grid.setFocus()
    settle(10)
    while gallery.thumbnails.waiting:
        settle(1)


def _show_outlines(viewer: Any) -> None:
    """Open a window of outlines below the counts, and draw a line across the cell nearest to its middle."""
    import numpy as np

    from ._napari import camera
    from ._state import session_of
    from .docks import open_dock

    session = session_of(viewer)
    if session.cells is None or session.slide is None:
        return
    places = session.cells.data * session.cells.scale
    nearest = places[np.argmin(np.linalg.norm(places - camera(viewer).center[-2:], axis=1))]
    camera(viewer).center = tuple(nearest)
    open_dock(viewer, "Counts")
    dock = open_dock(viewer, "Outlines")
    dock.begin()
    dock.cut.click()
    drawing = session.drawing
    if drawing is not None:
        y, x = drawing.edit.world_to_data(nearest).astype(int)
        reach = int(LINE_UM / (session.case.mpp if session.case and session.case.mpp else 0.25))
        drawing.show_line(((y - reach, x - reach // 6), (y + reach, x + reach // 6)))


def _interesting(cells: Any, field_um: float) -> tuple[float, ...]:
    """Find the cell with the most neighbors in the field, blasts counting double; world coordinates."""
    import numpy as np
    from scipy.spatial import cKDTree

    places = cells.data * cells.scale
    weight = 1.0 + (cells.features["label"].to_numpy(dtype=str) == "blast")
    near = cKDTree(places).query_ball_point(places, field_um / 2)
    best = max(range(len(places)), key=lambda i: float(weight[near[i]].sum()))
    return tuple(np.mean(places[near[best]], axis=0))


def settle(rounds: int = 20) -> None:
    """Let the canvas draw, and slicing and layout finish."""
    from qtpy.QtTest import QTest

    for _ in range(rounds):
        QTest.qWait(50)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description="Save a picture of a case in the viewer. Needs a display, or xvfb-run."
    )
    parser.add_argument("--case", required=True, help="the case's folder, <slide>.leuko")
    parser.add_argument("--out", required=True, help="the picture, PNG")
    parser.add_argument(
        "--size", nargs=2, type=int, default=(1500, 950), metavar=("WIDTH", "HEIGHT"), help="window, px"
    )
    parser.add_argument("--field", type=float, default=220.0, help="height of what is shown, µm (default 220)")
    parser.add_argument(
        "--dock", choices=("counts", "cells", "outlines"), default="counts", help="what stands beside the slide"
    )
    chosen = parser.parse_args(arguments)
    try:
        take(chosen.case, chosen.out, tuple(chosen.size), chosen.field, chosen.dock)
    except LeukoscopeError as error:
        sys.stderr.write(f"leukoscope: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
