"""A file of any format becomes a Slide: one lazy pyramid of 8-bit RGB, its µm per pixel, nothing in memory."""

from leukoscope.slides.scale import RED_CELL_UM, RedCells, estimate_mpp, measure_red_cells

__all__ = ["RED_CELL_UM", "RedCells", "estimate_mpp", "measure_red_cells"]
