"""Where on a slide to look for red cells when the file does not tell its scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import SlideError
from leukoscope.slides._pixels import Pixels
from leukoscope.slides._pyramid import Halved
from leukoscope.slides.scale import RED_CELL_UM, measure_red_cells

__all__ = ["sample_mpp"]

_TILE = 1536  # px of level 0; holds tens of cells at every magnification a slide can have
_TRIES = 8
_GLIMPSES, _GLIMPSE = 48, 256  # how many, and their size in px of level 0
_ENOUGH = 5  # estimates
_OBJECTIVES = 1.6  # fields whose scales differ by more were taken through different objectives


def sample_mpp(levels: Sequence[Pixels], fields: Sequence[Any], file: str) -> float | None:
    """Estimate µm per level-0 pixel from a few places, as the median.

    Parameters
    ----------
    levels : sequence of Pixels
        The slide's pyramid.
    fields : sequence of Field
        The fields; several are sampled one by one.
    file : str
        Named in errors.

    Returns
    -------
    float or None
        None where no place shows red cells.

    Raises
    ------
    SlideError
        If fields of one folder were plainly taken at different magnifications.
    """
    found: list[float] = []
    names: list[str] = []
    for name, region in _places(levels, fields):
        cells = measure_red_cells(levels[0].region(*region))
        if cells is not None:
            found.append(RED_CELL_UM / cells.diameter)
            names.append(name)
        if len(found) >= _ENOUGH:
            break
    if not found:
        return None
    low, high = int(np.argmin(found)), int(np.argmax(found))
    if len(fields) > 1 and found[high] > _OBJECTIVES * found[low]:
        raise SlideError(
            f"the fields differ in magnification ({names[low]}: {found[low]:.3f} µm/px, {names[high]}: "
            f"{found[high]:.3f} µm/px, by their red cells)",
            "Put fields of one magnification into one folder, or state the µm/px.",
            file,
        )
    return float(np.median(found))


def _places(levels: Sequence[Pixels], fields: Sequence[Any]) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Regions (y0, y1, x0, x1) of level 0 to look at, the most promising first."""
    if len(fields) > 1:
        order = np.unique(np.linspace(0, len(fields) - 1, min(_TRIES, len(fields))).astype(int))
        # First, last, middle and so on, so that a few already span the folder.
        order = np.concatenate([order[:: max(1, len(order) // 4)], order])
        chosen = [fields[i] for i in dict.fromkeys(order.tolist())]
        return [(f.name, (f.y, f.y + f.height, f.x, f.x + f.width)) for f in chosen]
    height, width = levels[0].shape[:2]
    name = fields[0].name
    if max(height, width) <= 2 * _TILE:
        return [(name, (0, height, 0, width))]
    tops = np.unique(np.linspace(0, max(height - _TILE, 0), min(-(-height // _TILE), 24)).astype(int))
    lefts = np.unique(np.linspace(0, max(width - _TILE, 0), min(-(-width // _TILE), 24)).astype(int))
    corners = [(int(y), int(x)) for y in tops for x in lefts]
    scores = _content(levels, corners)
    best = sorted(range(len(corners)), key=lambda i: -scores[i])[:_TRIES]
    return [(name, (y, y + _TILE, x, x + _TILE)) for y, x in (corners[i] for i in best)]


def _content(levels: Sequence[Pixels], corners: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """How much a tile promises a layer of single cells: neither glass nor a thick clump, seen from afar."""
    far = levels[-1]
    if isinstance(far, Halved):
        # The file has no small image, and making one would read it all: a glimpse at the middle of some tiles.
        some = np.random.default_rng(0).permutation(len(corners))[:_GLIMPSES]
        middle = (_TILE - _GLIMPSE) // 2
        parts = {int(i): _glimpse(levels[0], corners[i][0] + middle, corners[i][1] + middle) for i in some}
        glass = np.percentile(np.concatenate([p.reshape(-1, 3) for p in parts.values()]), 98, axis=0)
    else:
        scale = levels[0].shape[1] / far.shape[1]
        small = far.region(0, far.shape[0], 0, far.shape[1])
        glass = np.percentile(small.reshape(-1, 3), 98, axis=0)
        side = max(1, round(_TILE / scale))
        starts = [(round(y / scale), round(x / scale)) for y, x in corners]
        parts = {i: small[y : y + side, x : x + side] for i, (y, x) in enumerate(starts)}
    scores = np.full(len(corners), -np.inf)
    for i, part in parts.items():
        if part.size:
            # Green and blue, which red cells absorb.
            density = np.log10((glass[1:] + 4) / (part[..., 1:].astype(np.float32) + 4)).mean(-1)
            scores[i] = ((density > 0.02) & (density < 0.3)).mean() - 2 * (density >= 0.45).mean()
    return scores


def _glimpse(level: Pixels, y: int, x: int) -> NDArray[np.uint8]:
    return level.region(y, y + _GLIMPSE, x, x + _GLIMPSE)[::4, ::4]
