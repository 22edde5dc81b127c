"""What dyes do to light, and the thresholds that tell nuclei and cytoplasm by it, without training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

__all__ = ["FLOOR", "nuclear_floor", "stain_maps"]

Map = NDArray[np.float32]

# Fitted on the groups not held out of JTSC, ALL-IDB2 and BCCD (benchmarks/segmentation.py --dev shows them).
FLOOR = 0.35, 0.50  # where the slide's own threshold of nuclear stain may fall
NUCLEUS_SHARE = 0.5  # of the darkest stain nearby
NEARBY_UM = 4.25
CYTOPLASM, CYTOPLASM_SHARE = 0.15, 0.08
SOFT = 0.15  # part of the threshold over which a probability passes from 0.27 to 0.73


def nuclear_floor(rgb: NDArray[np.uint8], white: tuple[float, float, float]) -> float:
    """Give the nuclear stain below which nothing of a slide is nucleus, from samples of it, uint8 (Y, X, 3)."""
    stain, _ = _stains(rgb, white)
    stained = stain[stain > 0.25]
    floor = 0.6 * float(threshold_otsu(stained)) if stained.size > 50 and np.ptp(stained) > 0.1 else FLOOR[1]
    return float(np.clip(floor, *FLOOR))


def stain_maps(rgb: NDArray[np.uint8], white: tuple[float, float, float], floor: float, mpp: float) -> tuple[Map, Map]:
    """Give how likely pixels are of a nucleus, and of a white cell at all, by the color of their stain.

    Giemsa's azures dye nuclei and basophilic cytoplasm blue: these absorb green, some red, and hardly any blue
    light. Red cells absorb blue as they absorb green. So the difference of the optical densities in green and blue
    tells white cells from red ones whatever the lamp, and how much of it tells nucleus from cytoplasm.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
    white : tuple of 3 floats
        The slide's white point.
    floor : float
        As `nuclear_floor` gives it.
    mpp : float
        µm per pixel.

    Returns
    -------
    nucleus, cell : ndarray of float32, shape (Y, X)
        0..1.
    """
    stain, blue = _stains(rgb, white)
    # Nuclei differ in darkness within one slide: each is judged by the darkest stain around it.
    darkest = ndimage.maximum_filter(_blur(stain, 0.6 / mpp), 2 * round(NEARBY_UM / mpp) + 1)
    nucleus = _soft(_blur(stain, 0.35 / mpp), np.maximum(NUCLEUS_SHARE * darkest, floor))
    cell = _soft(_blur(blue, 0.45 / mpp), np.maximum(CYTOPLASM_SHARE * darkest, CYTOPLASM))
    return nucleus, np.maximum(nucleus, cell)


def _density(rgb: NDArray[np.uint8], white: tuple[float, float, float]) -> Map:
    """Give the optical density, -ln(I / white), of each channel; float32 (Y, X, 3), not below 0.

    Exactly black pixels are a mask, not stain: their density is 0.
    """
    table = -np.log(np.maximum(np.arange(256, dtype=np.float32), 1)[:, None] / np.asarray(white, np.float32))
    table = np.maximum(table, 0).astype(np.float32)
    density = np.empty(rgb.shape, np.float32)
    for c in range(3):
        density[..., c] = np.ascontiguousarray(table[:, c])[rgb[..., c]]
    density[rgb.max(axis=2) == 0] = 0
    return density


def _stains(rgb: NDArray[np.uint8], white: tuple[float, float, float]) -> tuple[Map, Map]:
    """Give how strongly a pixel is stained as a nucleus, and as any part of a white cell."""
    density = _density(rgb, white)
    red, green, blue = density[..., 0], np.minimum(density[..., 1], 2.5), density[..., 2]
    # Cytoplasm that is not basophilic absorbs some blue, too, but less than a red cell, which takes as much as green.
    return green + 0.5 * red - 1.3 * blue, green - 0.9 * blue


def _blur(image: Map, sigma: float) -> Map:
    blurred: Map = ndimage.gaussian_filter(image, sigma, truncate=3.0)
    return blurred


def _soft(value: Map, threshold: Map) -> Map:
    soft: Map = (1 / (1 + np.exp((1 - value / threshold) / SOFT))).astype(np.float32)
    return soft
