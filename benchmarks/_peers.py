"""What a user of scikit-image or of napari's plugins would try first: classical segmenters, at the image's resolution.

Each takes RGB and µm per pixel and gives `Masks`. None of them knows of a white cell's cytoplasm: there, all three
grow their nuclei into the middle one of three Otsu classes of green. What is not over 10 µm² is dropped, as debris.
Lengths are the best of a few tried on some validation groups of JTSC, BCCD and ALL-IDB1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_multiotsu, threshold_otsu
from skimage.measure import label
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from leukoscope.segmentation import Masks

__all__ = ["LEAST_UM2", "PEERS", "otsu", "skimage_watershed", "voronoi_otsu"]

LEAST_UM2 = 10.0


def otsu(rgb: NDArray[np.uint8], mpp: float) -> Masks:
    """Take the darkest of three Otsu classes of green as nuclei, the middle one as what belongs to them.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
    mpp : float
        µm per pixel.

    Returns
    -------
    Masks
        Nuclei that touch are one.
    """
    green = _smooth(rgb)
    levels = _levels(green)
    if levels is None:
        return _masks(np.zeros(green.shape, np.int32), green, mpp)
    return _masks(ndimage.label(green < levels[0])[0], green, mpp)


def skimage_watershed(rgb: NDArray[np.uint8], mpp: float, min_distance_um: float = 6.0, classes: int = 2) -> Masks:
    """Split Otsu's foreground by the watershed of its distance transform.

    The recipe of scikit-image's gallery, "Watershed segmentation": threshold, distance transform, its peaks as
    markers, watershed of the negative distance within the foreground. With three classes, of which the darkest is
    the foreground, it is closer to "Segment human cells (in mitosis)": with two, red cells are foreground as well.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
    mpp : float
        µm per pixel.
    min_distance_um : float
        Peaks are at least that far apart.
    classes : int
        Otsu classes, 2 or 3.

    Returns
    -------
    Masks
    """
    green = _smooth(rgb)
    levels = _levels(green) if classes == 3 else None
    dark = green < (levels[0] if levels else threshold_otsu(green))
    distance = ndimage.distance_transform_edt(dark)
    peaks = peak_local_max(distance, min_distance=max(1, round(min_distance_um / mpp)), exclude_border=False)
    markers = np.zeros(dark.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return _masks(watershed(-distance, markers, mask=dark), green, mpp)


def voronoi_otsu(
    rgb: NDArray[np.uint8], mpp: float, spot_sigma_um: float = 2.0, outline_sigma_um: float = 0.2
) -> Masks:
    """Label as `voronoi_otsu_labeling` of napari-segment-blobs-and-things-with-membranes does, on inverted green.

    Maxima of the image blurred by one sigma, where they lie in the Otsu foreground of the image blurred by another,
    are the seeds of a watershed without relief within that foreground, which shares it out as Voronoi cells do.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
    mpp : float
        µm per pixel.
    spot_sigma_um, outline_sigma_um : float
        How near seeds may be, and how smooth outlines are; the plugin asks for them in pixels.

    Returns
    -------
    Masks

    References
    ----------
    Haase R. et al., napari-segment-blobs-and-things-with-membranes, doi:10.5281/zenodo.7027634.
    """
    inverted = 255 - rgb[..., 1]
    spots = local_maxima(gaussian(inverted, spot_sigma_um / mpp))
    outline = gaussian(inverted, outline_sigma_um / mpp)
    bright = outline > threshold_otsu(outline)
    labels = watershed(bright, label(spots & bright), mask=bright)
    return _masks(labels, _smooth(rgb), mpp)


def _smooth(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    smooth: NDArray[np.float32] = ndimage.gaussian_filter(rgb[..., 1].astype(np.float32), 1)
    return smooth


def _levels(green: NDArray[np.float32]) -> tuple[float, float] | None:
    """Give the thresholds between three Otsu classes, None where there are not as many values."""
    try:
        low, high = threshold_multiotsu(green, 3)
    except ValueError:  # an image of one or two values
        return None
    return float(low), float(high)


def _masks(nuclei: NDArray[np.int32], green: NDArray[np.float32], mpp: float) -> Masks:
    """Drop small nuclei, number the others 1..n, and grow each within its part of the darker two Otsu classes."""
    area = np.bincount(nuclei.ravel()) * mpp**2
    kept = area > LEAST_UM2
    kept[0] = False
    nuclei = np.where(kept, np.cumsum(kept), 0).astype(np.int32)[nuclei]
    n = int(kept.sum())
    levels = _levels(green)
    cells = nuclei
    if n and levels is not None:
        rows, columns = ndimage.distance_transform_edt(nuclei == 0, return_distances=False, return_indices=True)
        body = ndimage.label(green < levels[1])[0]
        nearest = nuclei[rows, columns]
        cells = np.where((nuclei > 0) | ((body > 0) & (body == body[rows, columns])), nearest, 0).astype(np.int32)
    return Masks(cells, nuclei, np.ones(n, np.float32), mpp, "given")


PEERS: dict[str, Callable[[NDArray[np.uint8], float], Masks]] = {
    "otsu": otsu,
    "scikit-image watershed": skimage_watershed,
    "the same, three classes": partial(skimage_watershed, classes=3),
    "voronoi-otsu": voronoi_otsu,
}
