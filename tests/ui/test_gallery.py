"""The Cells dock: shows every cell, in the order and under the filters asked for; relabels those that are meant."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QImage, QKeyEvent, QMouseEvent, QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from leukoscope import open_case
from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.ui import session_of
from leukoscope.ui.commands import show_counts, show_gallery
from leukoscope.ui.gallery.grid import MIME
from leukoscope.ui.overlay import MARK, rgba

CELLS = 12


def shown(viewer: Any) -> Any:
    """Open the dock, in a window of its own: those of the tests' viewers stay hidden."""
    gallery = show_gallery(viewer)
    dock = gallery.parent()
    dock.setFloating(True)
    dock.resize(480, 620)
    dock.show()
    QApplication.processEvents()
    return gallery


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What would be kept for the next time; each test begins with the defaults."""
    kept: dict[str, Any] = {}
    monkeypatch.setattr("leukoscope.ui.gallery.controls.remember", lambda **values: kept.update(values))
    return kept


@pytest.fixture
def gallery(viewer: Any, case_dir: Path, qtbot: Any) -> Any:
    session_of(viewer).open(case_dir)
    gallery = shown(viewer)
    qtbot.waitUntil(lambda: all(gallery.thumbnails.get(cell)[0] for cell in cells(gallery)))
    return gallery


def cells(gallery: Any) -> list[int]:
    """Give the ids in the order shown."""
    return gallery.model.cells(np.arange(gallery.model.rowCount()))


def choose(gallery: Any, *ids: int) -> None:
    gallery.grid.choose(gallery.model.places(ids))


def chosen(gallery: Any) -> list[int]:
    return gallery.model.cells(gallery.grid.chosen())


def label(gallery: Any, cell: int) -> str:
    return gallery.session.case.labels([cell])[cell]


def center(gallery: Any, cell: int) -> QPoint:
    (place,) = gallery.model.places([cell])
    return gallery.grid._rect(int(place)).center()


def picture(gallery: Any, cell: int) -> QImage:
    (place,) = gallery.model.places([cell])
    return gallery.cards.card(int(place)).toImage()


def test_every_cell_is_there_with_its_class_color_and_picture(gallery: Any) -> None:
    table = gallery.session.case.cells
    assert sorted(cells(gallery)) == list(table["cell_id"])
    for cell in cells(gallery):
        image = picture(gallery, cell)
        expected = rgba(TAXONOMY.color(table["label"][cell - 1]))
        np.testing.assert_allclose(image.pixelColor(1, 20).getRgbF(), expected, atol=0.01)
        known, thumbnail = gallery.thumbnails.get(cell)
        assert known
        assert thumbnail is not None


def test_a_thumbnail_has_its_cell_in_the_middle(gallery: Any, smear: Path) -> None:
    from leukoscope import open_slide

    row = gallery.session.case.cells.iloc[4]
    _, image = gallery.thumbnails.get(5)
    slide = open_slide(smear)
    x, y = int(row["x"]), int(row["y"])
    around = slide.read((y - 2, x - 2, 5, 5)).reshape(-1, 3).mean(axis=0)
    middle = image.width() // 2
    here = [image.pixelColor(middle + i, middle + j).getRgb()[:3] for i in range(-2, 3) for j in range(-2, 3)]
    np.testing.assert_allclose(np.mean(here, axis=0), around, atol=12)


def test_a_key_gives_the_selection_its_class_and_nothing_else_changes_place(gallery: Any, case_dir: Path) -> None:
    before = cells(gallery)
    choose(gallery, 2, 5)
    QTest.keyClick(gallery.grid, "R")
    assert [label(gallery, cell) for cell in (2, 5)] == ["erythroblast"] * 2
    assert cells(gallery) == before, "nothing jumps"
    assert gallery.chips.chips["erythroblast"].count == 2
    assert gallery.session.cells.features["label"][1] == "erythroblast"
    np.testing.assert_allclose(
        picture(gallery, 2).pixelColor(1, 20).getRgbF(), rgba(TAXONOMY.color("erythroblast")), atol=0.01
    )
    assert gallery.refresh.isEnabled()
    QTest.mouseClick(gallery.refresh, Qt.MouseButton.LeftButton)
    assert cells(gallery) != before, "sorted by class again"
    assert sorted(chosen(gallery)) == [2, 5], "still selected, in their new places"
    gallery.session.close_case()
    with open_case(case_dir) as case:
        assert list(case.cells["label"][[1, 4]]) == ["erythroblast"] * 2


def test_only_the_changed_rows_are_told(gallery: Any, qtbot: Any) -> None:
    told: list[int] = []
    gallery.model.dataChanged.connect(lambda a, b, *_: told.extend(range(a.row(), b.row() + 1)))
    with qtbot.assertNotEmitted(gallery.model.modelReset):
        gallery.session.relabel([3, 4, 9], "smudge")
    assert sorted(told) == sorted(gallery.model.places([3, 4, 9]).tolist())


def test_without_a_selection_in_sight_the_cell_under_the_mouse_is_meant(gallery: Any) -> None:
    gallery.grid.clearSelection()
    cell = cells(gallery)[3]
    QTest.mouseMove(gallery.grid.viewport(), center(gallery, cell) + QPoint(3, 3))
    QTest.mouseMove(gallery.grid.viewport(), center(gallery, cell))
    QApplication.processEvents()
    assert gallery.target_cells() == [cell]
    QTest.keyClick(gallery.grid, "E")
    assert label(gallery, cell) == "eosinophil"
    assert len(gallery.session.case.events) == 1


def test_a_selection_scrolled_away_is_left_alone(gallery: Any, notes: list[str]) -> None:
    gallery.controls.zoom.setValue(256)
    choose(gallery, cells(gallery)[0])
    gallery.grid.verticalScrollBar().setValue(gallery.grid.verticalScrollBar().maximum())
    QTest.keyClick(gallery.grid, "E")
    assert gallery.session.case.events == ()
    assert "No cell is meant" in notes[-1]


def test_undo_and_redo_work_here_too_and_the_tick_follows(gallery: Any) -> None:
    row = cells(gallery)[0] - 1
    before, was = label(gallery, row + 1), picture(gallery, row + 1)
    choose(gallery, row + 1)
    QTest.keyClick(gallery.grid, "X")
    assert gallery.model.table.reviewed[row]
    assert np.isnan(gallery.model.table.probability[row]), "the model does not know the class"
    QTest.keyClick(gallery.grid, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert label(gallery, row + 1) == before
    assert not gallery.model.table.reviewed[row]
    assert picture(gallery, row + 1) == was
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    QTest.keyClick(gallery.grid, Qt.Key.Key_Z, both)
    assert label(gallery, row + 1) == "artefact"


def test_the_key_of_its_own_class_marks_a_cell_as_reviewed(gallery: Any) -> None:
    row = int(np.flatnonzero(gallery.session.case.cells["label"] == "blast")[0])
    choose(gallery, row + 1)
    QTest.keyClick(gallery.grid, "B")
    assert gallery.model.table.reviewed[row]
    assert label(gallery, row + 1) == "blast"


def test_the_counts_follow_keys_pressed_here(viewer: Any, gallery: Any) -> None:
    counts = show_counts(viewer)
    blasts = counts.differential.blasts
    other = next(cell for cell in cells(gallery) if label(gallery, cell) != "blast")
    choose(gallery, other)
    QTest.keyClick(gallery.grid, "B")
    assert counts.differential.blasts == blasts + 1


def test_selecting_a_thumbnail_moves_the_camera_and_marks_the_cell(viewer: Any, gallery: Any, qtbot: Any) -> None:
    QTest.mouseClick(gallery.grid.viewport(), Qt.MouseButton.LeftButton, pos=center(gallery, 7))
    layer = gallery.session.cells
    assert layer.selected_data == {6}
    goal = layer.data_to_world(layer.data[6])
    qtbot.waitUntil(lambda: np.allclose(np.asarray(viewer.scene.camera.center)[-2:], goal))
    labels = gallery.session.overlay
    code = np.asarray(labels.data[0])[tuple(layer.data[6].round().astype(int))]
    np.testing.assert_allclose(labels.colormap.map(code), rgba(MARK), atol=1e-6)


def test_several_are_selected_with_shift_and_ctrl_and_the_camera_stays(viewer: Any, gallery: Any, qtbot: Any) -> None:
    order, port, left = cells(gallery), gallery.grid.viewport(), Qt.MouseButton.LeftButton
    QTest.mouseClick(port, left, pos=center(gallery, order[1]))
    qtbot.wait(100)
    before = tuple(viewer.scene.camera.center)
    QTest.mouseClick(port, left, Qt.KeyboardModifier.ShiftModifier, center(gallery, order[4]))
    assert chosen(gallery) == order[1:5]
    QTest.mouseClick(port, left, Qt.KeyboardModifier.ControlModifier, center(gallery, order[2]))
    assert chosen(gallery) == [order[1], *order[3:5]]
    QTest.mouseClick(port, left, Qt.KeyboardModifier.ControlModifier, center(gallery, order[8]))
    assert chosen(gallery) == [order[1], *order[3:5], order[8]]
    qtbot.wait(100)
    assert tuple(viewer.scene.camera.center) == before
    assert gallery.session.cells.selected_data == {cell - 1 for cell in chosen(gallery)}
    QTest.mouseClick(port, left, pos=center(gallery, order[6]))
    QTest.mouseClick(port, left, Qt.KeyboardModifier.ShiftModifier, center(gallery, order[3]))
    assert chosen(gallery) == order[3:7], "backward too"


def test_arrow_keys_walk_through_the_grid(gallery: Any) -> None:
    order, columns = cells(gallery), gallery.grid.columns
    choose(gallery, order[0])
    for key, at in ((Qt.Key.Key_Right, 1), (Qt.Key.Key_Down, 1 + columns), (Qt.Key.Key_Left, columns)):
        QTest.keyClick(gallery.grid, key)
        assert chosen(gallery) == [order[at]]
    QTest.keyClick(gallery.grid, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert chosen(gallery) == order[columns : columns + 2]
    QTest.keyClick(gallery.grid, Qt.Key.Key_End)
    assert chosen(gallery) == order[-1:]
    QTest.keyClick(gallery.grid, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    assert chosen(gallery) == order


def test_a_cell_selected_on_the_slide_is_selected_and_in_sight_here(gallery: Any) -> None:
    gallery.controls.zoom.setValue(256)
    last = cells(gallery)[-1]
    gallery.session.cells.selected_data = {last - 1}
    assert chosen(gallery) == [last]
    (place,) = gallery.model.places([last])
    assert place in gallery.grid.items_in_sight()
    gallery.session.cells.selected_data = set()
    assert chosen(gallery) == []


def test_a_click_on_a_cell_of_the_slide_selects_it(viewer: Any, gallery: Any) -> None:
    layer = gallery.session.cells
    assert str(layer.mode) == "pan_zoom"
    click(layer, layer.data_to_world(layer.data[4]))
    assert chosen(gallery) == [5]
    click(layer, layer.data_to_world(layer.data[8]), dragged=30.0)
    assert chosen(gallery) == [5], "that moved the view"
    click(layer, (-50.0, -50.0))
    assert chosen(gallery) == []


def click(layer: Any, place: Any, dragged: float = 0.0) -> None:
    """Do what napari does at a press, a move and a release of the mouse."""
    from types import SimpleNamespace

    event = SimpleNamespace(type="mouse_press", pos=(100.0, 100.0), position=tuple(place))
    (steps,) = [step for call in layer.mouse_drag_callbacks if (step := call(layer, event)) is not None]
    next(steps)
    event.type, event.pos = "mouse_move", (100.0 + dragged, 100.0)
    next(steps)
    event.type = "mouse_release"
    assert next(steps, None) is None


def test_a_selection_that_is_filtered_out_is_said_to_be(gallery: Any) -> None:
    QTest.mouseClick(gallery.chips.chips["blast"], Qt.MouseButton.LeftButton)
    other = next(c for c in range(1, CELLS + 1) if c not in cells(gallery))
    gallery.session.cells.selected_data = {other - 1}
    assert "filters leave it out" in gallery.status.text()


def test_chips_filter_by_class_one_or_several(gallery: Any) -> None:
    table = gallery.session.case.cells
    chips, left = gallery.chips.chips, Qt.MouseButton.LeftButton
    of = {name: set(table["cell_id"][table["label"] == name]) for name in set(table["label"])}
    QTest.mouseClick(chips["blast"], left)
    assert set(cells(gallery)) == of["blast"]
    QTest.mouseClick(chips["lymphocyte"], left)
    assert set(cells(gallery)) == of["lymphocyte"]
    QTest.mouseClick(chips["lymphocyte"], left)
    assert len(cells(gallery)) == len(table), "a second click shows all"
    assert {name: chip.count for name, chip in chips.items() if chip.count} == {n: len(ids) for n, ids in of.items()}
    assert list(chips)[: len(TAXONOMY.by_key())] == list(TAXONOMY.by_key().values())


def test_filters_by_review_probability_and_id(gallery: Any, qtbot: Any) -> None:
    gallery.session.relabel([4], "blast")
    gallery.controls.reviewed.setCurrentIndex(2)
    assert cells(gallery) == [4]
    gallery.controls.reviewed.setCurrentIndex(1)
    assert sorted(cells(gallery)) == [c for c in range(1, len(gallery.session.case) + 1) if c != 4]
    QTest.mouseClick(gallery.all, Qt.MouseButton.LeftButton)
    table = gallery.session.case.cells
    gallery.controls.low.setValue(70)
    wanted = set(table["cell_id"][table["probability"] >= 0.7])
    qtbot.waitUntil(lambda: set(cells(gallery)) == wanted)
    QTest.mouseClick(gallery.all, Qt.MouseButton.LeftButton)
    gallery.controls.ids.setText("2, 5 - 7")
    qtbot.waitUntil(lambda: sorted(cells(gallery)) == [2, 5, 6, 7])
    gallery.controls.ids.setText("five")
    qtbot.waitUntil(lambda: len(cells(gallery)) == len(table))
    assert "Not ids" in gallery.controls.ids.toolTip()


@pytest.mark.parametrize(
    ("order", "column", "largest_first"),
    [("uncertainty", "entropy", True), ("probability", "probability", False), ("size", "area_um2", True)],
)
def test_orders(gallery: Any, order: str, column: str, largest_first: bool) -> None:
    gallery.controls.by_class.setChecked(False)
    gallery.controls.sort.setCurrentIndex(gallery.controls.sort.findData(order))
    values = gallery.session.case.cells[column].to_numpy()[np.array(cells(gallery)) - 1]
    assert (np.diff(values) <= 0).all() if largest_first else (np.diff(values) >= 0).all()
    gallery.controls.backward.setChecked(True)
    values = gallery.session.case.cells[column].to_numpy()[np.array(cells(gallery)) - 1]
    assert (np.diff(values) >= 0).all() if largest_first else (np.diff(values) <= 0).all()
    gallery.controls.by_class.setChecked(True)
    codes = gallery.model.table.codes[gallery.model.order]
    assert (np.diff(codes) >= 0).all()


def test_another_order_begins_at_the_top_sorting_again_stays_where_it_was(gallery: Any) -> None:
    gallery.controls.zoom.setValue(256)
    bar = gallery.grid.verticalScrollBar()
    bar.setValue(bar.maximum())
    gallery.session.relabel([1], "smudge")
    QTest.mouseClick(gallery.refresh, Qt.MouseButton.LeftButton)
    assert bar.value() == bar.maximum() > 0
    gallery.controls.backward.setChecked(True)
    assert bar.value() == 0
    first = cells(gallery)[0]
    choose(gallery, first)
    gallery.controls.backward.setChecked(False)
    (place,) = gallery.model.places([first])
    assert place in gallery.grid.items_in_sight(), "a selected cell is followed"


def test_what_could_flip_the_verdict_comes_first_and_reviewed_cells_last(gallery: Any) -> None:
    from leukoscope.hematology.decide import flip_order

    gallery.controls.by_class.setChecked(False)
    gallery.session.relabel([3], "blast")
    gallery.controls.sort.setCurrentIndex(gallery.controls.sort.findData("verdict"))
    case, table = gallery.session.case, gallery.session.case.cells
    proba = table[[f"p_{name}" for name in case.settings.classes]].to_numpy()
    reviewed = (table["source"] == "reviewer").to_numpy()
    order = flip_order(proba, table["label"], case.settings.classes, case.settings.profile, reviewed=reviewed)
    gallery.arrange()
    assert cells(gallery) == (order + 1).tolist()
    assert cells(gallery)[-1] == 3


def drop(target: Any, data: QMimeData) -> None:
    """Do what Qt does at the end of a drag, which a test cannot make."""
    copy, left, held = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(5, 5), copy, data, left, held)
    enter.ignore()
    target.dragEnterEvent(enter)
    if enter.isAccepted():
        target.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, held))


def test_a_selection_dropped_on_a_chip_gets_its_class(gallery: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dragged: list[QMimeData] = []

    class Drag:
        def __init__(self, *_: Any) -> None: ...
        def setMimeData(self, data: QMimeData) -> None:  # noqa: N802
            dragged.append(data)

        def setPixmap(self, _: Any) -> None: ...  # noqa: N802
        def exec(self, *_: Any) -> None:
            drop(gallery.chips.chips["monocyte"], dragged[0])

    monkeypatch.setattr("leukoscope.ui.gallery.grid.QDrag", Drag)
    order, port = cells(gallery), gallery.grid.viewport()
    choose(gallery, order[0], order[3])
    start = center(gallery, order[3])
    QTest.mousePress(port, Qt.MouseButton.LeftButton, pos=start)
    for step in (QPoint(6, 6), QPoint(40, 5)):  # QTest's moves hold no button
        at, left, held = QPointF(start + step), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        move = QMouseEvent(QEvent.Type.MouseMove, at, QPointF(port.mapToGlobal(start + step)), left, left, held)
        QApplication.sendEvent(port, move)
    assert bytes(dragged[0].data(MIME)).decode() == f"{order[0]},{order[3]}"
    assert {label(gallery, order[0]), label(gallery, order[3])} == {"monocyte"}
    assert len(gallery.session.case.events) == 1


def test_other_drops_are_refused(gallery: Any) -> None:
    data = QMimeData()
    data.setText("blast")
    assert not data.hasFormat(MIME)
    drop(gallery.chips.chips["monocyte"], data)
    assert gallery.session.case.events == ()


def test_ctrl_wheel_and_slider_zoom_and_the_top_stays(gallery: Any, qtbot: Any) -> None:
    grid = gallery.grid
    wheel = QWheelEvent(
        QPointF(50, 50),
        QPointF(50, 50),
        QPoint(),
        QPoint(0, 120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.ControlModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    before = gallery.cards.side
    QApplication.sendEvent(grid.viewport(), wheel)
    assert gallery.cards.side > before
    gallery.controls.zoom.setValue(256)
    grid.verticalScrollBar().setValue(2 * gallery.cards.pitch.height())
    top = grid.items_in_sight().start
    gallery.controls.zoom.setValue(250)
    assert grid.items_in_sight().start == top // grid.columns * grid.columns
    seen = cells(gallery)[top]
    qtbot.waitUntil(lambda: gallery.thumbnails.get(seen)[1] is not None)
    _, image = gallery.thumbnails.get(seen)
    assert image.width() >= 90, "24 µm at 0.25 µm per pixel: what the slide has"


def test_size_and_order_are_remembered(gallery: Any, kept: dict[str, Any], qtbot: Any) -> None:
    gallery.controls.zoom.setValue(140)
    gallery.controls.sort.setCurrentIndex(gallery.controls.sort.findData("size"))
    qtbot.waitUntil(lambda: kept == {"thumbnail": 140, "sort": "size", "by_class": True}, timeout=3000)


def test_no_case_and_no_cells_are_said(viewer: Any, gallery: Any) -> None:
    gallery.session.close_case()
    assert "No case is open" in gallery.grid.message
    assert gallery.model.rowCount() == 0
    QTest.keyClick(gallery.grid, "B")
    gallery.controls.ids.setText("")


def test_a_filter_that_nothing_passes_says_so(gallery: Any) -> None:
    QTest.mouseClick(gallery.chips.chips["basophil"], Qt.MouseButton.LeftButton)
    assert gallery.model.rowCount() == 0
    assert "No cell passes" in gallery.grid.message
    assert gallery.all.isEnabled()


def test_a_read_only_case_says_why_nothing_changes(viewer: Any, case_dir: Path, notes: list[str], qtbot: Any) -> None:
    with open_case(case_dir):
        session_of(viewer).open(case_dir)
        gallery = shown(viewer)
        assert "Read only" in gallery.notice.text()
        notes.clear()
        choose(gallery, 1)
        QTest.keyClick(gallery.grid, "R")
        assert len(notes) == 1
        assert "reading only" in notes[0]
        assert label(gallery, 1) != "erythroblast"
        session_of(viewer).close_case()


def test_without_the_slide_the_thumbnails_say_so_and_keys_work(
    viewer: Any,
    case_dir: Path,
    smear: Path,
    notes: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    from leukoscope.slides import open_slide

    monkeypatch.setattr(
        "leukoscope.ui._state.open_slide",
        lambda path, mpp=None: open_slide("/nowhere.tiff" if str(path) == str(smear) else path, mpp=mpp),
    )
    session = session_of(viewer)
    session.open(case_dir)
    gallery = shown(viewer)
    assert "Find slide" in gallery.notice.text()
    assert not gallery.thumbnails.has_source
    missing = picture(gallery, 2)
    choose(gallery, 2)
    QTest.keyClick(gallery.grid, "R")
    assert label(gallery, 2) == "erythroblast"
    moved = tmp_path / "elsewhere" / smear.name
    moved.parent.mkdir()
    shutil.copy2(smear, moved)
    session.locate_slide(moved)
    qtbot.waitUntil(lambda: gallery.thumbnails.get(2)[1] is not None)
    assert picture(gallery, 2) != missing
    assert not gallery.notice.isVisible()


def test_a_part_of_the_slide_that_cannot_be_read_does_not_end_the_reading(gallery: Any, qtbot: Any) -> None:
    from leukoscope.errors import SlideError

    def read(cell: int) -> Any:
        if cell == 2:
            raise SlideError("damaged")
        return np.full((20, 20, 3), 40, np.uint8)

    gallery.thumbnails.set_source(read)
    gallery.thumbnails.want([2, 3])
    qtbot.waitUntil(lambda: gallery.thumbnails.get(2) == (True, None) and gallery.thumbnails.get(3)[1] is not None)


def test_pictures_are_read_elsewhere_those_in_sight_first_and_the_others_dropped(gallery: Any, qtbot: Any) -> None:
    import threading

    begun: list[int] = []
    gate, elsewhere = threading.Event(), set()

    def read(cell: int) -> Any:
        begun.append(cell)
        elsewhere.add(threading.current_thread() is not threading.main_thread())
        gate.wait(5)
        return np.zeros((8, 8, 3), np.uint8)

    gallery.thumbnails.set_source(read)
    gallery.thumbnails.want(range(1, 8))
    qtbot.waitUntil(lambda: len(begun) == 2)
    gallery.thumbnails.want([11, 12])
    gate.set()
    qtbot.waitUntil(lambda: not gallery.thumbnails.waiting)
    assert begun == [1, 2, 11, 12]
    assert elsewhere == {True}


def test_what_was_looked_at_last_is_kept(gallery: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukoscope.ui.gallery.thumbnails.BUDGET", 3 * 16 * 16 * 4)
    gallery.thumbnails.set_source(lambda _: np.zeros((16, 16, 3), np.uint8))
    for cell in (1, 2, 3):
        gallery.thumbnails.want([cell])
        qtbot.waitUntil(lambda cell=cell: gallery.thumbnails.get(cell)[0])
    gallery.thumbnails.get(1)
    gallery.thumbnails.want([4])
    qtbot.waitUntil(lambda: gallery.thumbnails.get(4)[0])
    assert [cell for cell in range(1, 5) if gallery.thumbnails.get(cell)[0]] == [1, 3, 4]


def test_cells_at_the_edge_are_shown_on_gray() -> None:
    from types import SimpleNamespace

    from leukoscope.ui.gallery.thumbnails import BEYOND, read_field

    whole = np.full((100, 120, 3), 10, np.uint8)

    def read_region(region: Any, level: int) -> Any:
        y, x, h, w = region
        return whole[max(y, 0) : y + h, max(x, 0) : x + w]

    slide = SimpleNamespace(downsamples=(1.0, 2.0), read=read_region)
    read = read_field(slide, [0.0, 119.0], [0.0, 99.0], 0.5, 40)  # type: ignore[arg-type]
    first, last = read(1), read(2)
    assert first.shape == last.shape == (48, 48, 3)
    assert (first[:24, :24] == BEYOND).all()
    assert (first[24:, 24:] == 10).all()
    assert (last[:24, :24] == 10).all()
    assert (last[26:, 26:] == BEYOND).all()


def test_a_closed_dock_neither_listens_nor_reads(viewer: Any, gallery: Any, qapp: Any) -> None:
    session, reader = gallery.session, gallery.thumbnails._reader
    assert gallery._on_relabeled in session.relabeled
    dock = gallery.parent()
    viewer.window.remove_dock_widget(gallery)
    dock.deleteLater()
    gallery.deleteLater()
    qapp.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
    qapp.processEvents()
    assert gallery._on_relabeled not in session.relabeled
    assert reader.read is None
    for thread in reader._threads:
        thread.join(5)
        assert not thread.is_alive()
    session.relabel([1], "blast")
    session.cells.selected_data = {1}


def test_cells_that_an_analysis_finds_appear(viewer: Any, gallery: Any, qtbot: Any) -> None:
    before = gallery.model.table
    gallery.session.cells_added.emit(3)
    qtbot.waitUntil(lambda: gallery.model.table is not before)
    assert len(cells(gallery)) == len(gallery.session.case)


def test_our_keys_are_claimed_only_here(gallery: Any) -> None:
    def claimed(key: Any, held: Any = Qt.KeyboardModifier.NoModifier) -> bool:
        event = QKeyEvent(QEvent.Type.ShortcutOverride, key, held)
        event.ignore()
        QApplication.sendEvent(gallery.grid, event)
        return event.isAccepted()

    assert claimed(Qt.Key.Key_B)
    assert claimed(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert not claimed(Qt.Key.Key_3)
    assert not claimed(Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
