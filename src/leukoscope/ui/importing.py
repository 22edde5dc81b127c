"""Corrections that come back from QuPath."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog

from leukoscope.cases import Imported

from ._state import Session
from .background import in_background
from .notify import say
from .settings import user_settings

__all__ = ["ask_and_import", "import_file"]


def ask_and_import(session: Session, parent: Any = None) -> Any:
    """Ask for a GeoJSON file and take its corrections back; return the worker, None where nothing was chosen."""
    if session.reading is not None:
        say("A blinded reading is under way: end it first (Review dock, Readers).")
        return None
    case = session.case
    folder = "" if case is None else str(case.path)
    path, _ = QFileDialog.getOpenFileName(
        parent, "Import corrections from QuPath", folder, "GeoJSON (*.geojson *.json)"
    )
    return import_file(session, Path(path)) if path else None


def import_file(session: Session, path: Path) -> Any:
    """Take the corrections of a file back in a thread, show them, and say what came of each object."""
    case, reviewer = session.case, user_settings().reviewer
    if case is None:
        return None

    def show(found: Imported) -> None:
        if session.case is case:
            session.caught_up(found.changed)
        say(f"{path.name}: {found.summary}")

    return in_background(lambda: case.import_geojson(path, reviewer), show, f"Importing {path.name}")
