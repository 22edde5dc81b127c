"""What comes back from QuPath: corrected classes, and cells that were drawn there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely
from qtpy.QtWidgets import QFileDialog, QMessageBox

from leukoscope.cases import Added, Case, Drawn, Event, Imported
from leukoscope.pipeline import reclassify
from leukoscope.wording import cells_said

from ._state import Session
from .background import in_background
from .layers import slide_of
from .notify import say
from .settings import user_settings

if TYPE_CHECKING:
    from leukoscope.slides import Slide

__all__ = ["add_drawn", "ask_and_import", "drawn_cells", "import_file"]

SMALLEST_UM, LARGEST_UM = 2.0, 60.0
"""Diameters of what may be a cell: what is drawn in QuPath is a region, too, or a dot."""


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

    def wanted(cells: int) -> bool:
        question = f"{cells_said(cells)} drawn in QuPath that this case does not have. Add them?"
        return QMessageBox.question(parent, "Cells drawn in QuPath", question) == QMessageBox.StandardButton.Yes

    return import_file(session, Path(path), wanted) if path else None


def import_file(session: Session, path: Path, wanted: Callable[[int], bool] = lambda _: False) -> Any:
    """Take the corrections of a file back in a thread, show them, and say what came of each object.

    Parameters
    ----------
    session : Session
        Whose case it is.
    path : Path
        The GeoJSON file.
    wanted : callable
        Gets the number of cells that were drawn there, and says whether to add them.
    """
    case, user, slide = session.case, user_settings(), slide_of(session.slide)
    if case is None:
        return None

    def show(found: Imported) -> None:
        if session.case is case:
            session.caught_up(found.changed)
        say(f"{path.name}: {found.summary}")
        cells = drawn_cells(case, found.added)
        if cells and slide is None:
            say(f"{cells_said(len(cells))} drawn in QuPath: with the slide at hand they can be added (Find slide…).")
        elif cells and slide is not None and session.case is case and wanted(len(cells)):
            work = partial(add_drawn, case, slide, cells, user.reviewer, user.device)
            in_background(work, drawn, "Adding cells drawn in QuPath")

    def drawn(event: Event) -> None:
        if session.case is case:
            session.outlined(event)
            session.caught_up()
        say(f"Cells added: {len(event.drawn)}.")

    return in_background(lambda: case.import_geojson(path, user.reviewer), show, f"Importing {path.name}")


def drawn_cells(case: Case, added: Sequence[Added]) -> list[Added]:
    """Find what may be cells among outlines that came back: of a cell's size, and where the case has none."""
    mpp = case.mpp
    if mpp is None or not added:
        return []
    here = shapely.STRtree([cell for cell, _ in case.outlines().values()])
    found = []
    for one in added:
        outline = one.outline
        if outline.geom_type not in ("Polygon", "MultiPolygon") or not outline.is_valid:
            continue
        across = 2 * mpp * math.sqrt(outline.area / math.pi)
        if SMALLEST_UM <= across <= LARGEST_UM and not len(here.query(outline.representative_point(), "intersects")):
            found.append(one)
    return found


def add_drawn(case: Case, slide: Slide, cells: Sequence[Added], reviewer: str, device: str) -> Event:
    """Measure and classify cells that were drawn elsewhere, and add them; a class given there is the reviewer's label.

    Undo takes back the labels first, then the cells.
    """
    rows = reclassify(case, slide, [cell.outline for cell in cells], device)
    event = case.edit_outlines([], [Drawn(row) for row in rows], reviewer)
    labeled: dict[str, list[int]] = {}
    for number, cell in zip(event.drawn, cells, strict=True):
        if cell.label is not None:
            labeled.setdefault(cell.label, []).append(number)
    for label, numbers in labeled.items():
        case.relabel(numbers, label, reviewer)
    return event
