"""A case in the viewer: what opens, what it looks like, and what it says when something is missing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leukoscope import open_case
from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.errors import CaseError
from leukoscope.ui import session_of
from leukoscope.ui.overlay import rgba


def test_opening_a_case_folder_brings_everything_back(viewer: Any, case_dir: Path) -> None:
    viewer.open(case_dir, plugin="leukoscope")
    assert [layer.name for layer in viewer.layers] == ["smear", "labels", "cells"]
    with open_case(case_dir, readonly=True) as case:
        table = case.cells
    slide, labels, cells = viewer.layers
    np.testing.assert_allclose(cells.data, table[["y", "x"]].to_numpy() - 0.5)
    assert list(cells.features["label"]) == list(table["label"])
    for color, label in zip(cells.face_color, table["label"], strict=True):
        np.testing.assert_allclose(color, rgba(TAXONOMY.color(label)))
    assert slide.multiscale
    assert labels.multiscale
    assert not labels.editable


def test_all_layers_are_in_micrometers_and_in_register(viewer: Any, case_dir: Path) -> None:
    session_of(viewer).open(case_dir)
    for layer in viewer.layers:
        np.testing.assert_allclose(layer.scale, 0.25)
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    labels, cells = viewer.layers["labels"], viewer.layers["cells"]
    for point in cells.data[:5]:
        world = cells.data_to_world(point)
        assert labels.get_value(world, world=True)[1], "a cell's centroid lies in its outline"


def test_outlines_have_the_color_of_their_class(viewer: Any, case_dir: Path) -> None:
    session_of(viewer).open(case_dir)
    labels, cells = viewer.layers["labels"], viewer.layers["cells"]
    whole = np.asarray(labels.data[0])
    for point, label in list(zip(cells.data.round().astype(int), cells.features["label"], strict=True))[:6]:
        code = whole[tuple(point)]
        np.testing.assert_allclose(labels.colormap.map(code), rgba(TAXONOMY.color(label)), atol=1e-6)


def test_a_slide_that_moved_is_named_and_the_cells_are_still_shown(
    viewer: Any, case_dir: Path, smear: Path, notes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = tmp_path / "elsewhere" / smear.name
    moved.parent.mkdir()
    shutil.copy2(smear, moved)
    monkeypatch.setattr("leukoscope.ui._state.open_slide", _missing(str(smear)))
    session = session_of(viewer)
    session.open(case_dir)
    assert [layer.name for layer in viewer.layers] == ["labels", "cells"]
    assert any(smear.name in note and "Find slide" in note for note in notes)
    session.locate_slide(moved)
    assert viewer.layers[0].name == "smear"


def _missing(path: str) -> Any:
    from leukoscope.slides import open_slide

    def opened(wanted: Any, mpp: float | None = None) -> Any:
        return open_slide("/nowhere/smear.ome.tiff" if str(wanted) == path else wanted, mpp=mpp)

    return opened


def test_outlines_are_not_drawn_over_a_slide_that_has_changed(
    viewer: Any, case_dir: Path, smear: Path, notes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smears import small_smear, write_ome_tiff

    from leukoscope.slides import open_slide

    changed = write_ome_tiff(tmp_path / "changed.ome.tiff", small_smear(seed=8, size=300).rgb)
    monkeypatch.setattr("leukoscope.ui._state.open_slide", lambda *_, **options: open_slide(changed, **options))
    session_of(viewer).open(case_dir)
    assert [layer.name for layer in viewer.layers] == ["labels", "cells"]
    assert any("not the slide of this case" in note for note in notes)


def test_another_slide_is_not_taken_for_the_cases_own(viewer: Any, case_dir: Path, tmp_path: Path) -> None:
    from smears import small_smear, write_ome_tiff

    other = write_ome_tiff(tmp_path / "other.ome.tiff", small_smear(seed=9, size=300).rgb)
    session = session_of(viewer)
    session.open(case_dir)
    from leukoscope.errors import SlideError

    with pytest.raises(SlideError, match="not the slide of this case"):
        session.locate_slide(other)


def test_what_is_no_case_is_refused_in_one_line(viewer: Any, tmp_path: Path, notes: list[str]) -> None:
    broken = tmp_path / "broken.leuko"
    broken.mkdir()
    (broken / "case.sqlite").write_bytes(b"nonsense" * 200)
    with pytest.raises(CaseError):
        session_of(viewer).open(broken)
    assert viewer.open(broken, plugin="leukoscope") == []
    assert len(notes) == 1
    assert "broken.leuko" in notes[0]
    assert "\n" not in notes[0]
    assert not viewer.layers


def test_a_second_viewer_has_a_case_of_its_own(open_viewer: Any, viewer: Any, case_dir: Path) -> None:
    second = open_viewer()
    session_of(viewer).open(case_dir)
    assert session_of(second) is not session_of(viewer)
    assert session_of(second).case is None


def test_the_case_that_is_shown_stays_open_when_it_is_opened_again(viewer: Any, case_dir: Path) -> None:
    session = session_of(viewer)
    session.open(case_dir)
    case = session.case
    for name in ("smear", "labels", "cells"):
        viewer.layers.remove(viewer.layers[name])
    session.open(f"{case_dir}/")
    assert session.case is case
    assert [layer.name for layer in viewer.layers] == ["smear", "labels", "cells"], "what was removed is back"
    session.relabel([1], "monocyte")
    session.read_blinded("al")
    session.open(case_dir)
    assert session.reading is not None, "what others said stays hidden"


def test_the_same_case_opened_twice_is_read_only(
    open_viewer: Any, viewer: Any, case_dir: Path, notes: list[str]
) -> None:
    second = open_viewer()
    session_of(viewer).open(case_dir)
    session_of(second).open(case_dir)
    assert session_of(second).case.readonly
    assert any("reading only" in note for note in notes)
    session_of(second).close_case()


def test_cells_cannot_be_moved_or_deleted(viewer: Any, case_dir: Path, notes: list[str], qtbot: Any) -> None:
    session_of(viewer).open(case_dir)
    cells = viewer.layers["cells"]
    before = cells.data.copy()
    cells.selected_data = {0, 1}
    cells.remove_selected()
    qtbot.waitUntil(lambda: len(cells.data) == len(before))
    np.testing.assert_array_equal(cells.data, before)
    assert any("not moved or deleted" in note for note in notes)
