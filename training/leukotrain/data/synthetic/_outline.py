"""Outlines of cells and nuclei as functions of position, in µm, so that any resolution samples the same shape."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Outline", "arc", "blob", "lobes"]

Array = NDArray[np.floating[Any]]
Rng = np.random.Generator


@dataclass(frozen=True)
class Outline:
    """A union of discs with a wavy border.

    Attributes
    ----------
    points : ndarray (k, 2), float32
        The discs' centers, x and y in µm.
    radii : ndarray (k,), float32
        Their radii in µm.
    center : tuple of float
        The point about which the border waves.
    waves : ndarray (n, 3), float32
        Order, amplitude in µm and phase of each wave of the border.
    dents : ndarray (d, 3), float32
        Discs (x, y, radius) that are cut out.
    """

    points: Array
    radii: Array
    center: tuple[float, float]
    waves: Array
    dents: Array = field(default_factory=lambda: np.zeros((0, 3), np.float32))

    @property
    def reach(self) -> float:
        """The distance in µm from the center that the outline stays within."""
        far = np.hypot(*(self.points - np.asarray(self.center, np.float32)).T) + self.radii
        return float(far.max() + np.abs(self.waves[:, 1]).sum())

    def depth(self, x: Array, y: Array) -> Array:
        """Give how far inside the outline each place is.

        Parameters
        ----------
        x, y : ndarray (1, w) and (h, 1), float32
            Places in µm.

        Returns
        -------
        ndarray (h, w), float32
            µm, positive inside, approximately the distance to the border.
        """
        depth: Array | None = None
        for (px, py), radius in zip(self.points, self.radii, strict=True):
            disc = radius - np.hypot(x - px, y - py)
            depth = disc if depth is None else np.maximum(depth, disc)
        if depth is None:
            raise ValueError("an outline needs at least one disc")
        if len(self.waves):
            dx, dy = x - np.float32(self.center[0]), y - np.float32(self.center[1])
            theta = np.arctan2(dy, dx)
            wave = np.zeros_like(depth)
            for order, amplitude, phase in self.waves:
                wave += amplitude * np.cos(order * theta + phase)
            # Waves die out towards the center, where the angle means nothing.
            depth = depth + wave * np.minimum(np.hypot(dx, dy) / 2, 1)
        for dent_x, dent_y, radius in self.dents:
            depth = np.minimum(depth, np.hypot(x - dent_x, y - dent_y) - radius)
        return depth.astype(np.float32, copy=False)


def _waves(rng: Rng, size: float, wobble: float, orders: int) -> Array:
    """Draw a border's waves: the higher the order, the fainter."""
    order = np.arange(2, 2 + orders, dtype=np.float32)
    amplitude = size * wobble * rng.standard_normal(orders) / (order - 1)
    phase = rng.uniform(0, 2 * np.pi, orders)
    return np.stack([order, amplitude, phase], axis=1).astype(np.float32)


def blob(rng: Rng, x: float, y: float, radius: float, wobble: float, orders: int = 4) -> Outline:
    """Make a roundish outline; `wobble` is the relative size of its waves."""
    points = np.array([[x, y]], np.float32)
    return Outline(points, np.array([radius], np.float32), (x, y), _waves(rng, radius, wobble, orders))


def arc(rng: Rng, x: float, y: float, reach: float, width: float, bend: float) -> Outline:
    """Make a bent band (a band form's or a monocyte's nucleus) within `reach` µm of (x, y).

    `width` is the band's half width in µm, `bend` the angle in radians that it goes around.
    """
    ring = reach - width
    turn = rng.uniform(0, 2 * np.pi)
    angle = np.linspace(-bend / 2, bend / 2, 13)
    across = ring * (1 + 0.12 * rng.standard_normal() * np.cos(2 * angle))
    points = np.stack([x + across * np.cos(angle + turn), y + across * np.sin(angle + turn)], axis=1)
    waist = 1 - rng.uniform(0.05, 0.3) * np.exp(-((angle / bend * 4 + rng.uniform(-0.5, 0.5)) ** 2))
    # Few discs on a curve leave notches; their distance is small against their width, so none show.
    return Outline(points.astype(np.float32), (width * waist).astype(np.float32), (x, y), _waves(rng, width, 0.05, 5))


def lobes(rng: Rng, x: float, y: float, reach: float, count: int, size: float, strand: float = 0.4) -> Outline:
    """Make lobes in a row around (x, y), joined by thin strands (a segmented nucleus).

    `size` is a lobe's radius in µm, `strand` a strand's half width in µm.
    """
    ring = max(reach - size, 0.3 * reach)
    start = rng.uniform(0, 2 * np.pi)
    spread = {2: 2.9, 3: 4.3}.get(count, 5.0) * rng.uniform(0.85, 1.1)
    angles = start + np.linspace(0, spread, count) + rng.normal(0, 0.12, count)
    centers = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (ring * rng.uniform(0.8, 1.05, (count, 1)))
    points: list[NDArray[np.float64]] = []
    radii: list[float] = []
    for center, angle in zip(centers, angles, strict=True):
        radius = size * rng.uniform(0.8, 1.15)
        lean = angle + np.pi / 2 + rng.normal(0, 0.5)  # lobes are longest along the row
        step = radius * rng.uniform(0.2, 0.65) * np.array([np.cos(lean), np.sin(lean)])
        for k in (-1, 0, 1):
            points.append(center + k * step)
            radii.append(radius * (0.92 if k else 1.0))
    for a, b in itertools.pairwise(centers):
        mid = (a + b) / 2 * 1.15  # strands bulge outwards
        for t in np.linspace(0, 1, 15):
            points.append((1 - t) ** 2 * a + 2 * t * (1 - t) * mid + t**2 * b)
            radii.append(strand)
    shift = np.array([x, y])
    return Outline(
        np.asarray([p + shift for p in points], np.float32),
        np.asarray(radii, np.float32),
        (x, y),
        _waves(rng, size, 0.09, 7),
    )
