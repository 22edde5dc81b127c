"""Where everything on a smear lies, in µm: drawn once, whatever the resolution it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from leukoscope.errors import SettingsError
from leukotrain.data.synthetic._outline import Outline, arc, blob, lobes
from leukotrain.data.synthetic._recipes import RECIPES, Recipe

__all__ = ["RedCell", "Speck", "WhiteCell", "World", "draw_world"]

Rng = np.random.Generator
RED_CELL_RADIUS = 3.6
TRIES = 400


@dataclass(frozen=True)
class WhiteCell:
    """A white cell: its kind, its outlines in µm, and the seed of its texture."""

    label: str
    x: float
    y: float
    radius: float
    cell: Outline
    nucleus: Outline
    seed: int


@dataclass(frozen=True)
class RedCell:
    """A red cell: its outline in µm, its stain and how pale and where its center is."""

    outline: Outline
    strength: float
    pallor: float
    pallor_radius: float


@dataclass(frozen=True)
class Speck:
    """A platelet or a grain of precipitated stain."""

    kind: str
    x: float
    y: float
    outline: Outline
    seed: int


@dataclass(frozen=True)
class World:
    """All that lies on a smear of `width` by `height` µm."""

    width: float
    height: float
    white: tuple[WhiteCell, ...]
    red: tuple[RedCell, ...]
    specks: tuple[Speck, ...]


def quotas(mix: Mapping[str, float], total: int) -> list[str]:
    """Share `total` cells out to the kinds of `mix`, largest remainders first."""
    unknown = sorted(set(mix) - set(RECIPES))
    if unknown or any(not 0 <= part < np.inf for part in mix.values()):
        cause = (
            f"the mix names {', '.join(unknown)}" if unknown else "the mix has a part that is negative or not finite"
        )
        raise SettingsError(cause, f"Use parts of {', '.join(RECIPES)}.")
    whole = sum(mix.values())
    if not whole:
        return []
    exact = {kind: part / whole * total for kind, part in mix.items()}
    counts = {kind: int(value) for kind, value in exact.items()}
    rest = sorted(exact, key=lambda kind: (counts[kind] - exact[kind], kind))[: total - sum(counts.values())]
    for kind in rest:
        counts[kind] += 1
    return [kind for kind in mix for _ in range(counts[kind])]


def draw_world(
    width: float, height: float, seed: int, mix: Mapping[str, float], white_cells: int, density: float, clumping: float
) -> World:
    """Draw a smear's contents.

    Parameters
    ----------
    width, height : float
        Its size in µm.
    seed : int
        The same seed draws the same smear.
    mix : mapping of str to float
        Relative parts of the kinds of white cell.
    white_cells : int
        How many of them.
    density : float
        The part of the glass that red cells cover, 0..0.6.
    clumping : float
        The part of the blasts that lie in touching clumps, 0..1.

    Raises
    ------
    SettingsError
        For an unknown kind of cell, or more white cells than find room.
    """
    rng = np.random.default_rng(seed)
    white = _place_white(rng, width, height, quotas(mix, white_cells), clumping)
    red = _place_red(rng, width, height, white, density)
    specks = _place_specks(rng, width, height, white)
    return World(width, height, tuple(white), tuple(red), tuple(specks))


def _place_white(rng: Rng, width: float, height: float, kinds: list[str], clumping: float) -> list[WhiteCell]:
    """Place white cells one by one or in clumps, whole within the smear."""
    groups: list[list[tuple[str, float]]] = []
    open_clump = 0
    for kind in kinds:
        mean, spread, low, high = RECIPES[kind].diameter
        radius = float(np.clip(rng.normal(mean, spread), low, high)) / 2
        if kind == "blast" and open_clump > 0:
            groups[-1].append((kind, radius))
            open_clump -= 1
            continue
        groups.append([(kind, radius)])
        # A clump has 2.6 cells beyond its first on average; starting them this often leaves `clumping` of all in one.
        starts = kind == "blast" and rng.random() < clumping / (clumping + 3.6 * (1 - clumping) + 1e-9)
        open_clump = int(rng.integers(1, 5)) if starts else 0
    taken = np.zeros((0, 3))
    cells: list[WhiteCell] = []
    for index in sorted(range(len(groups)), key=lambda i: -len(groups[i])):  # clumps first, while there is room
        placed = _place_group(rng, width, height, [radius for _, radius in groups[index]], taken)
        taken = np.concatenate([taken, placed])
        for (kind, radius), (x, y, _) in zip(groups[index], placed, strict=True):
            cells.append(_white_cell(rng, kind, float(x), float(y), radius))
    return cells


def _place_group(
    rng: Rng, width: float, height: float, radii: list[float], taken: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find room for cells that touch each other and nobody else: rows of x, y, radius."""
    for _ in range(TRIES):
        first = radii[0] * 1.25
        if width < 2 * first or height < 2 * first:
            break
        group = [(rng.uniform(first, width - first), rng.uniform(first, height - first), radii[0])]
        for radius in radii[1:]:
            for _ in range(12):
                x, y, other = group[rng.integers(len(group))]
                angle = rng.uniform(0, 2 * np.pi)
                step = (radius + other) * rng.uniform(0.9, 0.97)
                spot = (x + step * np.cos(angle), y + step * np.sin(angle), radius)
                apart = all(np.hypot(spot[0] - a, spot[1] - b) >= 0.88 * (radius + c) for a, b, c in group)
                margin = radius * 1.25
                if apart and margin <= spot[0] <= width - margin and margin <= spot[1] <= height - margin:
                    group.append(spot)
                    break
        placed = np.array(group)
        gaps = (
            np.hypot(*(placed[:, None, :2] - taken[None, :, :2]).transpose(2, 0, 1)) - placed[:, None, 2] - taken[:, 2]
        )
        if len(group) == len(radii) and (gaps > 2.5).all():
            return placed
    raise SettingsError(
        f"no room for this many white cells on {width:.0f} by {height:.0f} µm", "Ask for fewer, or for a larger smear."
    )


