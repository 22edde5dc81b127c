"""What a found object is: an intact cell, a smudge, or a large platelet.

Smudges are cells that burst while the smear was made, common in leukemia; they have no class. Their chromatin runs out,
so they are paler and redder than nuclei, ragged, and without a sharp edge. The rule is this project's own: a support
vector machine on six figures of color and shape, in the file `kinds.json`, which `python -m leukotrain.segment.kinds`
fits on smudges marked by eye.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

__all__ = ["FEATURES", "KINDS", "SmudgeRule", "cell_kinds", "logarithms", "smudge_features"]

KINDS = ("cell", "smudge", "platelet")
FEATURES = ("red/green", "blue/green", "density", "solidity", "roughness", "edge")

# The nucleus of a small lymphocyte is 6 µm across (28 µm²), a whole platelet rarely as much as 7 µm.
PLATELET_CORE_UM2, PLATELET_UM2 = 24.0, 52.0
MARGIN_UM = 3.0
GRID_UM = 0.5  # figures are taken at about this resolution, so that they are alike for every segmenter
BLUR_UM = 0.5
ROUGH_UM = 1.5

Labels = NDArray[np.int32]


def cell_kinds(
    rgb: NDArray[np.uint8], cells: Labels, nuclei: Labels, count: int, white: tuple[float, float, float], mpp: float
) -> tuple[str, ...]:
    """Tell smudges and large platelets from cells.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)
        The image the cells were found in, at the segmenter's working resolution.
    cells, nuclei : ndarray of int32, shape (Y, X)
        As in `Masks`.
    count : int
        How many cells there are.
    white : tuple of 3 floats
        The slide's white point.
    mpp : float
        µm per pixel.

    Returns
    -------
    tuple of str
        One of `KINDS` per cell. What the image's border cuts is no platelet: how large it is cannot be seen.
    """
    if not count:
        return ()
    smudge = _rule()(smudge_features(rgb, cells, nuclei, count, white, mpp))
    area, core = (np.bincount(a.ravel(), minlength=count + 1)[1:] * mpp**2 for a in (cells, nuclei))
    cut = np.zeros(count + 1, bool)
    for side in (cells[0], cells[-1], cells[:, 0], cells[:, -1]):
        cut[side] = True
    platelet = (core < PLATELET_CORE_UM2) & (area < PLATELET_UM2) & ~cut[1:]
    return tuple(KINDS[2] if p else KINDS[int(s)] for p, s in zip(platelet, smudge, strict=True))


def smudge_features(
    rgb: NDArray[np.uint8], cells: Labels, nuclei: Labels, count: int, white: tuple[float, float, float], mpp: float
) -> NDArray[np.float64]:
    """Measure what tells smudges from cells; parameters as for `cell_kinds`.

    Returns
    -------
    ndarray of float64, shape (count, 6)
        In the order of `FEATURES`: optical density of the nucleus in red and in blue over that in green, and in green;
        area over that of the convex hull; what 1.5 µm of opening and closing change, over the area; the mean slope of
        density along the edge, per µm, over the density.
    """
    out = np.zeros((count, len(FEATURES)))
    table = np.log10((np.asarray(white) + 1) / (np.arange(256)[:, None] + 1))
    margin, fold = round(MARGIN_UM / mpp), max(1, round(GRID_UM / mpp))
    mpp *= fold
    for i, box in enumerate(ndimage.find_objects(cells, count)):
        if box is None:
            continue
        rows, columns = (
            slice(max(0, s.start - margin), min(n, s.stop + margin)) for s, n in zip(box, cells.shape, strict=True)
        )
        window = rows, columns
        cell, nucleus = (_folded(a[window] == i + 1, fold) > 0.5 for a in (cells, nuclei))
        density = [_folded(table[rgb[window][..., c], c], fold) for c in range(3)]
        if not cell.any():  # thinner than a grid's pixel
            cell = np.ones_like(cell)
        inner = _eroded(cell, 0.5 / mpp)
        core = next(m for m in (_eroded(nucleus, 0.5 / mpp), nucleus, cell) if m.any())
        red, green, blue = (max(float(plane[core].mean()), 0.01) for plane in density)
        padded = np.pad(cell, round(MARGIN_UM / mpp), mode="edge")  # what the border cuts goes on beyond it
        radius = ROUGH_UM / mpp
        opened = ~_eroded(~_eroded(padded, radius), radius)
        closed = _eroded(~_eroded(~padded, radius), radius)
        rough = np.count_nonzero(opened ^ closed) / np.count_nonzero(cell)
        slope = np.hypot(*np.gradient(ndimage.gaussian_filter(density[1], BLUR_UM / mpp), mpp))
        steep = float(slope[cell & ~inner].mean()) / green if (cell & ~inner).any() else 0.0
        out[i] = red / green, blue / green, green, _solidity(cell, inner), rough, steep
    return out


def _folded(plane: NDArray[Any], fold: int) -> NDArray[np.float64]:
    """Average squares of `fold` px a side; what is left over at the end goes to none."""
    y, x = (max(1, n // fold) for n in plane.shape)
    squares = plane[: y * fold, : x * fold].reshape(y, -1, x, min(fold, plane.shape[1]))
    mean: NDArray[np.float64] = squares.mean(axis=(1, 3))
    return mean


def _eroded(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Take off what is within `radius` px of the outside; the image's border is no outside."""
    if mask.all():
        return mask
    deep: NDArray[np.bool_] = ndimage.distance_transform_edt(mask) > radius
    return deep


def _solidity(cell: NDArray[np.bool_], inner: NDArray[np.bool_]) -> float:
    """Give a cell's area over that of its convex hull."""
    rim = np.argwhere(cell & ~inner)
    if not len(rim):  # it fills the image
        return 1.0
    corners = (rim[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).reshape(-1, 2)
    return float(np.count_nonzero(cell) / ConvexHull(corners).volume)


@dataclass(frozen=True)
class SmudgeRule:
    """A support vector machine with Gaussian kernel (Cortes & Vapnik 1995) on the logarithms of the features.

    Attributes
    ----------
    center, scale : tuple of float
        Mean and standard deviation of the logarithms in training.
    gamma : float
        Of the kernel, exp(-gamma d²).
    vectors : tuple of tuple of float
        The support vectors, centered and scaled.
    weights : tuple of float
        One a support vector; positive for smudges.
    bias : float
    """

    center: tuple[float, ...]
    scale: tuple[float, ...]
    gamma: float
    vectors: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    bias: float

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell of features (n, 6) which are those of smudges."""
        scaled = (logarithms(features) - np.array(self.center)) / np.array(self.scale)
        distance = ((scaled[:, None] - np.array(self.vectors)) ** 2).sum(axis=2)
        smudge: NDArray[np.bool_] = np.exp(-self.gamma * distance) @ np.array(self.weights) + self.bias > 0
        return smudge


def logarithms(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the logarithms of features; what is below 0.02 counts as that."""
    logs: NDArray[np.float64] = np.log(np.maximum(features, 0.02))
    return logs


@cache
def _rule() -> SmudgeRule:
    return SmudgeRule(**json.loads((files(__package__) / "kinds.json").read_text(encoding="utf-8")))
