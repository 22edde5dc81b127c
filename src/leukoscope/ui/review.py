"""Correction by key: which cell is meant, and what each key does on the cells layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from leukoscope.classification.taxonomy import TAXONOMY

from ._napari import camera
from .keys import NEXT_KEY, alike_key
from .notify import reporting_errors, say

if TYPE_CHECKING:
    from ._state import Session

__all__ = ["bind_keys", "bind_mouse", "go_to_next_uncertain", "look_at", "redo", "target_cells", "undo"]

LOOK_PX = 120.0  # how large on screen a cell should at least be to be judged
CLICK_PX = 4.0  # a mouse that moves further drags


def bind_keys(session: Session, layer: Any) -> None:
    """Bind the classes' keys, undo and redo on this one layer; they are active while it is the active layer."""
    layer.keymap.clear()  # of the keys before; napari's own are its class's
    for key, label in session.keys.items():
        layer.bind_key(key.upper(), _relabeler(session, label))
    layer.bind_key("Control-Z", lambda _: undo(session))
    layer.bind_key("Control-Shift-Z", lambda _: redo(session))
    layer.bind_key("Enter", lambda _: _reported(lambda: session.confirm(target_cells(session))))
    layer.bind_key(NEXT_KEY, lambda _: go_to_next_uncertain(session))
    alike = alike_key(TAXONOMY if session.case is None else session.case.taxonomy)
    if alike:
        layer.bind_key(alike.upper(), lambda _: _more_like_this(session))


def bind_mouse(layer: Any) -> None:
    """Have a click select a cell while the mouse moves the view, too; a click beside all cells selects none."""

    def select(layer: Any, event: Any) -> Any:
        start = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if str(layer.mode) == "pan_zoom" and np.abs(np.asarray(event.pos) - start).max() < CLICK_PX:
            under = layer.get_value(event.position, world=True)
            layer.selected_data = set() if under is None else {int(under)}

    layer.mouse_drag_callbacks.append(select)


def target_cells(session: Session) -> list[int]:
    """Find the cells that a key means.

    Returns
    -------
    list of int
        The id of the cell under the mouse; the selected cells where that is one of them, or where the mouse is on no
        cell. A selection left behind elsewhere is thus never relabeled by accident.
    """
    layer = session.cells
    if layer is None:
        return []
    under = layer.get_value(session.viewer.cursor.position, world=True)
    rows = {int(under)} if under is not None and int(under) not in layer.selected_data else set(layer.selected_data)
    rows = {row for row in rows if layer.shown[row]}  # napari's "select all" does not look
    return [int(i) for i in layer.features["cell_id"].to_numpy()[sorted(rows)]]


def undo(session: Session) -> None:
    """Take back the last correction, or say that there is none."""
    with reporting_errors():
        if not session.undo():
            say("There is no correction to take back.")


def redo(session: Session) -> None:
    """Make the correction again that was taken back last, or say that there is none."""
    with reporting_errors():
        if not session.redo():
            say("No correction was taken back.")


def go_to_next_uncertain(session: Session) -> None:
    """Center the most uncertain cell that no reviewer has looked at and select it; from a selected one, the next."""
    layer = session.cells
    if layer is None:
        say("No cells yet: analyze a slide, or open a case.")
        return
    table = layer.features
    entropy = np.nan_to_num(table["entropy"].to_numpy(float), nan=-1.0)
    open_ = (table["source"] != "reviewer").to_numpy(bool) & layer.shown
    order = [int(row) for row in np.argsort(-entropy, kind="stable") if open_[row]]
    if not order:
        say("Every cell has been reviewed.")
        return
    selected = set(layer.selected_data)
    at = next((i for i, row in enumerate(order) if row in selected), -1)
    row = order[(at + 1) % len(order)]
    session.viewer.layers.selection.active = layer
    layer.selected_data = {row}
    look_at(session, row)


def look_at(session: Session, row: int) -> None:
    """Center the cell of a row of the cells layer, near enough to be judged."""
    layer, view = session.cells, camera(session.viewer)
    view.center = layer.data_to_world(layer.data[row])
    size = float(layer.size[row]) * float(layer.scale[0])
    view.zoom = max(view.zoom, LOOK_PX / size)


def _more_like_this(session: Session) -> None:
    from .commands import more_like_this  # which opens the gallery, and imports this

    more_like_this(session.viewer)


def _relabeler(session: Session, label: str) -> Callable[[Any], None]:
    def relabel(_: Any) -> None:
        _reported(lambda: session.relabel(target_cells(session), label))

    return relabel


def _reported(action: Callable[[], object]) -> None:
    with reporting_errors():
        action()