def _white_cell(rng: Rng, kind: str, x: float, y: float, radius: float) -> WhiteCell:
    recipe = RECIPES[kind]
    orders = 9 if kind == "smudge" else 4
    return WhiteCell(
        kind, x, y, radius, blob(rng, x, y, radius, recipe.wobble, orders),
        _nucleus(rng, recipe, kind, x, y, radius), int(rng.integers(2**31)),
    )  # fmt: skip


def _nucleus(rng: Rng, recipe: Recipe, kind: str, x: float, y: float, radius: float) -> Outline:
    reach = radius * rng.uniform(*recipe.fill)
    if recipe.nucleus == "lobes":
        low, high = (2, 3) if kind in ("eosinophil", "basophil") else (3, 5)
        count = int(rng.integers(low, high))
        size = radius * {2: 0.37, 3: 0.31}.get(count, 0.27)
        return lobes(rng, x, y, reach, count, size)
    slack = (radius - reach) * 0.8
    angle = rng.uniform(0, 2 * np.pi)
    x, y = x + slack * np.cos(angle), y + slack * np.sin(angle)
    if recipe.nucleus == "arc":
        if kind == "monocyte":
            return arc(rng, x, y, reach, radius * rng.uniform(0.42, 0.5), rng.uniform(1.2, 2.6))
        return arc(rng, x, y, reach, radius * rng.uniform(0.24, 0.30), rng.uniform(2.8, 4.2))
    nucleus = blob(rng, x, y, reach, recipe.nucleus_wobble)
    if rng.random() >= recipe.dents:
        return nucleus
    way, size = rng.uniform(0, 2 * np.pi), reach * rng.uniform(0.25, 0.5)
    away = reach + size * rng.uniform(0.35, 0.75)
    dent = np.array([[x + away * np.cos(way), y + away * np.sin(way), size]], np.float32)
    return Outline(nucleus.points, nucleus.radii, nucleus.center, nucleus.waves, dent)


