"""Only points near the view are drawn; what is seen, and what a correction does to it, is as if all were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from leukoscope.ui import _in_sight, session_of
from leukoscope.ui._napari import camera

CLOSE = 8.0  # zoom: a few cells


@pytest.fixture
def session(viewer: Any, case_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(_in_sight, "MANY", 3)
    monkeypatch.setattr(_in_sight, "MARGIN", 0.2)
    session_of(viewer).open(case_dir)
    session_of(viewer).overlay.visible = False
    viewer.window._qt_window.show()  # what is hidden is not laid out
    QTest.qWait(100)
    yield session_of(viewer)
    viewer.window._qt_window.hide()


def look(session: Any, zoom: float, row: int = 0) -> npt.NDArray[Any]:
    view = camera(session.viewer)
    view.zoom, view.center = zoom, tuple(session.cells.data_to_world(session.cells.data[row]))
    return picture(session)


def picture(session: Any) -> npt.NDArray[Any]:
    for _ in range(3):
        QApplication.processEvents()  # the slide's tiles come after the camera
    return np.asarray(session.viewer.screenshot(canvas_only=True, flash=False))


def drawn(session: Any) -> Any:
    canvas = session.viewer.window._qt_viewer.canvas
    return canvas.layer_to_visual[session.cells].node.points_markers._data


def test_few_are_handed_over_and_the_picture_is_the_same(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = look(session, 1.0)
    assert len(drawn(session)) == len(session.cells.data)
    near = look(session, CLOSE)
    assert 0 < len(drawn(session)) < len(session.cells.data) / 2
    moved = look(session, CLOSE, row=5)
    np.testing.assert_array_equal(look(session, 1.0), whole)
    assert len(drawn(session)) == len(session.cells.data)

    monkeypatch.setattr(_in_sight, "MANY", 10**6)
    np.testing.assert_array_equal(look(session, CLOSE), near)
    np.testing.assert_array_equal(look(session, CLOSE, row=5), moved)
    assert len(drawn(session)) == len(session.cells.data)
    assert not np.array_equal(near, moved)


def test_a_correction_shows_in_sight_and_out_of_sight(session: Any) -> None:
    look(session, CLOSE)
    before = picture(session)
    near = set(drawn(session)["a_position"][:, 0])
    far = next(row for row, point in enumerate(session.cells.data) if np.float32(point[1]) not in near)
    session.relabel([1, far + 1], "eosinophil")
    after = picture(session)
    assert not np.array_equal(before, after)
    for row in (0, far):
        look(session, CLOSE, row)
        colors = drawn(session)["a_bg_color"]
        assert (np.abs(colors - session.cells.face_color[row]).max(axis=1) < 1e-6).any()
    session.undo()
    np.testing.assert_array_equal(look(session, CLOSE), before)


def test_where_no_cell_is_nothing_is_drawn_and_none_is_lost(session: Any) -> None:
    view = camera(session.viewer)
    view.zoom, view.center = CLOSE, (-5000.0, -5000.0)
    picture(session)
    assert len(drawn(session)) == 1
    look(session, 1.0)
    assert len(drawn(session)) == len(session.cells.data)


def test_features_follow_corrections_and_undo(session: Any) -> None:
    def row() -> tuple[str, str, object]:
        table = session.cells.features
        return table["label"][0], table["source"][0], table["reviewed_by"][0]

    model = row()
    assert model[1] == "model"
    session.case.relabel([1], "eosinophil", "somebody new")
    assert row() == ("eosinophil", "reviewer", "somebody new")
    session.case.relabel([1], "blast", "another")
    session.undo()
    assert row() == ("eosinophil", "reviewer", "somebody new")
    session.undo()
    assert row()[:2] == model[:2]
