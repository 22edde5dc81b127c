"""Training scenes: pieces of real smear, and clumps composed of real cells on real background, augmented alike.

Everything happens in optical density at 0.25 µm/px; a scene leaves at the working resolution.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from .bank import BANK_MPP, Canvas, Cutout, cutouts

__all__ = ["Scene", "SceneMaker"]

Rng = np.random.Generator
T = TypeVar("T")


@dataclass(frozen=True)
class Scene:
    """One training image: `density` (3, N, N) float32 optical density; `target`, `known` (3, N, N) float32.

    The three targets are nucleus, cell, and the inner part of every cell, by which touching cells are told apart.
    """

    density: NDArray[np.float32]
    target: NDArray[np.float32]
    known: NDArray[np.float32]


class SceneMaker:
    """Makes scenes from a bank, the same ones for the same random generator.

    Parameters
    ----------
    bank : list of Canvas
    size : int
        N, working pixels a side.
    mpp : float
        Working resolution, µm per pixel.
    """

    def __init__(self, bank: list[Canvas], size: int = 64, mpp: float = 0.5) -> None:
        self.size = size
        self.mpp = mpp
        self.by_source = {s: [c for c in bank if c.source == s] for s in {c.source for c in bank}}
        pool = cutouts(bank)
        self.cells = {s: [c for c in pool if c.source == s] for s in {c.source for c in pool}}
        self.fields = [c for c in bank if c.source in ("all_idb1", "bccd")]
        self.centers = {id(c): _centers(c) for c in self.fields}

    def make(self, rng: Rng) -> Scene:
        """Make one scene."""
        kind = rng.random()
        if kind < 0.15 and "all_idb1" in self.by_source:
            canvas = _pick(rng, self.by_source["all_idb1"])
        elif kind < 0.55:
            sources = sorted(s for s in self.by_source if s != "all_idb1")
            canvas = _pick(rng, self.by_source[sources[rng.integers(len(sources))]])
        else:
            return self._finish(self._compose(rng, empty=kind > 0.92), None, rng)
        at = self.centers.get(id(canvas))
        where = at[rng.integers(len(at))] if at is not None and len(at) and rng.random() < 0.8 else None
        return self._finish(canvas, where, rng)

    def _compose(self, rng: Rng, empty: bool = False) -> Canvas:
        """Compose a clump of touching cells on background from another image."""
        side = round(self.size * self.mpp / BANK_MPP * 1.4)
        ground = self._ground(rng, side)
        if empty:
            return ground
        od, cells, nuclei = ground.density.astype(np.float32), ground.cells.copy(), ground.nuclei.copy()
        unknown = ground.unknown_cell.copy()
        source = list(self.cells)[rng.integers(len(self.cells))]
        stain = np.exp(rng.normal(0, 0.1, 3))
        placed: list[tuple[float, float, float]] = []
        for i in range(1, int(rng.choice([1, 2, 3, 4, 5, 6, 7], p=[0.1, 0.2, 0.2, 0.2, 0.15, 0.1, 0.05])) + 1):
            if rng.random() < 0.15:
                source = list(self.cells)[rng.integers(len(self.cells))]
            patch, cell, nucleus = _turn(_pick(rng, self.cells[source]), rng)
            radius = float(np.sqrt(cell.sum() / np.pi))
            spot = _spot(placed, radius, side, rng)
            if spot is None:
                continue
            top, left = round(spot[0] - cell.shape[0] / 2), round(spot[1] - cell.shape[1] / 2)
            if top < 0 or left < 0 or top + cell.shape[0] > side or left + cell.shape[1] > side:
                continue
            placed.append((*spot, radius))
            window = slice(top, top + cell.shape[0]), slice(left, left + cell.shape[1])
            cell = cell & (cells[window] == 0)  # cells lie beside each other; what came first stays
            alpha = ndimage.gaussian_filter(cell.astype(np.float32), 0.8)[..., None] * (cells[window] == 0)[..., None]
            od[window] = od[window] * (1 - alpha) + patch * stain * alpha
            cells[window][cell] = i
            nuclei[window] |= nucleus & cell
            nuclei[window] &= cells[window] > 0
            unknown[window] &= ~cell
        whole = np.clip(od, 0, 255).astype(np.uint8)
        return Canvas("composed", "", whole, cells, nuclei, unknown, unknown.copy())

    def _ground(self, rng: Rng, side: int) -> Canvas:
        """Background without a white cell: red cells and platelets, or plain glass."""
        empty = np.zeros((side, side), bool)
        tint = rng.uniform(0, 8, 3)
        plain = np.broadcast_to(tint, (side, side, 3)) + rng.normal(0, 1.5, (side, side, 3))
        glass = Canvas(
            "glass", "", np.clip(plain, 0, 255).astype(np.uint8), empty.astype(np.int16), empty, empty, empty
        )
        if rng.random() < 0.12 or not self.fields:
            return glass
        for _ in range(20):
            canvas = _pick(rng, self.fields)
            h, w = canvas.cells.shape
            # Fields of BCCD are smaller than a scene: mirrored at the border.
            rows = _mirror(rng.integers(-side // 2, max(1, h - side // 2)) + np.arange(side), h)
            columns = _mirror(rng.integers(-side // 2, max(1, w - side // 2)) + np.arange(side), w)
            box = np.ix_(rows, columns)
            if (canvas.cells[box] != 0).any() or canvas.unknown_nucleus[box].any():
                continue
            return Canvas("ground", "", canvas.density[box], canvas.cells[box], canvas.nuclei[box], empty, empty)
        return glass

    def _finish(self, canvas: Canvas, where: NDArray[np.float64] | None, rng: Rng) -> Scene:
        """Cut, turn, scale, blur and stain; then to the working resolution."""
        fine = max(1, round(self.mpp / BANK_MPP))  # samples a working pixel and side, averaged as a slide's levels are
        n = fine * self.size
        turn, zoom = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(-0.3, 0.25))
        if rng.random() < 0.3:  # as it lies: turning costs sharpness
            turn, zoom = np.pi / 2 * rng.integers(4), 1.0
        zoom *= self.mpp / fine / BANK_MPP
        c, s = np.cos(turn) * zoom, np.sin(turn) * zoom
        matrix = np.array([[c, -s], [s, c]])
        if rng.random() < 0.5:
            matrix[:, 1] *= -1
        h, w = canvas.cells.shape
        middle = np.array([h / 2, w / 2]) if where is None else where
        if where is None and min(h, w) > n:
            middle = np.array([rng.uniform(n / 3, h - n / 3), rng.uniform(n / 3, w - n / 3)])
        middle = middle + rng.uniform(-n / 5, n / 5, 2)
        grid = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij")).reshape(2, -1) - (n - 1) / 2
        at = (matrix @ grid + middle[:, None]).reshape(2, n, n)
        inside = (at[0] >= 0) & (at[0] <= h - 1) & (at[1] >= 0) & (at[1] <= w - 1)
        near = tuple(np.clip(np.rint(a).astype(np.intp), 0, m - 1) for a, m in zip(at, (h, w), strict=True))
        od = _sampled(canvas.density, at)
        cells = np.where(inside, canvas.cells[near], 0)
        nuclei = inside & canvas.nuclei[near]
        unknown_cell = inside & canvas.unknown_cell[near]
        unknown_nucleus = inside & canvas.unknown_nucleus[near]
        target = np.stack([nuclei, cells != 0, _inner(cells)]).astype(np.float32)
        known = 1 - np.stack([unknown_nucleus, unknown_cell, unknown_cell]).astype(np.float32)
        target, known = (_binned(a, fine) for a in (target, known))
        varied = _binned(stained((od / 128).astype(np.float32), inside, rng, BANK_MPP), fine)
        noisy = varied + rng.normal(0, rng.uniform(0, 0.02), varied.shape)
        whole = (np.clip(np.rint(noisy * 128), 0, 255) / 128).astype(np.float32)
        return Scene(whole, (target > 0.5).astype(np.float32), (known > 0.99).astype(np.float32))


def _sampled(density: NDArray[np.uint8], at: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate density (Y, X, 3) at the points (2, n, n), 0 outside; gives (3, n, n)."""
    box = [(max(0, int(a.min()) - 1), int(a.max()) + 2) for a in at]
    (top, bottom), (left, right) = box
    part = density[top:bottom, left:right]
    if 0 in part.shape:
        return np.zeros((3, *at.shape[1:]), np.float32)
    # Only the part under the points is converted: fields are large, scenes small.
    size = np.array(part.shape[:2])[:, None, None]
    own = (2 * (at - np.array([top, left])[:, None, None]) + 1) / size - 1
    grid = torch.from_numpy(own[::-1].copy()).float().permute(1, 2, 0)[None]
    image = torch.from_numpy(part.astype(np.float32)).permute(2, 0, 1)[None]
    out: NDArray[np.float32] = functional.grid_sample(image, grid, align_corners=False)[0].numpy()
    return out


