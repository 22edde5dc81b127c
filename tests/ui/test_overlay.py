"""The overlay's codes: one color a class, different codes for neighbors, whatever the ids."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.ui.overlay import MARK, ClassOverlay, rgba

LABELS = st.sampled_from([*TAXONOMY, "my_own_class"])
CELLS = st.dictionaries(st.integers(1, 5000), LABELS, min_size=1, max_size=40)


@given(CELLS)
def test_every_cell_has_its_classes_color(cells: dict[int, str]) -> None:
    overlay = ClassOverlay([np.zeros((2, 2), np.int32)], cells.keys(), cells.values())
    colors = overlay.colormap()
    names = dict(zip(*overlay.names().values(), strict=True))
    for cell, label in cells.items():
        code = overlay.codes([cell])[0]
        np.testing.assert_allclose(colors.map(code), rgba(TAXONOMY.color(label)), atol=1e-6)
        assert names[int(code)] == TAXONOMY.name(label)


@given(CELLS, st.data())
def test_a_changed_label_changes_that_cell_alone(cells: dict[int, str], data: st.DataObject) -> None:
    overlay = ClassOverlay([np.zeros((2, 2), np.int32)], cells.keys(), cells.values())
    ids = np.array(sorted(cells))
    before = overlay.codes(ids)
    changed = data.draw(st.sampled_from(sorted(cells)))
    label = data.draw(LABELS)
    overlay.assign([changed], [label])
    after = overlay.codes(ids)
    assert np.array_equal(before[ids != changed], after[ids != changed])
    assert (after[ids == changed] == before[ids == changed]).all() == (label == cells[changed])


@given(CELLS, st.data())
def test_selected_cells_are_outlined_as_such_and_keep_their_class(cells: dict[int, str], data: st.DataObject) -> None:
    overlay = ClassOverlay([np.zeros((2, 2), np.int32)], cells.keys(), cells.values())
    colors = overlay.colormap()
    names = dict(zip(*overlay.names().values(), strict=True))
    before = overlay.codes(sorted(cells))
    selected = data.draw(st.sets(st.sampled_from(sorted(cells))))
    assert overlay.mark(selected) == bool(selected)
    for cell, label in cells.items():
        code = overlay.codes([cell])[0]
        color = MARK if cell in selected else TAXONOMY.color(label)
        np.testing.assert_allclose(colors.map(code), rgba(color), atol=1e-6)
        assert names[int(code)] == TAXONOMY.name(label)
    overlay.mark([])
    np.testing.assert_array_equal(overlay.codes(sorted(cells)), before)


def test_background_and_unknown_ids_are_clear() -> None:
    overlay = ClassOverlay([np.array([[0, 1], [2, 9]], np.int32)], [1, 2], ["blast", "blast"])
    whole = np.asarray(overlay.levels[0])
    assert whole[0, 0] == 0
    assert whole[1, 1] == 0
    assert whole[0, 1] != whole[1, 0], "touching cells of one class keep an outline between them"
    assert overlay.colormap().map(0)[3] == 0


def test_cells_that_come_later_are_drawn_from_the_new_pyramid() -> None:
    overlay = ClassOverlay([np.zeros((2, 2), np.int32)], [], [])
    assert not np.asarray(overlay.levels[0]).any()
    overlay.replace_levels([np.full((2, 2), 7, np.int32)])
    overlay.assign([7], ["blast"])
    assert (np.asarray(overlay.levels[0]) == overlay.codes([7])[0]).all()
