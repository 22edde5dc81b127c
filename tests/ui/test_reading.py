"""A blinded reading: what the reader may not see is seen nowhere in the viewer, and what they say changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from leukoscope.cases import Case
from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.errors import CaseError
from leukoscope.ui._reading import _OF_THE_READER, _TELLS_NOTHING
from leukoscope.ui.commands import export_case, show_counts, show_gallery
from leukoscope.ui.overlay import rgba
from leukoscope.ui.why import why_this_class


def shown(session: Any) -> list[str]:
    return list(session.cells.features["label"])


def test_others_labels_leave_the_layers_the_gallery_and_the_counts(viewer: Any, session: Any) -> None:
    by_model = shown(session)
    gallery, counts = show_gallery(viewer), show_counts(viewer)
    session.relabel([1, 2, 3], "plasma_cell")
    session.read_blinded("al")
    assert shown(session) == by_model
    assert not (session.cells.features["source"] == "reviewer").any()
    assert [gallery.model.table.label(row) for row in range(len(by_model))] == by_model
    assert not gallery.model.table.reviewed.any()
    assert "plasma_cell" not in counts.differential.counts
    code = np.asarray(session.overlay.data[0])[tuple(session.cells.data[0].round().astype(int))]
    np.testing.assert_allclose(session.overlay.colormap.map(code), rgba(TAXONOMY.color(by_model[0])), atol=1e-6)
    session.end_reading()
    assert shown(session)[:3] == ["plasma_cell"] * 3
    assert gallery.model.table.label(0) == "plasma_cell"
    assert counts.differential.counts["plasma_cell"] == 3


def test_the_models_labels_can_be_hidden_too(viewer: Any, session: Any, notes: list[str]) -> None:
    gallery = show_gallery(viewer)
    session.read_blinded("al", hide_model=True)
    assert set(shown(session)) == {"unidentified"}
    assert session.cells.features["probability"].isna().all()
    assert np.isnan(gallery.model.table.probability).all()
    gallery.arrange()
    session.cells.selected_data = {0}
    why_this_class(viewer)
    assert "kept from this reader" in notes[-1]


def test_readings_change_nothing_that_the_case_shows(viewer: Any, session: Any) -> None:
    before = shown(session)
    session.read_blinded("al")
    session.relabel([4], "smudge")
    session.confirm([5])
    assert shown(session)[3] == "smudge"
    assert session.cells.features["source"][4] == "reviewer"
    session.undo()
    session.undo()
    assert shown(session) == before
    assert session.cells.features["source"][3] == "model"
    session.redo()
    session.end_reading()
    assert shown(session) == before
    assert session.case.read_by("al") == {4: "smudge"}


def test_what_would_tell_is_refused(viewer: Any, session: Any, notes: list[str], monkeypatch: Any) -> None:
    session.read_blinded("al")
    for name in ("history", "readings", "sample", "prevalence", "signatures", "export", "import_geojson", "sign"):
        with pytest.raises(CaseError, match="End the reading"):
            getattr(session.case, name)
    monkeypatch.setattr("leukoscope.ui.export.ExportDialog.exec", lambda _: True)
    export_case(viewer)
    assert "End the reading" in notes[-1]


def test_every_name_that_is_let_through_is_one_of_the_case() -> None:
    others = {"run", "hide_model", "name", "read", "path", "readonly", "id", "slide", "taxonomy"}
    assert all(hasattr(Case, name) for name in (_TELLS_NOTHING | _OF_THE_READER) - others)


def test_a_reader_needs_a_name_and_a_case_that_can_be_written(session: Any) -> None:
    whole = session.case
    with pytest.raises(CaseError, match="needs a name"):
        session.read_blinded(" ")
    assert session.case is whole
    session.busy = True
    with pytest.raises(CaseError, match="analysis is running"):
        session.read_blinded("al")
    session.busy = False
    session.read_blinded("al")
    session.close_case()
    assert session.reading is None
