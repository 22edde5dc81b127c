"""White cells and their nuclei: an RGB image in, masks out."""

from __future__ import annotations

from ._scale import guess_mpp
from .base import Calibration, GridSegmenter, Masks, Segmenter
from .outlines import FoundCell, found_cells, rasterize
from .registry import get_segmenter, segmenter_names
from .tiling import read_working, segment_tile, segment_tiled, working_shape

__all__ = [
    "Calibration",
    "FoundCell",
    "GridSegmenter",
    "Masks",
    "Segmenter",
    "found_cells",
    "get_segmenter",
    "guess_mpp",
    "rasterize",
    "read_working",
    "segment_tile",
    "segment_tiled",
    "segmenter_names",
    "working_shape",
]
