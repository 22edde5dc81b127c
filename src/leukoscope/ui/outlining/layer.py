"""The layers of an editing window: the outlines under the brush, and over them what is locked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils import Colormap

from .strokes import Stroke, cut, join, line_mask

if TYPE_CHECKING:
    from leukoscope.cases import Case

    from .._state import Session
    from .window import Changes, Window

__all__ = ["NAME", "EditLayers"]

NAME = "outlines to edit"
GUIDE = "locked"
FRAME_PX = 4
# nothing; cells that the border cuts; the frame, and the line that is being drawn
_GUIDE = Colormap(np.array([[0, 0, 0, 0], [0.35, 0.35, 0.35, 1], [1, 0.84, 0.1, 1]], np.float32), name="guide")


class EditLayers:
    """Two layers over a slide: one for napari's brush, eraser and fill, one that shows what they do not change.

    Parameters
    ----------
    session : Session
        Whose viewer gets them, above the slide.
    case : Case
        Whose outlines they are.
    window : Window
        What they show.

    Attributes
    ----------
    edit : Labels
        Drawn in.
    guide : Image
        Looked at.
    """

    def __init__(self, session: Session, case: Case, window: Window) -> None:
        self.case, self.window, self._viewer = case, window, session.viewer
        y, x = window.origin
        scale, shift = (np.asarray(v, float) for v in (session.slide.scale, session.slide.translate))
        place = {"scale": scale, "translate": shift + scale * (y, x), "units": session.slide.units}
        self._fixed = window.locked.astype(np.uint8)
        for edge in (self._fixed, self._fixed.T):
            edge[:FRAME_PX] = edge[-FRAME_PX:] = 2
        about = {"leukoscope": {"outlines": case.path}}
        self.edit: Any = self._viewer.add_labels(window.labels.copy(), name=NAME, opacity=0.45, metadata=about, **place)
        look = {"colormap": _GUIDE, "contrast_limits": (0, 2), "blending": "translucent", "opacity": 0.6}
        self.guide: Any = self._viewer.add_image(self._fixed.copy(), name=GUIDE, metadata=about, **look, **place)
        self.edit.brush_size = 12
        self.edit.selected_label = self.free_label()
        self._stroke: Callable[[Stroke], None] | None = None
        self.edit.mouse_drag_callbacks.append(self._on_drag)
        self._viewer.layers.selection.active = self.edit

    @property
    def drawn(self) -> bool:
        """Whether anything was drawn that is not committed."""
        return bool(np.any((self.edit.data != self.window.labels) & ~self.window.locked))

    def changes(self) -> Changes:
        """Compare what is drawn with what the case has, as `Window.changes` does."""
        return self.window.changes(self.edit.data)

    def free_label(self) -> int:
        """Give the first label above all that are in use."""
        return int(max(self.edit.data.max(), self.window.labels.max())) + 1

    def remove(self) -> None:
        """Take the layers away, and the brush first, whose circle would stay on the picture."""
        self.edit.mode = "pan_zoom"
        for layer in (self.guide, self.edit):
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def stop_lines(self) -> None:
        """Have a drag draw no line; the tool that is chosen stays."""
        self._stroke = None

    def draw_lines(self, stroke: Callable[[Stroke], None] | None) -> None:
        """Have a drag draw a line, and hand it over at its end; None: the mouse moves the view again."""
        self._stroke = stroke
        self.edit.mode = "pan_zoom"
        self.edit.mouse_pan = stroke is None

    def cut(self, stroke: Stroke) -> bool:
        """Cut the cells that a line crosses; False where it crosses none."""
        return self._set(cut(self.edit.data, stroke, self.free_label()))

    def join(self, stroke: Stroke) -> bool:
        """Join the cells that a line touches; False where it touches fewer than two."""
        return self._set(join(self.edit.data, stroke))

    def delete(self, label: int) -> bool:
        """Erase a label; False where there is none of it."""
        pixels = np.nonzero(self.edit.data == label)
        return self._set((pixels, np.zeros(len(pixels[0]), np.int32)) if len(pixels[0]) else None)

    def _set(self, edit: Any) -> bool:
        if edit is None:
            return False
        self.edit.data_setitem(*edit)  # into napari's own history: Ctrl-Z takes it back
        self.edit.refresh()
        return True

    def _on_drag(self, layer: Any, event: Any) -> Iterator[None]:
        if self._stroke is None:
            return
        first = last = self._pixel(event.position)
        yield
        while event.type == "mouse_move":
            last = self._pixel(event.position)
            self.show_line((first, last))
            yield
        self.show_line(None)
        if first != last and self._stroke is not None:
            self._stroke((first, last))

    def _pixel(self, position: Any) -> tuple[int, int]:
        y, x = np.round(self.edit.world_to_data(position)).astype(int)
        return int(y), int(x)

    def show_line(self, stroke: Stroke | None) -> None:
        """Show the line that is being drawn; None: no longer."""
        shown = self._fixed.copy()
        if stroke is not None:
            shown[line_mask(shown.shape, stroke)] = 2
        self.guide.data = shown
