"""The scale of a smear from its red cells, the ruler every blood film carries.

Red cells are found by their outer edge: every edge pixel votes for the center that lies one radius towards its dark
side (a circular Hough transform that knows polarity; Ballard 1981). The rim of the central pallor has the opposite
polarity and never votes, overlapping and touching cells still give arcs, and nothing has to be segmented first.
Radii are searched octave by octave, each at a resolution where a cell is 12 to 24 px wide, so the cost and the
answer do not depend on the magnification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage as ndi

from leukoscope.errors import SlideError

__all__ = ["RED_CELL_UM", "RedCells", "estimate_mpp", "measure_red_cells"]

RED_CELL_UM = 7.2
"""Mean diameter of a red cell on a dried film, µm."""

_FIELD_PX = 640  # at each octave the search sees this much of the image's middle: enough cells, bounded time
_RADII = 6.0 * 2.0 ** (np.arange(-1, 8) / 6)  # px at an octave's resolution; the ends overlap the next octave
_SUPPORT = 0.46  # part of the circumference that must be seen
_EDGE_VARIANCE = 1.5  # px², of the smoothing and the derivative at an octave's resolution
_BLUR = 0.18  # how far votes may miss the center, in radii: red cells are not quite round
_WINDOW = 0.3  # octaves of diameter around the common one
_LEAST = {False: (5, 0.2), True: (3, 0.08)}  # cells, and part of the stained area they must explain


@dataclass(frozen=True)
class RedCells:
    """Red cells that agree on a size.

    Attributes
    ----------
    diameter : float
        Median diameter, px of the measured image.
    spread : float
        Interquartile range of the diameters over their median.
    centers : float array (n, 2)
        ``y, x`` of each cell, px.
    diameters : float array (n,)
        Diameter of each cell, px.
    cover : float
        Part of the red-stained area that these cells explain, 0..1.
    """

    diameter: float
    spread: float
    centers: NDArray[np.float64]
    diameters: NDArray[np.float64]
    cover: float


def estimate_mpp(rgb: NDArray[np.uint8], diameter_um: float = RED_CELL_UM, few: bool = False) -> float | None:
    """Estimate µm per pixel from the red cells of a field.

    Parameters
    ----------
    rgb : uint8 array (Y, X, 3)
        A field of a blood or marrow smear, at any magnification between about 0.05 and 0.7 µm/px.
    diameter_um : float
        The red cells' mean diameter, µm. Microcytic or macrocytic blood deserves its own figure.
    few : bool
        Be content with three cells that explain little of what is stained: for a field of stacked cells, where nothing
        better is to be had. Half as exact.

    Returns
    -------
    float or None
        µm/px, or None where too few red cells of one size can be made out (tissue, blank glass, a single cell).
    """
    found = measure_red_cells(rgb, few)
    return None if found is None else diameter_um / found.diameter


def measure_red_cells(rgb: NDArray[np.uint8], few: bool = False) -> RedCells | None:
    """Find the red cells of a field and the diameter on which they agree.

    Parameters
    ----------
    rgb : uint8 array (Y, X, 3)
        A field of a smear.
    few : bool
        As in `estimate_mpp`.

    Returns
    -------
    RedCells or None
        None where no population of round, red-stained cells of one size is seen.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise SlideError(f"expected uint8 RGB (Y, X, 3), got {rgb.dtype} {rgb.shape}", "Convert the image first.")
    found = []
    factor = 1
    while min(rgb.shape[:2]) / factor >= 4 * _RADII[1]:
        image, (y, x) = _shrink(rgb, factor)
        circles = _circles(image)
        if circles is not None and len(circles):
            found.append(circles * (factor, factor, factor, 1, 1) + (y, x, 0, 0, 0))
        factor *= 2
    return _agree(np.concatenate(found), *_LEAST[few]) if found else None


