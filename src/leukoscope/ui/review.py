"""Correction by key: which cell is meant, and what each key does on the cells layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._napari import camera
from .notify import reporting_errors, say

if TYPE_CHECKING:
    from ._state import Session

__all__ = ["NEXT_KEY", "bind_keys", "go_to_next_uncertain", "target_cells"]

NEXT_KEY = "Q"
LOOK_PX = 120.0  # how large on screen a cell should at least be to be judged


def bind_keys(session: Session, layer: Any) -> None:
    """Bind the taxonomy's keys, undo and redo on this one layer; they are active while it is the active layer."""
    case = session.case
    if case is None:
        return
    for key, label in case.taxonomy.by_key().items():
        layer.bind_key(key.upper(), _relabeler(session, label))
    layer.bind_key("Control-Z", lambda _: _reported(session.undo))
    layer.bind_key("Control-Shift-Z", lambda _: _reported(session.redo))
    layer.bind_key(NEXT_KEY, lambda _: go_to_next_uncertain(session))


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
    return [int(i) for i in layer.features["cell_id"].to_numpy()[sorted(rows)]]


def go_to_next_uncertain(session: Session) -> None:
    """Center the most uncertain cell that no reviewer has looked at and select it; from a selected one, the next."""
    layer = session.cells
    if layer is None:
        say("No cells yet: analyze a slide, or open a case.")
        return
    table = layer.features
    entropy = np.nan_to_num(table["entropy"].to_numpy(float), nan=-1.0)
    order = [int(row) for row in np.argsort(-entropy, kind="stable") if table["source"].iat[row] != "reviewer"]
    if not order:
        say("Every cell has been reviewed.")
        return
    selected = set(layer.selected_data)
    at = next((i for i, row in enumerate(order) if row in selected), -1)
    row = order[(at + 1) % len(order)]
    viewer = session.viewer
    viewer.layers.selection.active = layer
    layer.selected_data = {row}
    view = camera(viewer)
    view.center = layer.data_to_world(layer.data[row])
    size = float(layer.size[row]) * float(layer.scale[0])
    view.zoom = max(view.zoom, LOOK_PX / size)


def _relabeler(session: Session, label: str) -> Callable[[Any], None]:
    def relabel(_: Any) -> None:
        _reported(lambda: session.relabel(target_cells(session), label))

    return relabel


def _reported(action: Callable[[], object]) -> None:
    with reporting_errors():
        action()
