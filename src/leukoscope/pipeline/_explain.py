"""Why a cell of a case was given its class: the model's map of it, on the slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from leukoscope.classification import load_model
from leukoscope.errors import SettingsError

from ._blocks import cell_crop, level_for, slide_model

if TYPE_CHECKING:
    from leukoscope.cases import Case
    from leukoscope.slides import Slide

__all__ = ["CellHeat", "explain_cell"]


@dataclass(frozen=True, eq=False)
class CellHeat:
    """Where a cell speaks for a class.

    Attributes
    ----------
    heat : float32 array (h, w)
        0 to 1, on pixels of one of the slide's levels; 0 everywhere if nothing speaks for the class.
    origin : (float, float)
        Upper left corner of the first pixel, (y, x) in level-0 px.
    downsample : float
        Level-0 px per pixel.
    label : str
        The class that the map is of.
    probability : float
        What the model gives that class.
    """

    heat: NDArray[np.float32]
    origin: tuple[float, float]
    downsample: float
    label: str
    probability: float


def explain_cell(case: Case, slide: Slide, cell: int, label: str | None = None, device: str = "auto") -> CellHeat:
    """Map where a cell of a case speaks for a class, with the model that classified it; see `classification.gradcam`.

    Parameters
    ----------
    case : Case
    slide : Slide
        The case's.
    cell : int
        Its id.
    label : str, optional
        The class; without, the cell's label as it stands, or the likeliest where the model does not know that.
    device : str
        Where the network runs, see `resolve_device`.

    Raises
    ------
    SettingsError
        The case was made without a model, or with another state of it; a class that it does not know; a network
        without a map of the image.
    BundleError
        The model is not where it was.
    CaseError
        There is no such cell.
    """
    settings = case.settings
    if not settings.model or case.mpp is None:
        raise SettingsError("this case was made without a model", "Analyze the slide again with one.")
    if load_model(settings.model, device).fingerprint != settings.model_fingerprint:
        cause = f"the model {settings.model} is not the one that this case was made with"
        raise SettingsError(cause, "Analyze the slide again.")
    version = f"{slide.fingerprint} {settings.model_fingerprint}"
    model = slide_model(slide.address, settings.model, device, version)
    outline = case.outlines([cell])[cell][0]
    level = level_for(slide, case.mpp, model.mpp)
    downsample = slide.downsamples[level]
    image, mask, (top, left) = cell_crop(slide, level, outline, case.mpp)
    mpp = case.mpp * downsample
    proba = model.predict_proba([image], [mask], mpp)[0]
    if label is None:
        shown = case.labels([cell])[cell]
        label = shown if shown in model.classes else model.classes[int(proba.argmax())]
    heat = model.explain(image, mask, mpp, label)
    return CellHeat(
        heat, (top * downsample, left * downsample), downsample, label, float(proba[model.classes.index(label)])
    )