def _binned(maps: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Average k × k pixels of maps (n, Y, X)."""
    if k == 1:
        return maps
    n, y, x = maps.shape
    mean: NDArray[np.float32] = maps.reshape(n, y // k, k, x // k, k).mean((2, 4))
    return mean


def stained(od: NDArray[np.float32], inside: NDArray[np.bool_], rng: Rng, mpp: float) -> NDArray[np.float32]:
    """Vary stain, white point, focus and contrast of optical density (3, Y, X), as laboratories and cameras do."""
    mix = np.eye(3) + rng.normal(0, 0.07, (3, 3))
    gain = np.exp(rng.normal(0, 0.22)) * np.exp(rng.normal(0, 0.12, 3))
    od = np.einsum("ij,jyx->iyx", mix * gain[:, None], od).astype(np.float32)
    if rng.random() < 0.3:
        od = np.sign(od) * np.abs(od) ** np.float32(np.exp(rng.normal(0, 0.15)))
    haze = rng.normal(0, 0.025, 3) + (np.array([0, 0.0, 0.12]) * rng.random() if rng.random() < 0.15 else 0)
    od = (od + haze[:, None, None] * (inside | (rng.random() < 0.5))).astype(np.float32)
    if rng.random() < 0.5:
        od = _blurred(od, rng.uniform(0, 0.5) / mpp)
    if rng.random() < 0.25:  # sharpened by a camera
        od = od + np.float32(rng.uniform(0.2, 1.2)) * (od - _blurred(od, rng.uniform(0.25, 0.5) / mpp))
    return od.astype(np.float32)


def _blurred(od: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(od, (0, sigma, sigma), truncate=2.5)
    return blurred


def _inner(cells: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Give the inner part of every cell: where the distance to its edge is over 0.45 of the largest."""
    inner = np.zeros(cells.shape, bool)
    padded = np.pad(cells, 1, mode="edge")
    for i, box in enumerate(ndimage.find_objects(padded.astype(np.int32)), start=1):
        if box is None:
            continue
        grown = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
        whole = padded[grown] == i
        depth = ndimage.distance_transform_edt(whole)
        part = depth > 0.45 * depth.max()
        full = np.zeros(padded.shape, bool)
        full[grown] = part
        inner |= full[1:-1, 1:-1]
    return inner


def _centers(canvas: Canvas) -> NDArray[np.float64]:
    """Where white cells are, known or not."""
    marked = (canvas.cells != 0) | canvas.unknown_nucleus
    labels, n = ndimage.label(marked)
    return np.array(ndimage.center_of_mass(marked, labels, np.arange(1, n + 1))).reshape(-1, 2)


def _turn(cell: Cutout, rng: Rng) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Turn a cutout by any angle."""
    angle = rng.uniform(0, 360)
    od = ndimage.rotate(cell.density.astype(np.float32), angle, order=1, mode="nearest")
    masks = [ndimage.rotate(m.astype(np.float32), angle, order=1) > 0.5 for m in (cell.cell, cell.nucleus)]
    return od, masks[0], masks[1]


def _spot(placed: list[tuple[float, float, float]], radius: float, side: int, rng: Rng) -> tuple[float, float] | None:
    """Find a place that touches a cell already placed, and overlaps none by much."""
    if not placed:
        return float(side * rng.uniform(0.3, 0.7)), float(side * rng.uniform(0.3, 0.7))
    for _ in range(20):
        y, x, r = placed[rng.integers(len(placed))]
        angle = rng.uniform(0, 2 * np.pi)
        away = (r + radius) * rng.uniform(0.85, 1.08)
        spot = y + away * np.sin(angle), x + away * np.cos(angle)
        if all(np.hypot(spot[0] - a, spot[1] - b) > 0.82 * (c + radius) for a, b, c in placed):
            return float(spot[0]), float(spot[1])
    return None


def _mirror(index: NDArray[np.intp], n: int) -> NDArray[np.intp]:
    index = np.abs(index) % (2 * n)
    return np.minimum(index, 2 * n - 1 - index)


def _pick(rng: Rng, items: list[T]) -> T:
    return items[int(rng.integers(len(items)))]
