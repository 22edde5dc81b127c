"""Correction by key: the cell that is meant gets the label, at once, on screen and on disk; and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.shortcuts import default_shortcuts

from leukoscope import open_case
from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.ui import session_of
from leukoscope.ui.commands import correct_cells, next_uncertain, show_counts
from leukoscope.ui.overlay import rgba


def press(layer: Any, key: str) -> None:
    """Do what napari does when a key is pressed while the layer is active."""
    binding = next(action for combo, action in layer.keymap.items() if str(combo) == key)
    binding(layer)


def point_at(viewer: Any, layer: Any, row: int | None) -> None:
    viewer.cursor.position = (-50.0, -50.0) if row is None else layer.data_to_world(layer.data[row])


def test_the_cell_under_the_mouse_gets_the_label(viewer: Any, session: Any, case_dir: Path) -> None:
    cells = session.cells
    point_at(viewer, cells, 3)
    press(cells, "R")
    assert cells.features["label"][3] == "erythroblast"
    assert cells.features["source"][3] == "reviewer"
    np.testing.assert_allclose(cells.face_color[3], rgba(TAXONOMY.color("erythroblast")))
    session.close_case()
    with open_case(case_dir) as case:
        assert case.cells["label"][3] == "erythroblast"
        assert case.cells["reviewed_by"][3]


def test_selected_cells_are_relabeled_together(viewer: Any, session: Any) -> None:
    cells = session.cells
    cells.selected_data = {0, 2, 4}
    point_at(viewer, cells, 2)
    press(cells, "M")
    assert [cells.features["label"][i] == "monocyte" for i in range(5)] == [True, False, True, False, True]
    assert len([event for event in session.case.events if event.kind == "relabel"]) == 1


def test_a_forgotten_selection_is_left_alone(viewer: Any, session: Any) -> None:
    cells = session.cells
    before = list(cells.features["label"])
    cells.selected_data = {0, 1}
    point_at(viewer, cells, 5)
    press(cells, "M")
    assert [i for i, label in enumerate(cells.features["label"]) if label != before[i]] == [5]


def test_no_cell_no_change(viewer: Any, session: Any) -> None:
    point_at(viewer, session.cells, None)
    press(session.cells, "B")
    assert session.case.events == ()


def test_the_outline_takes_the_color_too(viewer: Any, session: Any) -> None:
    cells, labels = session.cells, session.overlay
    point_at(viewer, cells, 1)
    press(cells, "E")
    code = np.asarray(labels.data[0])[tuple(cells.data[1].round().astype(int))]
    np.testing.assert_allclose(labels.colormap.map(code), rgba(TAXONOMY.color("eosinophil")), atol=1e-6)


def test_undo_and_redo_without_end(viewer: Any, session: Any) -> None:
    cells = session.cells
    before, colors = list(cells.features["label"]), cells.face_color.copy()
    for row, key in [(0, "M"), (1, "E"), (0, "C")]:
        point_at(viewer, cells, row)
        press(cells, key)
    after = list(cells.features["label"])
    for _ in range(4):  # one more than there is to undo
        press(cells, "Ctrl+Z")
    assert list(cells.features["label"]) == before
    assert set(cells.features["source"]) == {"model"}
    np.testing.assert_array_equal(cells.face_color, colors)
    for _ in range(3):
        press(cells, "Ctrl+Shift+Z")
    assert list(cells.features["label"]) == after


def test_keys_keep_clear_of_naparis_own(session: Any) -> None:
    points_and_viewer = {
        str(combo).split()[0]
        for name, combos in default_shortcuts.items()
        for combo in combos
        if not any(kind in name for kind in ("labels", "shape", "polygon", "image", "vector", "tracks", "surface"))
        and ("point" in name or "data" in name or "select" in name or name.startswith("napari:toggle_"))
    }
    ours = {str(combo) for combo in session.cells.keymap}
    taken = {"1", "2", "3", "4", "5", "6", "7", "8", "9", "A", "P", "S", "V", "Z"}
    assert {"P", "S", "A", "V"} & points_and_viewer, "the check looks at napari's real shortcuts"
    assert not ours & (taken | points_and_viewer)


def test_the_most_uncertain_cell_comes_first_and_reviewed_ones_no_more(viewer: Any, session: Any) -> None:
    cells = session.cells
    entropy = cells.features["entropy"].to_numpy(float)
    next_uncertain(viewer)
    (first,) = cells.selected_data
    assert entropy[first] == entropy.max()
    center = np.asarray(viewer.scene.camera.center)[-2:]
    np.testing.assert_allclose(center, cells.data_to_world(cells.data[first]))
    point_at(viewer, cells, None)
    press(cells, "K")  # the selected cell
    assert cells.features["label"][first] == "smudge"
    press(cells, "Q")
    (second,) = cells.selected_data
    assert second != first
    assert entropy[second] == np.delete(entropy, first).max()


def test_the_counts_follow_a_correction(viewer: Any, session: Any) -> None:
    counts = show_counts(viewer)
    blasts = counts.differential.blasts
    row = int(np.flatnonzero(session.cells.features["label"] != "blast")[0])
    session.relabel([row + 1], "blast")
    assert counts.differential.blasts == blasts + 1
    assert next(r for r in counts.model.rows if r.label == "blast").counted == blasts + 1


def test_a_read_only_case_says_why_nothing_changes(viewer: Any, case_dir: Path, notes: list[str]) -> None:
    with open_case(case_dir):
        session = session_of(viewer)
        session.open(case_dir)
        before = list(session.cells.features["label"])
        notes.clear()
        point_at(viewer, session.cells, 0)
        press(session.cells, "R")
        assert len(notes) == 1
        assert "reading only" in notes[0]
        assert list(session.cells.features["label"]) == before
        session.close_case()


def test_correct_cells_makes_the_keys_work(viewer: Any, session: Any, notes: list[str]) -> None:
    viewer.layers.selection.active = session.slide
    correct_cells(viewer)
    assert viewer.layers.selection.active is session.cells
    session.close_case()
    correct_cells(viewer)
    assert "No case is open" in notes[-1]
