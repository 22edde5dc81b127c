"""The classical segmenter: stain density, thresholds held within slide-level bounds, watershed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._stain import FLOOR, nuclear_floor, stain_maps
from .base import Calibration, GridSegmenter

__all__ = ["WatershedSegmenter"]


class WatershedSegmenter(GridSegmenter):
    """White cells by the color of their stain: thresholds (Otsu 1979) and watershed, no training, no network."""

    name = "watershed"
    receptive = 18

    def _numbers(self, rgb: NDArray[np.uint8], white: tuple[float, float, float]) -> dict[str, tuple[float, ...]]:
        return {"nucleus": (nuclear_floor(rgb, white),)}

    def _maps(
        self, rgb: NDArray[np.uint8], calibration: Calibration
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        floor = calibration.numbers.get("nucleus", (FLOOR[1],))[0]
        return stain_maps(rgb, calibration.white, floor, self.mpp)
