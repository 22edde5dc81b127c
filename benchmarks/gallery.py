"""How fast the gallery is with many cells: ``xvfb-run -a python benchmarks/gallery.py [CELLS]`` (default 100,000).

The slide is a pyramid of JPEG tiles, 32,768 px a side, made of a synthetic smear's tiles again and again; what is read
from it is decoded as from a scanner's. Beside the time on the clock stands what the viewer's thread took of a
processor, which a busy machine leaves alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from _many import MPP, write_case

from leukoscope import open_slide
from leukoscope.cases import SlideInfo
from leukotrain.data.synthetic import render_smear

SIDE, TILE, KINDS, RADIUS = 32_768, 512, 4, 20.0
DOCK = (480, 760)  # px of the gallery


def make_slide(path: Path) -> None:
    """Write the slide; each level repeats the tiles of a smear drawn at its resolution."""
    smear = render_smear(TILE * KINDS, TILE * KINDS, MPP, 1, None, white_cells=60).rgb

    def tiles(level: int, side: int) -> Iterator[bytes]:
        step = 2**level
        shrunk = np.ascontiguousarray(np.tile(smear[::step, ::step], (step, step, 1)))
        made = [
            imagecodecs.jpeg8_encode(shrunk[y : y + TILE, x : x + TILE], level=90)
            for y in range(0, TILE * KINDS, TILE)
            for x in range(0, TILE * KINDS, TILE)
        ]
        across = -(-side // TILE)
        for row in range(across):
            for column in range(across):
                yield made[row % KINDS * KINDS + column % KINDS]

    sides = [SIDE >> level for level in range(6)]
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as tif:
        for level, side in enumerate(sides):
            scale = {"axes": "YXS", "PhysicalSizeX": MPP, "PhysicalSizeXUnit": "µm"}
            tif.write(
                tiles(level, side),
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="rgb",
                compression="jpeg",
                subifds=len(sides) - 1 if level == 0 else 0,
                subfiletype=1 if level else 0,
                metadata={**scale, "PhysicalSizeY": MPP, "PhysicalSizeYUnit": "µm"} if level == 0 else None,
            )


def main() -> None:
    """Measure and print."""
    os.environ["NAPARI_CONFIG"] = ""
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    from leukoscope.ui import session_of, view
    from leukoscope.ui.commands import show_gallery

    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000

    def now() -> tuple[float, float]:
        return time.perf_counter(), time.thread_time()

    def since(began: tuple[float, float]) -> tuple[float, float]:
        return time.perf_counter() - began[0], time.thread_time() - began[1]

    def report(what: str, took: list[tuple[float, float]]) -> None:
        ms, cpu = 1000 * np.array(took).T
        spread = f"  95 % {np.percentile(ms, 95):7.1f}  max {ms.max():7.1f}" if len(ms) > 1 else ""
        print(f"{what:58s} {np.median(ms):8.1f} ms  processor {np.median(cpu):7.1f}{spread}", flush=True)

    def timed(what: str, action: Callable[[], Any], times: int = 1) -> None:
        took = []
        for _ in range(times):
            began = now()
            action()
            took.append(since(began))
        report(what, took)

    def drawn(action: Callable[[], Any]) -> Callable[[], None]:
        def act() -> None:
            action()
            QApplication.processEvents()

        return act

    with tempfile.TemporaryDirectory() as temporary:
        folder, slide = Path(temporary) / "many.leuko", Path(temporary) / "many.ome.tif"
        make_slide(slide)
        write_case(folder, SlideInfo.from_slide(open_slide(slide)), SIDE, cells, RADIUS)
        viewer = view(folder, block=False)
        session = session_of(viewer)
        viewer.scene.camera.zoom, viewer.scene.camera.center = 4.0, (SIDE * MPP / 2,) * 2
        QTest.qWait(2000)
        shown: list[Any] = []
        timed(f"open the gallery of {cells:,} cells, drawn", drawn(lambda: shown.append(show_gallery(viewer))))
        gallery = shown[0]
        gallery.parent().setFloating(True)
        gallery.parent().resize(*DOCK)
        QTest.qWait(500)

        def loaded() -> None:
            while gallery.thumbnails.waiting:
                QApplication.processEvents()

        grid, bar = gallery.grid, gallery.grid.verticalScrollBar()

        def far() -> None:
            bar.setValue(int(rng.integers(bar.maximum())))
            QApplication.processEvents()
            loaded()
            QApplication.processEvents()

        rng = np.random.default_rng(1)
        timed("jump: every thumbnail in sight and two pages around read", far, 10)

        def scroll(first: int, step: int, frames: int = 120) -> list[tuple[float, float]]:
            took = []
            for frame in range(frames):
                began = now()
                bar.setValue(first + frame * step)
                QApplication.processEvents()
                took.append(since(began))
                time.sleep(max(0.0, 1 / 60 - took[-1][0]))  # what a display does; the readers go on meanwhile
            return took

        for side, step in ((96, 40), (96, 120), (48, 120), (96, 600)):
            gallery.controls.zoom.setValue(side)
            loaded()
            print(f"{len(grid.items_in_sight())} thumbnails of {grid.cards.side} px in sight")
            first = int(rng.integers(bar.maximum() // 2))
            report(f"a frame, cache cold, {step} px a frame", scroll(first, step))
            loaded()
            for at in range(first, first + 120 * step, grid.viewport().height()) if step < 600 else ():
                bar.setValue(at)
                QApplication.processEvents()
                loaded()
            if step < 600:
                report(f"a frame, cache warm, {step} px a frame", scroll(first, step))

        gallery.controls.zoom.setValue(96)
        bar.setValue(0)
        QApplication.processEvents()
        loaded()
        number = iter(range(1000))

        def correct() -> None:
            session.relabel([gallery.model.cell(next(number) % 12)], ("blast", "lymphocyte")[next(number) % 2])

        def seen(action: Callable[[], Any]) -> Callable[[], None]:
            def act() -> None:
                action()
                grid.viewport().repaint()

            return act

        # the slide's picture follows, outside of what is timed: drawn in software here, by a graphics card elsewhere
        for what, action in (("relabel one cell", correct), ("undo", session.undo)):
            took = []
            for _ in range(15):
                began = now()
                seen(action)()
                took.append(since(began))
                QTest.qWait(150)
            report(f"{what}: case, point, counts, and the row repainted", took)
        timed("relabel one cell to everything redrawn, slide too", drawn(correct), 10)
        some = gallery.model.cells(np.arange(1000))
        timed("relabel 1,000 cells to repainted", drawn(lambda: session.relabel(some, "monocyte")))
        timed("select one: its point and outline marked", drawn(lambda: grid.choose(np.array([next(number)]))), 10)
        timed("select all", drawn(grid.selectAll))
        timed("select none", drawn(grid.clearSelection))
        for name in ("verdict", "uncertainty", "probability", "size", "position"):
            at = gallery.controls.sort.findData(name)
            gallery.controls.sort.setCurrentIndex((at + 1) % 5)
            timed(f"sort by {name}, repainted", drawn(lambda at=at: gallery.controls.sort.setCurrentIndex(at)))
        timed("filter by a class, repainted", drawn(gallery.chips.chips["blast"].click))
        timed("zoom by a step, repainted", drawn(lambda: gallery.controls.zoom_by(1)), 5)
        _, outlines = viewer.window.add_plugin_dock_widget("leukoscope", "Outlines")
        timed("Outlines: open a window of 2048 px, the first time", outlines.begin)
        timed("Outlines: its first picture", drawn(lambda: None))
        timed("Outlines: close it", drawn(outlines.close_window))
        timed("Outlines: open it again", outlines.begin)
        viewer.close()
        session.close_case()


if __name__ == "__main__":
    main()
