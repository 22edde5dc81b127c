"""Outlines drawn in the viewer: what the window shows, what its tools do, and what becomes of it in the case."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import shapely

from leukoscope.cases import open_case
from leukoscope.errors import CaseError, SettingsError
from leukoscope.ui import session_of
from leukoscope.ui._napari import camera
from leukoscope.ui.analyze import AnalyzeWidget
from leukoscope.ui.gallery import GalleryWidget
from leukoscope.ui.outlining import OutlinesWidget, Window
from leukoscope.ui.outlining.strokes import cut, join

from .conftest import MPP, SIZE, all_blasts


@pytest.fixture
def session(viewer: Any, case_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A case that was drawn; new outlines are measured, and classified as blasts."""
    monkeypatch.setattr("leukoscope.ui.outlining.widget.reclassify", all_blasts)
    session = session_of(viewer)
    session.open(case_dir)
    camera(viewer).center = (SIZE / 2 * MPP, SIZE / 2 * MPP)
    return session


@pytest.fixture
def dock(viewer: Any, session: Any) -> Any:
    widget = OutlinesWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Outlines")
    widget.begin()
    return widget


def committed(dock: Any, qtbot: Any) -> Any:
    dock.keep()
    if dock.worker is not None:
        qtbot.waitUntil(lambda: dock.worker is None, timeout=120_000)
    return dock.session.case.events[-1] if dock.session.case.events else None


