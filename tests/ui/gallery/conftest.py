"""The Cells dock, open on the case of the small smear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint
from qtpy.QtGui import QImage

from leukoscope.ui import session_of
from leukoscope.ui.commands import show_gallery

from ..conftest import in_own_window

CELLS = 12


def shown(viewer: Any) -> Any:
    return in_own_window(show_gallery(viewer), 480, 620)


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
