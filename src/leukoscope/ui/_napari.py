"""Where napari 0.9 moved things, found on older versions too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["ask_before_closing", "camera", "scale_bar"]


def camera(viewer: Any) -> Any:
    """Give the camera: of the scene since napari 0.9, of the viewer before."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def scale_bar(viewer: Any) -> Any:
    """Give the scale bar: of the canvas since napari 0.9, of the viewer before."""
    return viewer.canvas.overlays.scale_bar if hasattr(viewer, "canvas") else viewer.scale_bar


def ask_before_closing(viewer: Any, why: str) -> Callable[[], None]:
    """Have napari's window ask before the user closes it, as it does while a worker runs.

    Returns
    -------
    callable
        Ends that. Where napari has no such question, nothing is asked.
    """
    window = getattr(viewer, "__wrapped__", viewer).window  # plugins get a proxy
    if not hasattr(window, "_register_task_status"):
        return lambda: None
    from napari.utils.task_status import Status

    task = window._register_task_status("Leukoscope", Status.PENDING, why)
    return lambda: window._update_task_status(task, Status.COMPLETED)
