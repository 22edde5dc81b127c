"""The layers of the case that a viewer shows: they follow the case, and what a user does to them."""

from __future__ import annotations

import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from napari.layers import Layer
from napari.layers.base import ActionType
from psygnal import Signal
from qtpy.QtCore import QTimer

from leukoscope.cases import Case
from leukoscope.errors import SettingsError

from ._in_sight import PointsInSight
from ._napari import ask_before_closing
from ._reading import BlindedView
from .layers import (
    LayerData,
    cells_layer,
    change_features,
    face_colors,
    features,
    labels_layer,
    looks,
    place,
    positions,
    slide_of,
)
from .notify import warn
from .overlay import ClassOverlay, painted_levels
from .review import bind_mouse

if TYPE_CHECKING:
    import napari

    from leukoscope.slides import Slide

    from .outlining.layer import EditLayers

__all__ = ["LayeredView"]

LABELS_SHARE = 10.0  # outlines are read anew after ten times as long as reading them took
OUTLINES_MS = 30


class LayeredView(BlindedView):
    """The half of a session that keeps the layers: outlines and points of the case, over the slide.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly: the viewer outlives no reference of ours.

    Attributes
    ----------
    slide, overlay, cells : Layer or None
        The image, the outlines and the points. None once the user has removed them.
    """

    drawing_changed = Signal()
    """A window in which outlines are drawn anew is open, or no longer."""

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.slide: Any = None
        self.overlay: Any = None
        self.cells: Any = None
        self._labels_due = 0.0
        self._outlines_due = False
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def viewer(self) -> napari.Viewer:
        """The viewer."""
        viewer = self._viewer()
        if viewer is None:
            raise RuntimeError("the viewer is closed")
        return viewer

    def shown_slide(self) -> Slide:
        """Give the slide whose pixels are shown.

        Raises
        ------
        SettingsError
            If none is.
        """
        slide = slide_of(self.slide)
        if slide is None:
            raise SettingsError("the slide is not shown", "Find slide… in the Counts dock opens it.")
        return slide

    def draw(self, drawing: EditLayers) -> None:
        """Have outlines drawn anew, in layers of their own instead of those that show them as they were."""
        self.drawing = drawing
        if self.overlay is not None:
            self.overlay.visible = False
        self._free_to_close = ask_before_closing(
            self.viewer, "a window of outlines is open; commit what was drawn in it"
        )
        self.drawing_changed.emit()

    def stop_drawing(self) -> None:
        """Show the outlines as the case has them; what was drawn and not committed is gone."""
        drawing, self.drawing = self.drawing, None
        if drawing is not None:
            drawing.remove()
            self._free_to_close()
            if self.overlay is not None:
                self.overlay.visible = True
            if self.cells is not None:
                self.viewer.layers.selection.active = self.cells
            self.drawing_changed.emit()

    def _recolor(self, ids: Sequence[int], labels: Sequence[str]) -> None:
        """Show other labels of some cells, ids ascending."""
        case, layer, names = self._case(), self.cells, pd.Series(labels)
        if layer is not None and ids[-1] <= len(layer.data):
            rows = np.asarray(ids) - 1
            # the arrays that the layer draws, changed where they changed: setting them anew takes 50 ms at 100,000
            layer.face_color[rows] = face_colors(names, case.taxonomy)
            unseen = "hidden" if self.reading is not None and self.reading.hide_model else "model"
            change_features(layer.features, rows, labels, case.reviewed(ids).values(), unseen)
            self._points.redraw(rows)
        if self.overlay is not None:
            self.overlay.metadata["leukoscope"]["overlay"].assign(ids, names)
            self._redraw_overlay()

    def _on_selected(self, *_: object) -> None:
        # napari rings a selected point, which is a dot in the middle of a cell; the outline can be seen
        if self.overlay is not None and self.cells is not None:
            ids = (row + 1 for row in self.cells.selected_data)
            if self.overlay.metadata["leukoscope"]["overlay"].mark(ids):
                self._redraw_overlay()

    def _redraw_overlay(self) -> None:
        # napari finds the contours of the whole view anew, 60 ms: after point, thumbnail and counts are drawn, and
        # once where several changes come together
        if not self._outlines_due:
            self._outlines_due = True
            QTimer.singleShot(OUTLINES_MS, self._draw_outlines)

    def _draw_outlines(self) -> None:
        self._outlines_due = False
        if self.overlay is not None and self._viewer() is not None:
            self.overlay.refresh(thumbnail=False, highlight=False, extent=False)

    def _show_cells(self) -> None:
        case = self._case()
        self.cells = self._add(cells_layer(case.all_cells, case.mpp, case.taxonomy))
        self._points = PointsInSight(self.viewer, self.cells)
        self.cells.events.data.connect(self._on_edited)
        self._bind_keys()
        bind_mouse(self.cells)
        self.cells.selected_data.events.items_changed.connect(self._on_selected)
        self.viewer.layers.selection.active = self.cells

    def _sync_cells(self) -> None:
        case, layer = self._case(), self.cells
        if layer is None:
            if case.last_id:  # napari cannot tell the dimensions of no points
                self._show_cells()
            return
        table = case.all_cells
        with layer.events.blocker_all():  # one upload at the end instead of one for each property
            layer.selected_data = set()
            layer.data = positions(table)
            layer.features = features(table)
            for name, value in looks(table, case.mpp, case.taxonomy).items():
                setattr(layer, name, value)
        place(layer, case.mpp)
        layer.refresh()

    def _sync_labels(self) -> None:
        case, began = self._case(), time.monotonic()
        levels, table = painted_levels(case.painter()), case.cells
        if self.overlay is None:
            drawn = ClassOverlay(levels, table["cell_id"], table["label"], case.taxonomy)
            self.overlay = self._add(labels_layer(drawn, case.mpp))
            self.overlay.contour = 2
            if self.cells is not None:
                self.viewer.layers.move(self.viewer.layers.index(self.overlay), self.viewer.layers.index(self.cells))
        else:
            drawn = self.overlay.metadata["leukoscope"]["overlay"]
            drawn.replace_levels(levels)
            drawn.assign(table["cell_id"], table["label"])
            place(self.overlay, case.mpp)
            self.overlay.refresh()
        # all outlines are read each time: while an analysis runs, no more than a tenth of the time goes there
        self._labels_due = time.monotonic() + LABELS_SHARE * (time.monotonic() - began)

    def _add(self, data: LayerData) -> Any:
        return self.viewer.add_layer(Layer.create(*data))

    def _case(self) -> Case:
        if self.case is None:
            raise RuntimeError("no case is shown")
        return self.case

    def _drop_layers(self) -> None:
        self._drop_laid()
        for layer in (self.overlay, self.cells):
            if layer is not None:
                self.viewer.layers.remove(layer)

    def _drop_laid(self) -> None:
        # what was laid over the cells would mislead over those of another case, and tell a blinded reader too much
        for layer in list(self.viewer.layers):
            if layer.metadata.get("leukoscope", {}).keys() & {"why", "density"}:
                self.viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        for name in ("slide", "overlay", "cells"):
            if getattr(self, name) is event.value:
                setattr(self, name, None)
        if self.drawing is not None and self.drawing.edit is event.value:
            self.stop_drawing()

    def _on_edited(self, event: Any) -> None:
        # Moved, added or deleted by one of napari's point tools: the case knows nothing of it.
        if event.action in (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED):
            warn("Cells can be given another class, not moved or deleted: X marks one as an artefact.")
            QTimer.singleShot(0, self._sync_cells)

    def _bind_keys(self) -> None:
        """Bind the classes' keys to the layer of cells."""
        raise NotImplementedError
