"""Import from QuPath: corrections and cells drawn there."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QMessageBox

from leukoscope.ui.commands import import_geojson

from .conftest import all_blasts


@contextmanager
def exported(case: Any, folder: Path) -> Iterator[tuple[Path, list[Any]]]:
    """Give what QuPath would open, and write down what is changed in it."""
    file = case.export(csv=False, geojson=True, folder=folder)["cells.geojson"]
    content = json.loads(file.read_text())
    yield file, content["features"] if isinstance(content, dict) else content
    file.write_text(json.dumps(content))


def imported(viewer: Any, file: Path, monkeypatch: Any, qtbot: Any, notes: list[str]) -> None:
    told = len(notes)
    monkeypatch.setattr("leukoscope.ui.importing.QFileDialog.getOpenFileName", lambda *_, **__: (str(file), "GeoJSON"))
    import_geojson(viewer)
    qtbot.waitUntil(lambda: len(notes) > told, timeout=60_000)


def test_corrections_come_back_from_qupath(
    viewer: Any, session: Any, tmp_path: Path, monkeypatch: Any, qtbot: Any, notes: list[str]
) -> None:
    with exported(session.case, tmp_path) as (file, objects):
        objects[3]["properties"]["classification"] = {"name": "Monocyte"}
    imported(viewer, file, monkeypatch, qtbot, notes)
    assert "1 cell relabeled" in notes[-1]
    (changed,) = session.case.events[-1].cells
    assert session.cells.features["label"][changed - 1] == "monocyte"
    assert session.cells.features["source"][changed - 1] == "reviewer"


def test_cells_drawn_in_qupath_are_added_if_wanted(
    viewer: Any, session: Any, tmp_path: Path, monkeypatch: Any, qtbot: Any, notes: list[str]
) -> None:
    def square(x: float, y: float, side: float) -> list[list[list[float]]]:
        return [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]

    asked: list[str] = []
    monkeypatch.setattr("leukoscope.ui.importing.reclassify", all_blasts)
    answer = QMessageBox.StandardButton.No
    monkeypatch.setattr(
        "leukoscope.ui.importing.QMessageBox.question", lambda *texts: asked.append(texts[-1]) or answer
    )
    case = session.case
    boxes = [outline.buffer(30).bounds for outline, _ in case.outlines().values()]
    x, y = next(
        (x, y)
        for x in range(0, 800, 20)
        for y in range(0, 800, 20)
        if not any(a < x + 40 and x < c and b < y + 40 and y < d for a, b, c, d in boxes)
    )
    on_a_cell = case.outlines([1])[1][0].centroid
    with exported(case, tmp_path) as (file, objects):
        for shape in (square(x, y, 40), square(0, 0, 850), square(on_a_cell.x - 10, on_a_cell.y - 10, 20)):
            new = {"type": "Feature", "id": str(uuid.uuid4()), "geometry": {"type": "Polygon", "coordinates": shape}}
            objects.append({**new, "properties": {"objectType": "annotation", "classification": {"name": "Monocyte"}}})

    imported(viewer, file, monkeypatch, qtbot, notes)
    qtbot.waitUntil(lambda: bool(asked))
    assert asked[-1].startswith("1 cell drawn")  # not the region, nor what lies on a cell
    assert case.events == ()

    answer = QMessageBox.StandardButton.Yes
    imported(viewer, file, monkeypatch, qtbot, notes)
    qtbot.waitUntil(lambda: notes[-1] == "Cells added: 1.", timeout=60_000)
    assert [event.kind for event in case.events] == ["outline", "relabel"]
    new_one = case.last_id
    assert case.labels([new_one]) == {new_one: "monocyte"}
    assert session.cells.features["label"][new_one - 1] == "monocyte"
    assert session.cells.features["source"][new_one - 1] == "reviewer"
    asked.clear()
    imported(viewer, file, monkeypatch, qtbot, notes)
    assert asked == []  # it is a cell of this case now
    session.undo()
    session.undo()
    assert new_one not in case.ids


def test_a_file_that_is_no_geojson_is_refused_in_one_line(
    viewer: Any, session: Any, tmp_path: Path, monkeypatch: Any, qtbot: Any, notes: list[str]
) -> None:
    (tmp_path / "bad.geojson").write_text("no")
    imported(viewer, tmp_path / "bad.geojson", monkeypatch, qtbot, notes)
    assert "bad.geojson" in notes[-1]
    assert "\n" not in notes[-1]
    assert session.case.events == ()
