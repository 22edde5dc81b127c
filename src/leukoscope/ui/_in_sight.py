"""Of very many points, only those near the view are handed to the graphics card.

napari hands it all. Where OpenGL is drawn in software (remote desktops, virtual machines), 100,000 dots then take 60 ms
of every repaint, at any zoom; and to change one color, all are handed over anew, 40 ms. Both are mended from outside,
where napari's insides, and vispy's, are as they are today; elsewhere points are drawn as napari draws them.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._napari import camera

__all__ = ["PointsInSight"]

MANY = 5000
"""Points, from which on it pays."""
MARGIN = 1.0
"""Of the view's size, kept ready on each side: a view that is moved a little finds its points there."""
_LARGEST = 8.0
"""How much wider than the view what is ready may be."""

Rows = npt.NDArray[np.intp]


class _Box(NamedTuple):
    """A rectangle in the coordinates of the layer's data."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]

    @property
    def size(self) -> npt.NDArray[np.float64]:
        return self.high - self.low

    def covers(self, other: _Box) -> bool:
        return bool((self.low <= other.low).all() and (self.high >= other.high).all())


class PointsInSight:
    """Keeps what is drawn of a layer of discs to those near the view; to picking, selecting and data nothing changes.

    Parameters
    ----------
    viewer : napari.Viewer
        Kept weakly.
    layer : Points
        Two-dimensional, every symbol a disc, border widths relative to sizes.
    """

    def __init__(self, viewer: Any, layer: Any) -> None:
        self._viewer, self._layer = weakref.ref(viewer), layer
        self._rows: Rows = np.empty(0, np.intp)
        self._box: _Box | None = None
        self._handed: Any = None
        try:
            # before vispy draws; it keeps methods weakly
            viewer.window._qt_viewer.canvas.events.draw.connect(self._on_draw, position="first")
        except AttributeError:
            return

    def redraw(self, rows: Rows) -> None:
        """Draw the face colors of some points anew, as they are in the layer now."""
        layer = self._layer
        try:
            markers = self._markers()
            drawn, buffer = markers._data, markers._vbo
            places = rows
            if drawn is self._handed:
                at = np.minimum(np.searchsorted(self._rows, rows), len(self._rows) - 1)
                near = self._rows[at] == rows
                rows, places = rows[near], at[near]
                if not len(rows):
                    return  # out of sight
            elif len(drawn) != len(layer.data):  # some are not shown: then rows are not those of the buffer
                raise IndexError
            first, last = int(places.min()), int(places.max()) + 1
            drawn["a_bg_color"][places] = layer.face_color[rows]
            buffer.set_subdata(drawn[first:last], offset=first)
            markers.update()
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            layer.events.face_color()

    def _on_draw(self, _: object = None) -> None:
        try:
            markers = self._markers()
            if len(self._layer.data) < MANY or markers._data is None:
                return
            seen = self._seen()
            ours = markers._data is self._handed
            if seen is None:
                if ours:
                    self._layer.events.face_color()  # napari hands over all
                return
            ready = self._box if ours else None
            if ready is None or not ready.covers(seen) or (ready.size > _LARGEST * seen.size).all():
                self._hand_over(markers, seen, ours)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return

    def _hand_over(self, markers: Any, seen: _Box, ours: bool) -> None:
        layer = self._layer
        box = _Box(seen.low - MARGIN * seen.size, seen.high + MARGIN * seen.size)
        inside = ((layer.data >= box.low) & (layer.data <= box.high)).all(axis=1) & layer.shown
        rows: Rows = np.flatnonzero(inside)
        if 2 * len(rows) > len(layer.data):
            if ours:
                layer.events.face_color()
            return
        if not len(rows):
            rows = np.zeros(1, np.intp)  # vispy does not draw none; this one is out of sight
        with markers.events.update.blocker():  # it is about to be drawn as it is
            markers.set_data(
                layer.data[rows][:, ::-1],
                size=layer.size[rows] * abs(layer.scale[-1]),
                symbol="disc",
                edge_width=None,
                edge_width_rel=layer.border_width[rows],
                edge_color=layer.border_color[rows],
                face_color=layer.face_color[rows],
            )
        self._rows, self._box, self._handed = rows, box, markers._data

    def _markers(self) -> Any:
        return self._viewer().window._qt_viewer.canvas.layer_to_visual[self._layer].node.points_markers  # type: ignore[union-attr]

    def _seen(self) -> _Box | None:
        """Return what the view shows; None where it is not one plain view of the plane."""
        viewer: Any = self._viewer()
        if viewer.dims.ndisplay != 2 or viewer.window._qt_viewer.canvas.grid_views:
            return None
        view = camera(viewer)
        half = np.asarray(viewer.window._qt_viewer.canvas.size, float) / (2 * view.zoom)
        center = np.asarray(view.center, float)[-2:]
        corners = [np.asarray(self._layer.world_to_data(center + sign * half), float) for sign in (-1, 1)]
        return _Box(np.minimum(*corners), np.maximum(*corners))
