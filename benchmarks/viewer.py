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
import shapely

from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo

CLASSES = ("blast", "lymphocyte", "neutrophil_segmented", "monocyte")
SIDE, MPP = 60_000, 0.25


def make_case(folder: Path, cells: int) -> None:
    """Write a case with outlines of 24 corners, spread evenly; its slide does not exist."""
    rng = np.random.default_rng(0)
    shapes = tuple((SIDE >> k, SIDE >> k) for k in range(7))
    info = SlideInfo("many", "/nowhere/many.svs", "x", shapes, tuple(float(2**k) for k in range(7)), MPP, "metadata")
    settings = RunSettings(segmenter="none", model="none", classes=CLASSES, mpp=MPP)
    places = rng.uniform(100, SIDE - 100, (cells, 2))
    outlines = shapely.buffer(shapely.points(places), 24.0, quad_segs=6)
    labels = rng.integers(len(CLASSES), size=cells)
    proba = rng.dirichlet(np.ones(len(CLASSES)), cells)
    rows = [
        CellRow(o, None, x, y, 113.0, None, 1.0, dict(zip(CLASSES, p.tolist(), strict=True)), CLASSES[k])
        for o, (x, y), p, k in zip(outlines, places, proba, labels, strict=True)
    ]
    with Case.create(folder, info, settings) as case:
        run = case.begin_run(settings, blocks=10)
        for block, some in enumerate(np.array_split(np.arange(cells), 10)):
            case.add_block(run, block, [rows[i] for i in some])
        case.finish_run(run, "completed")


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
