"""Where napari 0.9 moved things, found on older versions too."""

from __future__ import annotations

from typing import Any

__all__ = ["camera", "scale_bar"]


def camera(viewer: Any) -> Any:
    """Give the camera: of the scene since napari 0.9, of the viewer before."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def scale_bar(viewer: Any) -> Any:
    """Give the scale bar: of the canvas since napari 0.9, of the viewer before."""
    return viewer.canvas.overlays.scale_bar if hasattr(viewer, "canvas") else viewer.scale_bar
