"""What the menu entries do that open no widget of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._state import Session, session_of
from .docks import open_dock
from .export import ask_and_export
from .importing import ask_and_import
from .notify import say
from .review import go_to_next_uncertain as _go
from .review import target_cells

if TYPE_CHECKING:
    import napari

__all__ = [
    "correct_cells",
    "export_case",
    "import_geojson",
    "more_like_this",
    "next_uncertain",
    "show_counts",
    "show_gallery",
    "show_retrain",
    "show_review",
]


def correct_cells(viewer: napari.Viewer) -> None:
    """Get ready to correct: the cells layer active, so that its keys work, and the Counts dock with the keys open."""
    session = _with_case(viewer)
    if session is not None:
        show_counts(viewer)
        if session.cells is not None:
            viewer.layers.selection.active = session.cells


def next_uncertain(viewer: napari.Viewer) -> None:
    """Go to the most uncertain cell that has not been reviewed."""
    session = _with_case(viewer)
    if session is not None:
        _go(session)


def more_like_this(viewer: napari.Viewer) -> None:
    """Show the cells most like the selected ones, or the one under the mouse, in the gallery."""
    session = _with_case(viewer)
    if session is not None:
        cells = target_cells(session)
        if cells:
            show_gallery(viewer).more_like_this(cells)
        else:
            say("No cell is meant: select some on the cells layer, or point at one.")


def export_case(viewer: napari.Viewer) -> None:
    """Ask what to export of the viewer's case, and do it."""
    session = _with_case(viewer)
    if session is not None and session.case is not None:
        ask_and_export(session.case)


def import_geojson(viewer: napari.Viewer) -> None:
    """Ask for a GeoJSON file of the viewer's case, corrected in QuPath, and take the corrections back."""
    session = _with_case(viewer)
    if session is not None:
        ask_and_import(session)


def show_counts(viewer: Any) -> Any:
    """Open the Counts dock, or bring it to the front; return the widget."""
    return open_dock(viewer, "Counts")


def show_gallery(viewer: Any) -> Any:
    """Open the Cells dock, or bring it to the front; return the widget."""
    return open_dock(viewer, "Cells")


def show_review(viewer: Any) -> Any:
    """Open the Review dock, or bring it to the front; return the widget."""
    return open_dock(viewer, "Review")


def show_retrain(viewer: Any) -> Any:
    """Open the Retrain dock, or bring it to the front; return the widget."""
    return open_dock(viewer, "Retrain")


def _with_case(viewer: Any) -> Session | None:
    session = session_of(viewer)
    if session.case is None:
        say("No case is open: analyze a slide, or open a *.leuko folder.")
        return None
    return session
