"""A picture of a case in the viewer, counts docked: ``python -m leukoscope.ui.screenshot --case DIR --out PNG``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from leukoscope.errors import LeukoscopeError

__all__ = ["main", "take"]


def take(
    case: str | os.PathLike[str],
    out: str | os.PathLike[str],
    size: tuple[int, int] = (1500, 950),
    field_um: float = 220.0,
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
        _settle()
        if session.cells is not None and session.case is not None:
            camera(viewer).center = _interesting(session.cells, field_um)
            height = viewer.window._qt_viewer.canvas.size[0]
            camera(viewer).zoom = height / (field_um if session.case.mpp else field_um * 4)
        _settle()
        viewer.screenshot(str(out), canvas_only=False, flash=False)
    finally:
        viewer.close()
        session_of(viewer).close_case()
        QApplication.processEvents()
    return Path(out)


def _interesting(cells: Any, field_um: float) -> tuple[float, ...]:
    """Find the cell with the most neighbors in the field, blasts counting double; world coordinates."""
    import numpy as np
    from scipy.spatial import cKDTree

    places = cells.data * cells.scale
    weight = 1.0 + (cells.features["label"].to_numpy(dtype=str) == "blast")
    near = cKDTree(places).query_ball_point(places, field_um / 2)
    best = max(range(len(places)), key=lambda i: float(weight[near[i]].sum()))
    return tuple(np.mean(places[near[best]], axis=0))


def _settle(rounds: int = 20) -> None:
    from qtpy.QtTest import QTest

    for _ in range(rounds):
        QTest.qWait(50)  # lets the canvas draw, and slicing and layout finish


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
    chosen = parser.parse_args(arguments)
    try:
        take(chosen.case, chosen.out, tuple(chosen.size), chosen.field)
    except LeukoscopeError as error:
        sys.stderr.write(f"leukoscope: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
