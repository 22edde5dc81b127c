"""The classical segmenter: stain density, slide-level thresholds, watershed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from .base import Calibration, GridSegmenter

__all__ = ["WatershedSegmenter", "stain_density"]

Map = NDArray[np.float32]

LEAST_NUCLEUS, MOST_NUCLEUS = 0.45, 0.95  # where Otsu's threshold of the red density may fall
SOFT = 0.06  # density over which a probability passes from 0.27 to 0.73
BLUR_UM = 0.35


class WatershedSegmenter(GridSegmenter):
    """White cells by stain density (Otsu 1979) and watershed: no training, no network.

    Nuclei absorb red light, red cells do not: so the nucleus is a threshold on the optical density in red, found
    once per slide and held within bounds, and an image without white cells gives none. Cytoplasm is what is around
    a nucleus and neither empty nor the color of red cells.
    """

    name = "watershed"
    receptive = 8

    def _numbers(self, rgb: NDArray[np.uint8], white: tuple[float, float, float]) -> dict[str, tuple[float, ...]]:
        density = stain_density(rgb, white)
        red = density[..., 0]
        stained = red[red > 0.2]
        nucleus = float(threshold_otsu(stained)) if stained.size > 50 and np.ptp(stained) > 0.1 else LEAST_NUCLEUS
        return {"nucleus": (float(np.clip(nucleus, LEAST_NUCLEUS, MOST_NUCLEUS)),)}

    def _maps(self, rgb: NDArray[np.uint8], calibration: Calibration) -> tuple[Map, Map]:
        sigma = BLUR_UM / self.mpp
        density = stain_density(rgb, calibration.white)
        density = ndimage.gaussian_filter(density, (sigma, sigma, 0), truncate=3.0)
        threshold = calibration.numbers.get("nucleus", (LEAST_NUCLEUS,))[0]
        red, green = density[..., 0], density[..., 1]
        nucleus = _soft(red - threshold)
        # Cytoplasm: bluer than a red cell, which absorbs green and hardly any red.
        cytoplasm = np.minimum(_soft(green - 0.12), _soft(red - 0.35 * green - 0.05))
        return nucleus, np.maximum(nucleus, cytoplasm)


def stain_density(rgb: NDArray[np.uint8], white: tuple[float, float, float]) -> Map:
    """Give the optical density, -ln(I / white), of each channel; float32 (Y, X, 3), not below 0.

    Exactly black pixels are a mask, not stain: their density is 0.
    """
    table = -np.log(np.maximum(np.arange(256, dtype=np.float32), 1)[:, None] / np.asarray(white, np.float32))
    table = np.maximum(table, 0).astype(np.float32)
    density = np.stack([table[rgb[..., c], c] for c in range(3)], axis=-1)
    density[~rgb.any(axis=2)] = 0
    return density


def _soft(margin: Map) -> Map:
    soft: Map = (1 / (1 + np.exp(-margin / SOFT))).astype(np.float32)
    return soft
