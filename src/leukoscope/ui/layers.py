"""A slide and a case as napari layers: the pyramid, the outlines, the cells.

Layer coordinates are level-0 pixels; `scale` carries µm per pixel, so napari's scale bar is right. napari puts a
pixel's center at its index, Leukoscope at index + 0.5: hence the half pixel in `positions`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from leukoscope.classification.taxonomy import TAXONOMY, Taxonomy

from .overlay import ClassOverlay, rgba

if TYPE_CHECKING:
    import pandas as pd

    from leukoscope.cases import Event
    from leukoscope.slides import Slide

__all__ = [
    "FEATURES",
    "LayerData",
    "cells_layer",
    "change_features",
    "diameters",
    "face_colors",
    "features",
    "labels_layer",
    "looks",
    "place",
    "placement",
    "positions",
    "shown",
    "slide_address",
    "slide_layer",
]

LayerData = tuple[Any, dict[str, Any], str]

FEATURES = ("cell_id", "label", "probability", "entropy", "area_um2", "nucleus_area_um2", "source", "reviewed_by")
CORRECTED = ("label", "source", "reviewed_by")
TYPICAL_CELL_UM = 12.0  # where a cell's area or the resolution is not known
_FALLBACK_PX = 40.0
UNSEEN_PX = 1e-3


def slide_layer(slide: Slide) -> LayerData:
    """Show a slide as a multiscale RGB image.

    Parameters
    ----------
    slide : Slide
        Open; its pixels are read as they come into view.
    """
    options: dict[str, Any] = {
        "name": slide.name,
        "multiscale": True,
        "rgb": True,
        "metadata": {"leukoscope": {"slide": slide}},
        **placement(slide.mpp),
    }
    return list(slide.levels), options, "image"


def placement(mpp: float | None) -> dict[str, Any]:
    """Give `scale` and `units` of a layer in level-0 pixels; plain pixels where µm per pixel is not known."""
    if mpp is None:
        return {"scale": (1.0, 1.0), "units": ("pixel", "pixel")}
    return {"scale": (mpp, mpp), "units": ("µm", "µm")}


def place(layer: Any, mpp: float | None) -> None:
    """Give a layer its scale and units; an overridden µm per pixel moves the slide along with its cells."""
    for name, value in placement(mpp).items():
        if tuple(getattr(layer, name)) != value:
            setattr(layer, name, value)


def slide_of(layer: Any) -> Slide | None:
    """Give the slide whose pixels a layer shows; None for any other layer, or none."""
    slide: Slide | None = None if layer is None else layer.metadata.get("leukoscope", {}).get("slide")
    return slide


def slide_address(layer: Any) -> str | None:
    """Tell which slide a layer shows: its address, None where it shows none."""
    slide = slide_of(layer)
    return None if slide is None else str(slide.address)


def labels_layer(overlay: ClassOverlay, mpp: float | None) -> LayerData:
    """Show outlines colored by class, read-only, at every zoom.

    Parameters
    ----------
    overlay : ClassOverlay
        The pyramid and its colors.
    mpp : float or None
        µm per level-0 pixel.
    """
    options = {
        "name": "labels",
        "multiscale": True,
        "colormap": overlay.colormap(),
        "features": overlay.names(),
        "opacity": 0.9,
        "metadata": {"leukoscope": {"overlay": overlay}},
        **placement(mpp),
    }
    return overlay.levels, options, "labels"


def cells_layer(table: pd.DataFrame, mpp: float | None, taxonomy: Taxonomy = TAXONOMY) -> LayerData:
    """Show cells as points, small on screen, as large as the cell to the mouse.

    Parameters
    ----------
    table : DataFrame
        The columns of cells.csv, a row a cell in the order of the ids.
    mpp : float or None
        µm per level-0 pixel.
    taxonomy : Taxonomy
        Names and colors.
    """
    options = {
        "name": "cells",
        "ndim": 2,
        "features": features(table),
        **looks(table, mpp, taxonomy),
        "border_width": 0.12,
        # On screen a dot, so that the cell can be seen; the hit area stays the cell's own size.
        "canvas_size_limits": (4, 8),
        "metadata": {"leukoscope": {}},
        **placement(mpp),
    }
    return positions(table), options, "points"


def positions(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Convert centroids to napari's data coordinates, float64 (n, 2), (y, x)."""
    return table[["y", "x"]].to_numpy(np.float64) - 0.5


