"""Opening a viewer from the command line or Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from leukoscope.cases import Case
from leukoscope.errors import LeukoscopeError

from ._napari import scale_bar
from ._state import session_of
from .commands import show_counts
from .docks import open_dock
from .layers import slide_layer
from .readers import is_case

if TYPE_CHECKING:
    import napari

__all__ = ["view"]


def view(path: str | os.PathLike[str] | Case, show: bool = True, block: bool = True) -> napari.Viewer:
    """Open a slide or a case in a napari viewer.

    Parameters
    ----------
    path : path or Case
        A slide, a folder of fields, a case's folder, or an open case.
    show : bool
        Show the window.
    block : bool
        Return only when the window is closed.

    Returns
    -------
    napari.Viewer
        With the Counts dock for a case, the Analyze dock for a slide.

    Raises
    ------
    LeukoscopeError
        If there is no such slide or case; no window opens then.
    """
    from leukoscope.cases import open_case
    from leukoscope.slides import open_slide

    shown = path if isinstance(path, Case) else open_case(path) if is_case(path) else open_slide(path)
    try:
        import napari

        viewer = napari.Viewer(title="Leukoscope", show=False)
    except ImportError as error:
        raise LeukoscopeError(f"the viewer cannot open ({error})", "Run: pip install 'leukoscope[all]'") from error
    if isinstance(shown, Case):
        session_of(viewer).show(shown)
        show_counts(viewer)
    else:
        viewer.add_layer(napari.layers.Layer.create(*slide_layer(shown)))
        scale_bar(viewer).visible = True
        open_dock(viewer, "Analyze")
    if show:
        viewer.show(block=False)
    if block:
        napari.run()
    return viewer
