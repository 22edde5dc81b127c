"""Where napari 0.9 moved things, found on older versions too."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["camera", "redraw_points", "scale_bar"]


def camera(viewer: Any) -> Any:
    """Give the camera: of the scene since napari 0.9, of the viewer before."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def redraw_points(viewer: Any, layer: Any, rows: npt.NDArray[np.intp]) -> None:
    """Draw the face colors of some points anew, as they are in the layer now.

    napari has no way but to hand all points to the graphics card anew, with a text for each one's symbol: 40 ms at
    100,000. Where its insides, and vispy's, are as they are today, only what changed goes there.
    """
    try:
        markers = viewer.window._qt_viewer.canvas.layer_to_visual[layer].node.points_markers
        drawn, buffer = markers._data, markers._vbo
        if len(drawn) != len(layer.data):  # some are not shown: then rows are not those of the buffer
            raise IndexError
        first, last = int(rows.min()), int(rows.max()) + 1
        drawn["a_bg_color"][rows] = layer.face_color[rows]
        buffer.set_subdata(drawn[first:last], offset=first)
        markers.update()
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        layer.events.face_color()


def scale_bar(viewer: Any) -> Any:
    """Give the scale bar: of the canvas since napari 0.9, of the viewer before."""
    return viewer.canvas.overlays.scale_bar if hasattr(viewer, "canvas") else viewer.scale_bar
