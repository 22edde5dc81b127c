"""A file of any format becomes a Slide: one lazy pyramid of 8-bit RGB, its µm per pixel, nothing in memory."""

from leukoscope.slides._image import read_picture
from leukoscope.slides._open import open_slide
from leukoscope.slides.scale import RED_CELL_UM, RedCells, estimate_mpp, measure_red_cells
from leukoscope.slides.slide import Field, Slide

__all__ = [
    "RED_CELL_UM",
    "Field",
    "RedCells",
    "Slide",
    "estimate_mpp",
    "measure_red_cells",
    "open_slide",
    "read_picture",
]