def _density_field(rng: Rng, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give how thickly the blood lies, about 1, varying over some 300 µm."""
    field = np.ones_like(x)
    for _ in range(6):
        angle, wavelength = rng.uniform(0, 2 * np.pi), rng.uniform(150, 700)
        phase = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / wavelength
        field += 0.12 * np.cos(phase + rng.uniform(0, 2 * np.pi))
    return np.clip(field, 0.2, 1.6)


def _place_red(rng: Rng, width: float, height: float, white: list[WhiteCell], density: float) -> list[RedCell]:
    """Scatter red cells: each keeps its own distance from the earlier ones, some none at all (stacks and overlaps)."""
    if density <= 0:
        return []
    margin = 5.0
    area = (width + 2 * margin) * (height + 2 * margin)
    aim = density * area / (np.pi * RED_CELL_RADIUS**2)
    count = int(rng.poisson(aim * 2.2))
    x, y = rng.uniform(-margin, width + margin, count), rng.uniform(-margin, height + margin, count)
    thick = _density_field(rng, x, y)
    keep = rng.random(count) < thick / 1.6
    x, y, thick = x[keep], y[keep], thick[keep]
    # A stack follows every so often: a run of cells a third of a diameter apart.
    for _ in range(int(rng.poisson(aim * 0.008))):
        angle, length = rng.uniform(0, 2 * np.pi), int(rng.integers(3, 7))
        start = rng.uniform(0, [width, height])
        steps = np.cumsum(np.full(length, 2.7))
        stack = (start[0] + steps * np.cos(angle), start[1] + steps * np.sin(angle))
        x, y, thick = np.append(stack[0], x), np.append(stack[1], y), np.append(np.zeros(length), thick)
    gap = np.where(thick == 0, 2.0, np.where(rng.random(len(x)) < 0.12, rng.uniform(3.5, 6, len(x)), 6.9 - 0.4 * thick))
    spots = np.stack([x, y], axis=1)
    allowed = np.ones(len(x), bool)
    if white:
        near, _ = cKDTree([(c.x, c.y) for c in white]).query(spots)
        for i in np.flatnonzero(near < 15):
            allowed[i] = all(np.hypot(x[i] - c.x, y[i] - c.y) > c.radius + 1.6 for c in white)
    tree = cKDTree(spots)
    for own, neighbors in enumerate(tree.query_ball_point(spots, gap)):
        allowed[own] = allowed[own] and not any(j < own and allowed[j] for j in neighbors)
    shades = rng.normal(1, 0.07, len(x))
    cells = []
    for i in np.flatnonzero(allowed):
        size = float(np.clip(rng.normal(RED_CELL_RADIUS, 0.27), 2.7, 4.5))
        outline = blob(rng, float(x[i]), float(y[i]), size, 0.05, 3)
        cells.append(RedCell(outline, float(shades[i]), float(rng.beta(2, 2.2)), float(rng.uniform(0.3, 0.5))))
    return cells


def _place_specks(rng: Rng, width: float, height: float, white: list[WhiteCell]) -> list[Speck]:
    """Scatter platelets, single or in small groups, and a few grains of precipitate, clear of the white cells."""
    specks: list[Speck] = []
    area = width * height
    spots = [("platelet", 1) for _ in range(rng.poisson(area * 6e-4))]
    spots += [("platelet", int(rng.integers(3, 6))) for _ in range(rng.poisson(area * 1.2e-5))]
    spots += [("precipitate", int(rng.integers(4, 14))) for _ in range(rng.poisson(area * 2.5e-5))]
    for kind, number in spots:
        center = rng.uniform(0, [width, height])
        if any(np.hypot(center[0] - c.x, center[1] - c.y) < c.radius + 5 for c in white):
            continue
        for _ in range(number):
            x, y = center + rng.normal(0, 1.6, 2) * (number > 1)
            radius = rng.uniform(0.85, 1.5) if kind == "platelet" else rng.uniform(0.2, 0.5)
            specks.append(Speck(kind, float(x), float(y), blob(rng, x, y, radius, 0.1), int(rng.integers(2**31))))
    return specks
