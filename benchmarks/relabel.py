"""From a key to the repainted picture: ``xvfb-run -a python benchmarks/relabel.py [CELLS]`` (default 100,000).

The view shows 200 µm, the Counts dock is open; then the Cells and Review docks, too. Each step is repeated, with a
pause before; the least and the median stand side by side, and what the viewer's thread took of a processor beside what
the clock says: on a machine that is busy with other work the clock says more of that than of Leukoscope. The load is
printed. Without a graphics card OpenGL is drawn by the processor, which is most of "drawn".
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _many import MPP
from viewer import SIDE, make_case

REPEATS, PAUSE_MS, SETTLE_MS = 40, 120, 1500


def main(cells: int = 100_000) -> None:
    """Measure and print."""
    os.environ["NAPARI_CONFIG"] = ""
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    from leukoscope.ui import session_of, view
    from leukoscope.ui._in_sight import PointsInSight
    from leukoscope.ui._napari import camera
    from leukoscope.ui.commands import show_counts, show_gallery

    def timed(what: str, action: Callable[[], Any], times: int = REPEATS) -> None:
        clock, processor = [], []
        for _ in range(times):
            QTest.qWait(PAUSE_MS)
            began = time.perf_counter(), time.thread_time()
            action()
            clock.append(1000 * (time.perf_counter() - began[0]))
            processor.append(1000 * (time.thread_time() - began[1]))
        figures = (min(clock), np.median(clock), min(processor), np.median(processor))
        print(f"{what:46}" + "".join(f"{figure:9.1f}" for figure in figures), flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "many.leuko"
        make_case(folder, cells)
        viewer = view(folder, block=False)
        session = session_of(viewer)
        show_counts(viewer)
        canvas = viewer.window._qt_viewer.canvas.native
        numbers = iter(range(1, cells))

        def relabel() -> None:
            session.relabel([next(numbers)], "blast")

        def drawn(action: Callable[[], Any]) -> Callable[[], None]:
            def act() -> None:
                action()
                canvas.update()
                canvas.repaint()

            return act

        def steps() -> None:
            load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
            print(f"ms (load {load:.1f} on {os.cpu_count()} processors)".ljust(46), end="")
            print("".join(f"{name:>9}" for name in ("least", "median", "cpu least", "median")))
            for name, action in (("relabel", relabel), ("undo", session.undo)):
                timed(f"{name}: on disk, point and counts changed", action)
                timed(f"{name}: that, and the picture drawn", drawn(action))
            timed("the picture drawn, nothing changed", drawn(lambda: None))
            timed("outlines colored, after it", session._draw_outlines)

        camera(viewer).zoom, camera(viewer).center = 800 / 200.0, (SIDE * MPP / 2,) * 2
        QTest.qWait(SETTLE_MS)
        print("Counts dock open")
        steps()
        show_gallery(viewer)
        viewer.window.add_plugin_dock_widget("leukoscope", "Review")
        QTest.qWait(SETTLE_MS)
        print("Counts, Cells and Review docks open")
        steps()
        print("the picture drawn with every point handed to OpenGL, as napari does")
        PointsInSight._on_draw = lambda *_: None  # type: ignore[method-assign]
        session.cells.events.face_color()
        QApplication.processEvents()
        timed("the picture drawn, nothing changed", drawn(lambda: None))
        viewer.close()
        session.close_case()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