def dragged(layers: Any, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Drag on the layer, as napari tells it."""
    event = SimpleNamespace(type="mouse_press", position=layers.edit.data_to_world(start))
    steps = layers._on_drag(layers.edit, event)
    next(steps)
    event.type, event.position = "mouse_move", layers.edit.data_to_world(end)
    next(steps)
    event.type = "mouse_release"
    assert next(steps, None) is None


def middle(case: Any, cell: int) -> tuple[int, int]:
    center = case.outlines([cell])[cell][0].representative_point()
    return int(center.y), int(center.x)


def test_a_window_shows_the_cells_that_lie_in_it(session: Any) -> None:
    case = session.case
    window = Window.around(case, (SIZE / 2, SIZE / 2))
    assert window.labels.shape == (SIZE, SIZE)
    assert set(np.unique(window.labels)) == {0, *case.ids}
    assert not window.locked.any()
    some = case.ids[0]
    x0, y0, _, y1 = case.outlines([some])[some][0].bounds
    part = Window.around(case, ((y0 + y1) / 2, x0 + 200 if x0 + 200 < SIZE else x0 - 200), side=400)
    assert part.labels.shape == (400, 400)
    cut_ones = [
        cell
        for cell, (outline, _) in case.outlines().items()
        if not shapely.box(part.origin[1], part.origin[0], part.origin[1] + 400, part.origin[0] + 400).covers(outline)
    ]
    assert set(part.ids[np.unique(part.labels)]) == {0, *case.ids} - set(cut_ones)
    painted = np.where(part.locked, 99, part.labels)
    assert part.changes(painted).removed == ()  # nobody paints over them
    assert part.labels.dtype == np.uint16  # 32 bits cost numba's compiler when napari first draws them
    for cell in set(part.ids[part.labels[part.labels > 0]]):
        y, x = middle(case, cell)
        assert part.ids[part.labels[y - part.origin[0], x - part.origin[1]]] == cell
        gone = np.where(part.ids[part.labels] == cell, 0, part.labels)
        assert part.changes(gone)[:3] == ((cell,), (), ())
    with pytest.raises(SettingsError, match="beside the slide"):
        Window.around(case, (-5, 10))


def test_lines_cut_and_join(session: Any) -> None:
    labels = np.zeros((60, 80), np.int32)
    labels[10:50, 10:50] = 3
    labels[10:50, 54:70] = 5
    pixels, values = cut(labels, ((5, 20), (55, 20)), 7)
    done = labels.copy()
    done[pixels] = values
    assert set(values) == {7}
    assert np.count_nonzero(done == 7) + np.count_nonzero(done == 3) == 1600  # nothing is lost under the knife
    assert cut(labels, ((30, 20), (30, 40)), 7) is None  # not from side to side
    pixels, values = join(labels, ((30, 40), (30, 60)))
    done[:] = labels
    done[pixels] = values
    assert set(np.unique(done)) == {0, 3}
    assert (done[30, 10:70] == 3).all()
    assert join(labels, ((30, 12), (30, 40))) is None


def test_a_commit_follows_into_case_layers_counts_and_gallery(
    viewer: Any, session: Any, dock: Any, qtbot: Any, notes: list[str]
) -> None:
    case = session.case
    gallery = GalleryWidget(viewer)
    qtbot.addWidget(gallery)
    first, second, third = case.ids[:3]
    session.relabel([first], "monocyte")
    before, edit = len(case), dock.layers.edit
    assert viewer.layers.selection.active is edit
    assert not session.overlay.visible
    for point in (middle(case, first), middle(case, second)):
        assert edit.get_value(edit.data_to_world(point), world=True) == case.ids[:2][point != middle(case, first)]

    grown = np.nonzero(edit.data == first)
    edit.data_setitem((grown[0] + 2, grown[1] + 2), first)  # redrawn: larger at its lower right
    edit.selected_label = second
    dock.delete.click()
    y, x = middle(case, third)
    dock.cut.click()
    dragged(dock.layers, (y - 90, x), (y + 90, x))
    free = dock.layers.free_label()
    dock.new.click()
    assert (edit.selected_label, str(edit.mode)) == (free, "paint")
    spot = next(
        (y, x)
        for y in range(40, SIZE - 40, 20)
        for x in range(40, SIZE - 40, 20)
        if not edit.data[y - 30 : y + 30, x - 30 : x + 30].any()
    )
    edit.brush_size = 40
    edit.paint(spot, free)

    event = committed(dock, qtbot)
    assert notes[-1:] == ["Cells removed: 3, drawn: 4. Undo brings back what was."]
    assert event.removed == (first, second, third)
    assert sorted(event.drawn.values()) == [(), (first,), (third,), (third,)]
    redrawn = next(cell for cell, of in event.drawn.items() if of == (first,))
    assert case.labels([redrawn]) == {redrawn: "monocyte"}
    assert len(case) == before + 1
    assert dock.layers is None
    assert [layer.name for layer in viewer.layers] == ["smear", "labels", "cells"]
    assert session.overlay.visible
    cells = session.cells
    assert len(cells.data) == case.last_id
    assert (np.flatnonzero(~cells.shown) + 1).tolist() == [first, second, third]
    qtbot.waitUntil(lambda: gallery.model.rowCount() == len(case), timeout=10_000)
    assert sorted(gallery.model.cells(np.arange(len(case)))) == case.ids
    assert (cells.face_color[:3, 3] == 0).all()
    assert cells.get_value(cells.data_to_world(cells.data[second - 1] + 1), world=True) is None  # nor can it be hit
    y, x = middle(case, redrawn)
    ids = np.asarray(case.label_levels()[0])
    assert ids[y, x] == redrawn
    assert not np.isin(ids, [first, second, third]).any()

    session.undo()
    assert case.ids == list(range(1, before + 1))
    assert cells.shown[:before].all()
    assert not cells.shown[before:].any()
    assert session.overlay.get_value(session.overlay.data_to_world(middle(case, second)), world=True)[1]
    session.redo()
    assert len(case) == before + 1


def test_cells_are_joined_and_crumbs_are_left_out(session: Any, dock: Any, qtbot: Any) -> None:
    case, layers = session.case, dock.layers
    parts = layers.edit.data
    some = case.ids[3]
    y, x = middle(case, some)
    dock.cut.click()
    dragged(layers, (y - 90, x), (y + 90, x))
    event = committed(dock, qtbot)
    left, right = event.drawn
    assert event.drawn == {left: (some,), right: (some,)}
    assert layers.edit.data is parts
    dock.begin()
    dock.join.click()
    dragged(dock.layers, *(middle(case, cell) for cell in (left, right)))
    now = dock.layers.edit.data
    corner = np.argwhere(now == 0)[0]
    now[tuple(corner)] = now[middle(case, left)]  # slipped off the brush
    event = committed(dock, qtbot)
    assert event.removed == (left, right)
    assert list(event.drawn.values()) == [(left, right)]
    whole, old = (case.outlines([cell])[cell][0] for cell in (*event.drawn, some))
    assert shapely.intersection(whole, old).area > 0.9 * shapely.union(whole, old).area


def test_what_is_no_cell_is_refused_and_the_window_stays(
    viewer: Any, session: Any, dock: Any, qtbot: Any, notes: list[str]
) -> None:
    assert committed(dock, qtbot) is None
    assert notes[-1] == "No outline was changed."
    free = dock.layers.free_label()
    empty = np.argwhere(dock.layers.edit.data == 0)[0]
    dock.layers.edit.data_setitem(tuple(np.array([n]) for n in empty), free)
    assert committed(dock, qtbot) is None
    assert "too small for a cell (1 px)" in notes[-1]
    assert dock.layers is not None
    dock.discard.click()
    assert dock.layers is None
    assert session.case.events == ()
    dock.begin()
    viewer.layers.remove(dock.layers.edit)
    assert dock.layers is None
    dock.begin()
    session.close_case()
    assert dock.layers is None
    assert not [layer for layer in viewer.layers if layer.name in ("outlines to edit", "locked")]
    dock.begin()
    assert "no case is open" in notes[-1]


def test_a_signed_case_and_a_blinded_reading_are_not_edited(
    viewer: Any, session: Any, notes: list[str], dock: Any
) -> None:
    dock.close_window()
    session.read_blinded("al")
    dock.begin()
    assert "blinded reading" in notes[-1]
    session.end_reading()
    case = session.case
    case.edit_outlines(case.ids[:1], [], "mk")
    session.read_blinded("al")  # the reader sees what is there
    assert (np.flatnonzero(~session.cells.shown) + 1).tolist() == [1]
    session.end_reading()
    case.sign("Dr. K", review="none")
    dock.begin()
    assert "signed" in notes[-1]


def test_a_window_where_no_cell_is(tmp_path: Path, finished_case: Path) -> None:
    with open_case(finished_case, readonly=True) as case:
        bounds = [outline.bounds for outline, _ in case.outlines().values()]
        spots = ((y, x) for y in range(0, SIZE, 25) for x in range(0, SIZE, 25))
        free = next(
            (y, x)
            for y, x in spots
            if not any(a < x + 12 and x < c and b < y + 12 and y < d for a, b, c, d in bounds)
            and 6 < x < SIZE - 12
            and 6 < y < SIZE - 12
        )
        window = Window.around(case, (free[0] + 5.0, free[1] + 5.0), side=10)
    assert not window.labels.any()
    assert window.changes(window.labels).removed == ()


def test_another_window_opens_only_when_nothing_drawn_would_be_lost(dock: Any, notes: list[str]) -> None:
    layers = dock.layers
    layers.delete(1)
    dock.begin()
    assert dock.layers is layers
    assert "not committed" in notes[-1]
    dock.close_window()
    dock.begin()
    assert dock.layers is not None


def test_nothing_takes_the_place_of_outlines_that_are_not_committed(
    viewer: Any, dock: Any, session: Any, notes: list[str]
) -> None:
    case, drawn = session.case, dock.layers.edit
    dock.layers.delete(1)
    with pytest.raises(CaseError, match="not committed"):
        session.open(case.path)
    with pytest.raises(CaseError, match="not committed"):
        session.read_blinded("al")
    analyze = AnalyzeWidget(viewer)
    analyze.start()
    assert not analyze.running
    assert "not committed" in notes[-1]
    assert session.case is case
    assert drawn in viewer.layers
    dock.close_window()
    session.read_blinded("al")
    session.end_reading()


def test_a_dock_that_is_opened_again_goes_on_with_what_was_drawn(viewer: Any, dock: Any, qtbot: Any) -> None:
    case = dock.session.case
    before = len(case)
    dock.layers.delete(1)
    dock.cut.click()
    viewer.window.remove_dock_widget(dock)
    again = OutlinesWidget(viewer)
    viewer.window.add_dock_widget(again, name="Outlines")
    assert again.commit.isEnabled()
    assert not again.cut.isChecked()
    assert committed(again, qtbot).kind == "outline"
    assert len(case) == before - 1


def test_outlines_that_are_taken_from_the_list_of_layers_are_let_go(viewer: Any, dock: Any, session: Any) -> None:
    dock.layers.delete(1)
    viewer.window.remove_dock_widget(dock)
    viewer.layers.remove(dock.layers.edit)
    session.read_blinded("al")


@pytest.mark.parametrize("docked", [True, False])
def test_a_window_closes_with_its_case(
    viewer: Any, dock: Any, session: Any, case_dir: Path, tmp_path: Path, docked: bool
) -> None:
    opened, another = dock.layers, tmp_path / "another.leuko"
    shutil.copytree(case_dir, another)
    if not docked:
        viewer.window.remove_dock_widget(dock)
    session.open(another)
    assert opened.edit not in viewer.layers
    assert not dock.commit.isEnabled() or not docked
    assert session.overlay.visible


def test_napari_asks_before_it_closes_over_an_open_window(viewer: Any, dock: Any) -> None:
    asks = viewer.window._task_status_manager.get_status
    assert any("outlines" in line for line in asks())
    dock.close_window()
    assert asks() == []


def test_a_tool_of_naparis_ends_cut_and_join(dock: Any) -> None:
    dock.cut.click()
    assert "line across" in dock.status.text()
    dock.layers.edit.mode = "paint"
    assert not dock.cut.isChecked()
    assert "Brush 2" in dock.status.text()
    before = dock.layers.edit.data.copy()
    drag = dock.layers._on_drag(dock.layers.edit, SimpleNamespace(type="mouse_press", position=(0.0, 0.0)))
    assert next(drag, "over") == "over", "a stroke of the brush cuts nothing"
    np.testing.assert_array_equal(dock.layers.edit.data, before)
    dock.join.click()
    dock.new.click()
    assert not dock.join.isChecked()
    assert dock.layers.edit.mode == "paint"
