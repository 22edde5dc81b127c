"""A picture of a case: the slide, small, with every cell's outline in the color of its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

    from .case import Case

__all__ = ["draw_overlay"]


def draw_overlay(case: Case, picture: NDArray[np.uint8]) -> Image:
    """Draw the outlines of a case's cells on a picture of its slide.

    Parameters
    ----------
    case : Case
    picture : ndarray of uint8, shape (Y, X, 3)
        The whole slide, at any size (`Slide.overview`).

    Returns
    -------
    PIL image
        As large as the picture. Blasts are drawn last, so that they lie on top.
    """
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture).convert("RGB")
    scale = image.width / case.slide.shapes[0][1]
    pen = ImageDraw.Draw(image)
    width = max(1, round(image.width / 900))
    labels = dict(zip(*(case.cells[name].tolist() for name in ("cell_id", "label")), strict=True))
    outlines = case.outlines()
    for number in sorted(outlines, key=lambda i: labels[i] == "blast"):
        cell, nucleus = outlines[number]
        color = case.taxonomy.color(labels[number])
        for shape, line in ((cell, width), (nucleus, 1)):
            for ring in shapely.get_rings(shapely.get_parts(shape)) if shape is not None else ():
                xy = shapely.get_coordinates(ring) * scale
                pen.line([(float(x), float(y)) for x, y in xy], fill=color, width=line, joint="curve")
    return image
