"""A case that may not be written, on a share of others or a medium that is read-only, opens for reading."""

from __future__ import annotations

import os

import pytest

from leukoscope import open_case
from leukoscope.cases import _store
from leukoscope.errors import CaseError


@pytest.mark.parametrize("which", ["", "case.sqlite", "writer.lock"])
def test_what_may_not_be_written_is_opened_for_reading(case, monkeypatch, which):
    path = case.path
    case.close()
    assert (path / "writer.lock").exists()  # somebody who may write has had it open
    denied, access = path / which, os.access

    def told(place, mode):
        return access(place, mode) and not (mode == os.W_OK and place == denied)

    monkeypatch.setattr(_store.os, "access", told)  # not by chmod: root may write whatever that says
    with open_case(path) as opened:
        assert opened.readonly
        assert len(opened.cells) == len(opened)
        with pytest.raises(CaseError):
            opened.relabel(opened.ids[0], "blast")
