"""Why this class? The model's map of the selected cell, laid over the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import Colormap

from leukoscope.pipeline import CellHeat, explain_cell

from ._state import session_of
from .layers import slide_of
from .notify import reporting_errors, say
from .settings import user_settings

if TYPE_CHECKING:
    import napari

__all__ = ["why_this_class"]

# Nothing where nothing speaks for the class, so that the cell stays to be seen; yellow keeps apart from every stain.
HEAT = Colormap(
    [[1.0, 0.95, 0.2, 0.0], [1.0, 0.9, 0.1, 0.35], [1.0, 0.75, 0.0, 0.6], [1.0, 0.45, 0.0, 0.8]],
    name="leukoscope heat",
    controls=[0.0, 0.35, 0.7, 1.0],
)


def why_this_class(viewer: napari.Viewer) -> None:
    """Lay over the selected cell where the model sees its class, by Grad-CAM; the layer is named after both."""
    session = session_of(viewer)
    if session.case is None or session.cells is None:
        say("No cells are shown: analyze a slide, or open a *.leuko folder.")
        return
    if session.reading is not None and session.reading.hide_model:
        say("What the model sees is kept from this reader: end the reading first (Review dock, Readers).")
        return
    selected = sorted(session.cells.selected_data)
    if len(selected) != 1:
        say("Select one cell: on the cells layer, 3 or S, then click it.")
        return
    slide = slide_of(session.slide)
    if slide is None:
        say("The slide is not shown: Find slide… in the Counts dock opens it.")
        return
    with reporting_errors():
        cell = int(session.cells.features["cell_id"].to_numpy()[selected[0]])
        found = explain_cell(session.case, slide, cell, device=user_settings().device)
        name = session.case.taxonomy.name(found.label)
        _lay(session, found, f"why {name}? cell {cell}")
        if not found.heat.any():
            say(f"Nothing in cell {cell} speaks for {name}; the model gives it {found.probability:.0%}.")


def _lay(session: Any, found: CellHeat, name: str) -> None:
    """Add the map above the slide, in place of the one before of the same name; the active layer stays."""
    viewer, slide = session.viewer, session.slide
    active = viewer.layers.selection.active
    if name in viewer.layers:
        active = None if active is viewer.layers[name] else active
        viewer.layers.remove(name)
    scale, shift = np.asarray(slide.scale, float), np.asarray(slide.translate, float)
    # napari puts a pixel's center at its index, so the map's corner is half a pixel before its first
    first = np.asarray(found.origin) - 0.5 + found.downsample / 2
    viewer.add_image(
        found.heat,
        name=name,
        rgb=False,
        colormap=HEAT,
        contrast_limits=(0.0, 1.0),
        blending="translucent_no_depth",
        scale=scale * found.downsample,
        translate=shift + scale * first,
        units=slide.units,
        metadata={"leukoscope": {"why": session.case.path}},
    )
    viewer.layers.move(len(viewer.layers) - 1, viewer.layers.index(slide) + 1)
    if active is not None:
        viewer.layers.selection.active = active