def _shrink(rgb: NDArray[np.uint8], factor: int) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Middle of the image, block means over ``factor`` px, at most ``_FIELD_PX`` wide; float32."""
    h, w = (min(n // factor, _FIELD_PX) * factor for n in rgb.shape[:2])
    y, x = (rgb.shape[0] - h) // 2, (rgb.shape[1] - w) // 2
    part = Image.fromarray(np.ascontiguousarray(rgb[y : y + h, x : x + w]))
    return np.asarray(part.reduce(factor)).astype(np.float32), (y, x)


def _stain(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_], float] | None:
    """Absorbance of the red cells, the pixels that are nuclei, and the red cells' contrast; None without contrast."""
    smooth = ndi.gaussian_filter(image, (1.0, 1.0, 0))
    # The glass: the brightest common tone, here and there, so that vignetting does not matter.
    step = max(1, min(smooth.shape[:2]) // 12)
    glass = ndi.percentile_filter(smooth[::step, ::step], 85, size=(5, 5, 1), mode="nearest")
    glass = ndi.zoom(
        ndi.gaussian_filter(glass, (2, 2, 0)), (*(np.array(smooth.shape[:2]) / glass.shape[:2]), 1), order=1
    )
    density: NDArray[np.float32] = np.log10((glass + 4) / (smooth + 4)).astype(np.float32)
    red, green, blue = density[..., 0], density[..., 1], density[..., 2]
    nuclei = (red > 0.8 * green + 0.0) & (red > 0.1)
    nuclei |= (red > blue + 0.02) & (red > 0.06)
    stain = 0.5 * (green + blue)
    values = stain[~nuclei]
    if values.size < 0.2 * stain.size:
        return None
    low, high, highest = np.percentile(values, [10, 90, 98])
    contrast = float(high - low) if high - low > 0.03 else float(highest - low)  # few cells on much glass
    return (stain, nuclei, contrast) if contrast > 0.03 else None


def _circles(image: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Round things with red-stained insides; a row each: y, x, diameter (px), support, part of the stained area."""
    stained = _stain(image)
    if stained is None:
        return None
    stain, nuclei, contrast = stained
    area = float(((stain > 0.5 * contrast) & ~nuclei).sum())
    stain = np.where(ndi.binary_dilation(nuclei), 0, stain)
    edges = _edges(stain, ndi.binary_dilation(nuclei, iterations=3), 0.06 * contrast)
    votes = _votes(edges, stain.shape)
    top = votes.max(axis=0)
    y, x = np.nonzero((top == ndi.maximum_filter(top, size=9)) & (top > _SUPPORT))
    which = votes[:, y, x].argmax(axis=0)
    whole = (which > 0) & (which < len(_RADII) - 1)  # a maximum inside this octave
    y, x, which = y[whole], x[whole], which[whole]
    if len(y) == 0 or area == 0:
        return None
    support = top[y, x]
    diameter = _chords(stain, y, x, _RADII[which], 0.04 * contrast)
    cover = np.pi / 4 * diameter**2 / area
    return np.stack([y + 0.5, x + 0.5, diameter, support, cover], 1)[diameter > 0]


def _edges(stain: NDArray[np.float32], ignore: NDArray[np.bool_], least: float) -> tuple[NDArray[Any], ...]:
    """Edge pixels one pixel thin and the unit vector towards their dark side: y, x, uy, ux."""
    gy, gx = ndi.sobel(stain, 0) / 8, ndi.sobel(stain, 1) / 8
    size = np.hypot(gy, gx)
    y, x = np.nonzero((size > least) & ~ignore)
    uy, ux = gy[y, x] / size[y, x], gx[y, x] / size[y, x]
    # A pixel stays if it is the strongest along its gradient, so that blur adds no votes.
    ahead = ndi.map_coordinates(size, (y + uy, x + ux), order=1, mode="nearest")
    behind = ndi.map_coordinates(size, (y - uy, x - ux), order=1, mode="nearest")
    keep = (size[y, x] >= ahead) & (size[y, x] > behind)
    return y[keep], x[keep], uy[keep], ux[keep]


def _votes(edges: tuple[NDArray[Any], ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Part of a circle's circumference seen around every pixel, for every radius: (radii, Y, X)."""
    y, x, uy, ux = edges
    votes = np.empty((len(_RADII), *shape), np.float32)
    rows, columns = np.arange(shape[0], dtype=np.float32), np.arange(shape[1], dtype=np.float32)
    for i, radius in enumerate(_RADII):
        cy, cx = np.rint(y + radius * uy).astype(int), np.rint(x + radius * ux).astype(int)
        inside = (cy >= 0) & (cy < shape[0]) & (cx >= 0) & (cx < shape[1])
        count = np.bincount(cy[inside] * shape[1] + cx[inside], minlength=shape[0] * shape[1]).reshape(shape)
        sigma = _BLUR * radius
        blurred = ndi.gaussian_filter(count.astype(np.float32), sigma, mode="constant", truncate=3)
        # A thin digital circle has about 5.66 r pixels; less where the image's border cuts it.
        votes[i] = blurred * (2 * np.pi * sigma**2) / (5.66 * radius)
        seen = np.add.outer(_cut(rows, radius), _cut(columns, radius))
        votes[i] /= np.maximum(1 - seen, 0.5)
    return votes


def _cut(position: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    """Part of a circle's circumference outside an axis of pixels, for each position of its center."""
    ends = np.minimum(position + 0.5, position[-1] + 0.5 - position)
    cut: NDArray[np.float32] = np.arccos(np.minimum(ends / radius, 1)) / np.pi
    return cut


def _chords(
    stain: NDArray[np.float32],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    radius: NDArray[np.float64],
    least: float,
) -> NDArray[np.float64]:
    """Median chord through each cell's center, px, from the steepest fall on opposite rays; 0 where too few are seen.

    The circle that collects most votes in an oval cell is the one in its waist; chords measure the cell itself. The
    second round starts from the first one's center and size.
    """
    angles = np.arange(32) * (np.pi / 16)
    steps = np.linspace(0.55, 1.6, 36)
    diameter = np.zeros(len(y))
    for _ in range(2):
        reach = radius[:, None, None] * steps
        py, px = y[:, None, None] + reach * np.sin(angles)[:, None], x[:, None, None] + reach * np.cos(angles)[:, None]
        rays = ndi.map_coordinates(stain, (py, px), order=1, mode="nearest")
        fall = (rays[..., :-2] - rays[..., 2:]) / (reach[..., 2:] - reach[..., :-2])  # per px
        near = np.exp(-0.5 * (np.log(steps[1:-1]) / 0.25) ** 2)
        best = (fall * near).argmax(axis=-1)
        edge = steps[1:-1][best] * radius[:, None]
        edge[np.take_along_axis(fall, best[..., None], -1)[..., 0] < least] = np.nan
        chord = edge[:, :16] + edge[:, 16:]
        seen = np.isfinite(chord)
        enough = seen.sum(axis=1) >= 6
        chord[~enough] = 0
        diameter = np.where(enough, np.nanmedian(chord, axis=1), 0)
        # A center that is off by e sees its chords' middles at -(e·u)u, on average -e/2.
        middle = np.where(seen, edge[:, :16] - edge[:, 16:], 0) / np.maximum(seen.sum(axis=1), 1)[:, None]
        y, x = y + middle @ np.sin(angles[:16]), x + middle @ np.cos(angles[:16])
        radius = np.where(enough, np.clip(diameter / 2, 0.7 * radius, 1.4 * radius), radius)
    # Smoothing pulls the steepest place of a curved edge inwards by variance / (2 r).
    return np.where(diameter > 0, diameter + 2 * _EDGE_VARIANCE / np.maximum(diameter, 1), 0)


def _agree(circles: NDArray[np.float64], cells: int, least: float) -> RedCells | None:
    """Find the size most circles share; None where they do not agree or explain too little of the stained area."""
    # One circle a cell: the best supported first, others with their center inside it go.
    circles = circles[np.argsort(-circles[:, 3])]
    distance = np.hypot(*(circles[:, None, :2] - circles[None, :, :2]).transpose(2, 0, 1))
    clash = distance < 0.35 * np.maximum(circles[:, None, 2], circles[None, :, 2])
    kept: list[int] = []
    for i in range(len(circles)):
        if not clash[i, kept].any():
            kept.append(i)
    circles = circles[kept]
    logs = np.log2(circles[:, 2])
    near = np.abs(logs[:, None] - logs[None, :]) < _WINDOW
    members = near[(near * (circles[:, 3] * circles[:, 4])[None, :]).sum(axis=1).argmax()]
    low, median, high = np.percentile(circles[members, 2], [25, 50, 75])
    cover = float(circles[members, 4].sum())
    if members.sum() < cells or cover < least:
        return None
    return RedCells(float(median), float((high - low) / median), circles[members, :2], circles[members, 2], cover)
