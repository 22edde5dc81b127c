"""The gallery at 100,000 cells: opens at once, scrolls at 60 frames a second, and a key shows before it is let go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo
from leukoscope.ui import session_of
from leukoscope.ui.commands import show_counts, show_gallery

from ..conftest import in_own_window

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CELLS, SIDE, MPP = 100_000, 60_000, 0.25
CLASSES = ("blast", "lymphocyte", "neutrophil_segmented", "monocyte")
FRAME = 1 / 60
READ_S = 0.004  # what reading a thumbnail from a slide takes


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many") / "many.leuko"
    rng = np.random.default_rng(0)
    shapes = tuple((SIDE >> k, SIDE >> k) for k in range(7))
    info = SlideInfo("many", "/nowhere/many.svs", "x", shapes, tuple(float(2**k) for k in range(7)), MPP, "metadata")
    settings = RunSettings(segmenter="none", model="none", classes=CLASSES, mpp=MPP)
    places = rng.uniform(100, SIDE - 100, (CELLS, 2))
    outlines = shapely.buffer(shapely.points(places), 24.0, quad_segs=2)
    labels = rng.integers(len(CLASSES), size=CELLS)
    proba = rng.dirichlet(np.ones(len(CLASSES)), CELLS)
    rows = [
        CellRow(o, None, x, y, 113.0, None, 1.0, dict(zip(CLASSES, p.tolist(), strict=True)), CLASSES[k])
        for o, (x, y), p, k in zip(outlines, places, proba, labels, strict=True)
    ]
    with Case.create(folder, info, settings) as case:
        run = case.begin_run(settings, blocks=1)
        case.add_block(run, 0, rows)
        case.finish_run(run, "completed")
    return folder


@pytest.fixture(scope="module")
def gallery(many: Path, open_viewer: Callable[[], Any]) -> Iterator[Any]:
    viewer = open_viewer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari.utils.notifications.show_warning", lambda _: None)  # there is no slide
        session_of(viewer).open(many)
    began = time.perf_counter()
    gallery = in_own_window(show_gallery(viewer), 900, 900)
    gallery.opened_in = time.perf_counter() - began
    picture = np.random.default_rng(0).integers(0, 255, (96, 96, 3)).astype(np.uint8)

    def read(_: int) -> Any:
        time.sleep(READ_S)
        return picture

    gallery.thumbnails.set_source(read)
    yield gallery
    session_of(viewer).close_case()


def seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    QApplication.processEvents()
    return time.perf_counter() - began


def frames(gallery: Any, first: int, step: int) -> list[float]:
    bar, took = gallery.grid.verticalScrollBar(), []
    for frame in range(90):
        took.append(seconds(lambda at=first + frame * step: bar.setValue(at)))
        time.sleep(max(0.0, FRAME - took[-1]))
    return took


def loaded(gallery: Any) -> None:
    while gallery.thumbnails.waiting:
        QApplication.processEvents()


def test_it_opens_at_once(gallery: Any) -> None:
    assert gallery.model.rowCount() == CELLS
    assert gallery.opened_in < 1.5


@pytest.mark.parametrize("side", [96, 48])
def test_it_scrolls_at_60_frames_a_second_with_the_pictures_yet_to_be_read(gallery: Any, side: int) -> None:
    gallery.controls.zoom.setValue(side)
    gallery.thumbnails.set_source(gallery.thumbnails._reader.read)  # nothing is kept
    gallery.cards.clear()
    took = frames(gallery, 30_000, 60)
    assert np.median(took) < FRAME
    assert np.mean(np.array(took) < 2 * FRAME) > 0.9


def test_it_scrolls_at_60_frames_a_second_with_the_pictures_there(gallery: Any) -> None:
    gallery.controls.zoom.setValue(96)
    bar = gallery.grid.verticalScrollBar()
    for at in range(30_000, 30_000 + 90 * 60, 400):
        bar.setValue(at)
        QApplication.processEvents()
        loaded(gallery)
    took = frames(gallery, 30_000, 60)
    assert np.median(took) < FRAME / 2
    assert np.mean(np.array(took) < FRAME) > 0.9


def test_a_key_shows_in_the_row_and_the_counts_in_50_ms(gallery: Any) -> None:
    counts = show_counts(gallery.session.viewer)
    port, took = gallery.grid.viewport(), []
    gallery.grid.verticalScrollBar().setValue(0)
    first = gallery.model.cells(np.arange(10))
    for number, cell in enumerate(first):
        label = ("blast", "monocyte")[number % 2]
        gallery.grid.choose(gallery.model.places([cell]))
        QTest.qWait(60)  # the camera gets there
        blasts = counts.differential.blasts
        was = gallery.session.case.labels([cell])[cell]
        began = time.thread_time()  # what it takes of a processor, which others may use meanwhile
        QTest.keyClick(gallery.grid, {"blast": "B", "monocyte": "M"}[label])
        port.repaint()
        took.append(time.thread_time() - began)
        assert counts.differential.blasts - blasts == (label == "blast") - (was == "blast")
    assert np.median(took) < 0.05


def test_sorting_filtering_zooming_and_selecting_all_take_no_second(gallery: Any) -> None:
    for order in range(gallery.controls.sort.count()):
        assert seconds(lambda order=order: gallery.controls.sort.setCurrentIndex(order)) < 1.0
    assert seconds(gallery.chips.chips["blast"].click) < 0.5
    assert seconds(gallery.chips.chips["blast"].click) < 0.5
    assert seconds(lambda: gallery.controls.zoom_by(1)) < 0.25
    assert seconds(gallery.grid.selectAll) < 3.0
    assert len(gallery.grid.chosen()) == CELLS
    assert seconds(gallery.grid.clearSelection) < 3.0
