"""A density map over the slide, as an image layer."""

from __future__ import annotations

from math import ceil, floor
from typing import Any

import numpy as np
from napari.utils.colormaps import Colormap

from leukoscope.errors import SettingsError
from leukoscope.hematology import DensityMap, Profile, density_map

from .._state import Session
from .places import counted_cells

__all__ = ["KINDS", "density_layer", "lay_density"]

KINDS = {"blast_percent": "blasts, %", "per_mm2": "cells per mm²"}

# clear where there is nothing, so that the slide stays to be seen; blue keeps apart from every stain
_COLORS = Colormap(
    [[0.0, 0.35, 0.9, 0.0], [0.0, 0.75, 0.85, 0.45], [1.0, 0.9, 0.2, 0.65], [0.95, 0.1, 0.1, 0.8]],
    name="leukoscope density",
    controls=[0.0, 0.25, 0.6, 1.0],
)
_COLORS.nan_color = np.zeros(4, np.float32)


def density_layer(session: Session) -> Any | None:
    """Find the map that is laid over the slide."""
    layers = session.viewer.layers
    return next((layer for layer in layers if "density" in layer.metadata.get("leukoscope", {})), None)


def lay_density(session: Session, profile: Profile, kind: str) -> Any:
    """Lay the map over the slide, in place of the one before; the active layer stays.

    Parameters
    ----------
    session : Session
        Whose case.
    profile : Profile
        Which cells are counted, and which of them are blasts.
    kind : str
        One of `KINDS`.

    Raises
    ------
    SettingsError
        If µm per pixel is not known, or the map would be too large.
    """
    case = session.case
    if case is None or case.mpp is None:
        raise SettingsError("a density needs µm per pixel, and it is not known", "Give it in the Analyze dock")
    cells = counted_cells(session, profile)
    found = density_map(cells.x * case.mpp, cells.y * case.mpp, cells.is_blast)
    data, origin = _on_slide(getattr(found, kind), found, [side * case.mpp for side in case.slide.shapes[0]])
    top = 100.0 if kind == "blast_percent" else max(float(data.max()), 1.0)
    # µm from the slide's corner to the middle of the first pixel; napari's origin is the middle of the slide's
    translate = tuple(at - case.mpp / 2 for at in origin)
    layer = density_layer(session)
    if layer is None:
        layer = _add(session, data, translate, found.spacing)
    layer.data = data
    layer.translate = translate
    layer.scale = (found.spacing, found.spacing)
    layer.name = f"density: {KINDS[kind]}"
    layer.contrast_limits_range = (0.0, top)
    layer.contrast_limits = (0.0, top)
    return layer


def _on_slide(data: Any, found: DensityMap, sides: list[float]) -> tuple[Any, tuple[float, ...]]:
    """Cut off what the Gaussian lays beside the slide; also give the middle of the first pixel left."""
    spans = []
    for start, side, size in zip(found.origin, sides, data.shape, strict=True):
        edge = start - found.spacing / 2
        first = min(max(floor(-edge / found.spacing), 0), size - 1)
        spans.append((first, max(ceil((side - edge) / found.spacing), first + 1)))
    (top, bottom), (left, right) = spans
    origin = tuple(start + first * found.spacing for start, (first, _) in zip(found.origin, spans, strict=True))
    return data[top:bottom, left:right], origin


def _add(session: Session, data: Any, translate: tuple[float, ...], spacing: float) -> Any:
    viewer = session.viewer
    active = viewer.layers.selection.active
    layer = viewer.add_image(
        data,
        rgb=False,
        colormap=_COLORS,
        contrast_limits=(0.0, 100.0),
        interpolation2d="linear",
        blending="translucent_no_depth",
        scale=(spacing, spacing),
        translate=translate,
        units=("µm", "µm"),
        metadata={"leukoscope": {"density": True}},
    )
    over = session.slide
    viewer.layers.move(len(viewer.layers) - 1, 0 if over is None else viewer.layers.index(over) + 1)
    if active is not None:
        viewer.layers.selection.active = active
    return layer
