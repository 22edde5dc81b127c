"""How long the viewer takes with many cells: ``xvfb-run -a python benchmarks/viewer.py [CELLS]`` (default 100,000)."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _many import MPP, write_case

from leukoscope.cases import SlideInfo

SIDE, RADIUS = 60_000, 24.0


def make_case(folder: Path, cells: int) -> None:
    """Write a case whose slide does not exist."""
    shapes = tuple((SIDE >> k, SIDE >> k) for k in range(7))
    slide = SlideInfo("many", "/nowhere/many.svs", "x", shapes, tuple(float(2**k) for k in range(7)), MPP, "metadata")
    write_case(folder, slide, SIDE, cells, RADIUS)


def main() -> None:
    """Measure and print."""
    os.environ["NAPARI_CONFIG"] = ""
    from qtpy.QtWidgets import QApplication

    from leukoscope.ui import session_of, view
    from leukoscope.ui.commands import show_counts

    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000

    def timed(what: str, action: Callable[[], Any], times: int = 1) -> None:
        took = []
        for _ in range(times):
            began = time.perf_counter()
            action()
            took.append(time.perf_counter() - began)
        print(f"{what:60s} {1000 * float(np.median(took)):8.1f} ms", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "many.leuko"
        timed(f"write a case of {cells} cells", lambda: make_case(folder, cells))
        shown: list[Any] = []
        timed("open it in a new viewer", lambda: shown.append(view(folder, block=False)))
        viewer = shown[0]
        session, counts = session_of(viewer), show_counts(viewer)
        canvas = viewer.window._qt_viewer.canvas.native
        number = iter(range(1, cells))

        def draw() -> None:
            canvas.update()
            QApplication.processEvents()

        def zoom(field_um: float) -> None:
            viewer.scene.camera.zoom = 800 / field_um
            viewer.scene.camera.center = (SIDE * MPP / 2, SIDE * MPP / 2)
            for _ in range(5):
                draw()

        def correct() -> None:
            session.relabel([next(number)], "blast")
            draw()

        zoom(SIDE * MPP)
        timed("whole slide in view: draw", draw, 10)
        timed("whole slide in view: relabel one cell to repaint", correct, 10)
        zoom(200.0)
        timed("200 µm in view: draw", draw, 10)
        timed("200 µm in view: relabel one cell to repaint", correct, 10)
        timed("200 µm in view: undo to repaint", lambda: (session.undo(), draw()), 10)
        timed(
            "  of which: the case, on disk, and the layers, not drawn",
            lambda: session.case.relabel([next(number)], "blast"),
            10,
        )
        timed("  of which: counts table", counts.refresh, 10)
        timed("all cells synchronized, as during an analysis", session._sync_cells, 3)
        viewer.close()
        session.close_case()


if __name__ == "__main__":
    main()