def shown(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which cells are to be seen, bool (n,): one that was removed keeps its row, so that row i is cell i + 1."""
    if "removed" not in table:
        return np.ones(len(table), bool)
    return ~table["removed"].to_numpy(bool)


def looks(table: pd.DataFrame, mpp: float | None, taxonomy: Taxonomy = TAXONOMY) -> dict[str, Any]:
    """Give size, colors and visibility of the points, under the names that a points layer has for them."""
    seen = shown(table)
    face, border = face_colors(table["label"], taxonomy), np.tile(rgba("#000000"), (len(table), 1))
    # napari 0.9 draws points of two dimensions that are not "shown", and the mouse hits them
    face[~seen, 3] = border[~seen, 3] = 0.0
    size = np.where(seen, diameters(table, mpp), UNSEEN_PX)
    return {"size": size, "face_color": face, "border_color": border, "shown": seen}


def features(table: pd.DataFrame) -> pd.DataFrame:
    """Pick the columns that the cells layer carries."""
    columns = table[[column for column in FEATURES if column in table]].reset_index(drop=True)
    # codes, not texts: pandas copies a whole column when one row is set, for each correction, 10 ms at 100,000 texts
    text = [column for column in CORRECTED if column in columns]
    return columns.astype(dict.fromkeys(text, "category"))


def change_features(
    table: pd.DataFrame, rows: npt.NDArray[np.intp], labels: Iterable[str], events: Iterable[Event | None], unseen: str
) -> None:
    """Take a correction into the features of the cells layer, in place.

    Parameters
    ----------
    table : DataFrame
        As `features` made it.
    rows : int array
        Whose label changed.
    labels : iterable of str
        What it is now.
    events : iterable of Event or None
        Where it comes from, None where no reviewer gave it.
    unseen : str
        The source of a label that no reviewer gave.
    """
    import pandas as pd  # loaded by now, whoever made the table

    said = list(events)
    news: dict[str, list[Any]] = {
        "label": list(labels),
        "source": ["reviewer" if event else unseen for event in said],
        "reviewed_by": [event.reviewer if event else None for event in said],
    }
    for column, values in news.items():
        if unknown := sorted({value for value in values if value is not None} - set(table[column].cat.categories)):
            table[column] = table[column].cat.add_categories(unknown)
        kinds: Any = table[column].dtype
        codes = table[column].cat.codes.to_numpy(copy=True)
        codes[rows] = [kinds.categories.get_loc(value) if value is not None else -1 for value in values]
        # the codes as a whole: pandas sets some of a category the long way round
        table[column] = pd.Categorical.from_codes(codes, dtype=kinds, validate=False)


def diameters(table: pd.DataFrame, mpp: float | None) -> npt.NDArray[np.float64]:
    """Compute each cell's diameter in level-0 pixels, float64 (n,), from its area."""
    if mpp is None:
        return np.full(len(table), _FALLBACK_PX)
    um = 2 * np.sqrt(table["area_um2"].to_numpy(np.float64) / np.pi)
    return np.where(np.isfinite(um) & (um > 0), um, TYPICAL_CELL_UM) / mpp


def face_colors(labels: pd.Series, taxonomy: Taxonomy = TAXONOMY) -> npt.NDArray[np.float32]:
    """Look up the classes' colors, float32 (n, 4)."""
    names, inverse = np.unique(labels.to_numpy(dtype=str), return_inverse=True)
    if not len(names):
        return np.zeros((0, 4), np.float32)
    return np.stack([rgba(taxonomy.color(str(name))) for name in names])[inverse]
