"""Why this class? The map lies over the cell, is of its class, and goes with the case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leukoscope import open_slide
from leukoscope.errors import LeukoscopeError
from leukoscope.pipeline import explain_cell
from leukoscope.ui import session_of
from leukoscope.ui.why import why_this_class


@pytest.fixture
def session(viewer: Any, classified_dir: Path) -> Any:
    session = session_of(viewer)
    session.open(classified_dir)
    return session


def heats(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if layer.name.startswith("why ")]


def test_the_map_lies_over_the_selected_cell(viewer: Any, session: Any) -> None:
    session.cells.selected_data = {2}
    why_this_class(viewer)
    (layer,) = heats(viewer)
    label = session.cells.features["label"][2]
    assert layer.name == f"why {session.case.taxonomy.name(label)}? cell 3"
    x0, y0, x1, y1 = session.case.outlines([3])[3][0].bounds
    (top, left), (bottom, right) = (
        np.asarray(layer.data_to_world(p)) / session.case.mpp for p in ((-0.5, -0.5), np.array(layer.data.shape) - 0.5)
    )
    assert top <= y0 - 0.5
    assert left <= x0 - 0.5
    assert bottom >= y1 - 0.5
    assert right >= x1 - 0.5
    assert max(y0 - top, x0 - left, bottom - y1, right - x1) < 5 / session.case.mpp  # not far beyond it
    assert layer.data.max() > 0.9
    assert layer.colormap.map(0.0).ravel()[3] == 0  # the cell is seen where nothing speaks for the class
    order = [viewer.layers.index(some) for some in (session.slide, layer, session.overlay, session.cells)]
    assert order == sorted(order)
    assert viewer.layers.selection.active is session.cells

    why_this_class(viewer)
    assert len(heats(viewer)) == 1  # in place of the one before
    session.cells.selected_data = {1}
    why_this_class(viewer)
    assert len(heats(viewer)) == 2
    session.close_case()
    assert not heats(viewer)


def test_a_reviewers_class_is_explained_too_and_an_unknown_one_not(session: Any, smear: Path) -> None:
    case, slide = session.case, open_slide(smear)
    session.relabel([1], "monocyte")
    session.relabel([2], "plasma_cell")  # the model has no such class
    assert explain_cell(case, slide, 1).label == "monocyte"
    likeliest = explain_cell(case, slide, 2)
    others = [explain_cell(case, slide, 2, name).probability for name in ("blast", "lymphocyte")]
    assert likeliest.probability >= max(others)
    with pytest.raises(LeukoscopeError, match="plasma_cell"):
        explain_cell(case, slide, 2, "plasma_cell")
    session.undo()
    session.undo()


def test_what_is_missing_is_said_in_one_line(viewer: Any, session: Any, case_dir: Path, notes: list[str]) -> None:
    session.cells.selected_data = set()
    why_this_class(viewer)
    assert "Select one cell" in notes[-1]
    session.cells.selected_data = {0}
    viewer.layers.remove(session.slide)
    why_this_class(viewer)
    assert "slide is not shown" in notes[-1]
    session.close_case()
    why_this_class(viewer)
    assert "No cells" in notes[-1]
    session.open(case_dir)  # its model is called "drawn", and there is none of that name
    session.cells.selected_data = {0}
    why_this_class(viewer)
    assert "drawn" in notes[-1]
    assert not heats(viewer)
