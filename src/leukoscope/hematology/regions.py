"""Whether the regions of a smear tell the same: dispersion of the blast percentage, and regions that drive it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc

from ..errors import SettingsError
from ._intervals import clopper_pearson, exact
from .differential import Finding, finding_against
from .profiles import Profile, load_profile

__all__ = ["Dispersion", "DrivingRegion", "Region", "Regions", "by_region", "dispersion", "square_regions"]

_FEW_EXPECTED = 5  # Cochran (1954), Biometrics 10, 417-451: below, chi-square is not to be trusted


@dataclass(frozen=True)
class Region:
    """The blasts of one region.

    Parameters
    ----------
    index : int
        The region, as the caller numbers it.
    blasts, cells : int
        Blasts, and all counted cells.
    percent, low, high : float
        Of blasts, and the exact interval.
    """

    index: int
    blasts: int
    cells: int
    percent: float
    low: float
    high: float


@dataclass(frozen=True)
class Dispersion:
    """Whether regions differ by more than counting few cells explains.

    Parameters
    ----------
    chi2 : float
        Pearson's chi-square of homogeneity.
    freedom : int
        Its degrees of freedom: regions with cells, less one.
    p : float
        How often regions of one and the same percentage differ at least as much; 1 where nothing can differ.
    permuted : bool
        Whether `p` is from dealing the blasts out anew, because some region expects too few for chi-square.
    """

    chi2: float
    freedom: int
    p: float
    permuted: bool

    @property
    def factor(self) -> float:
        """Variance between regions over what chance gives (chi-square over its degrees of freedom).

        1 for chance alone; at 4, intervals that take cells for a random sample ought to be twice as wide.
        """
        return self.chi2 / self.freedom if self.freedom else 1.0


@dataclass(frozen=True)
class DrivingRegion:
    """A warning: without this one region the count would say something else.

    Either the others' percentage lies outside the interval of the whole count, or the finding changes and the region
    itself differs from the others (their percentage lies outside its own interval).

    Parameters
    ----------
    region : Region
        Which one.
    percent : float
        Of blasts, in all other regions together.
    outside : bool
        Whether that is outside the interval of the whole count.
    finding, without : Finding
        Against the thresholds: of the whole count, and of as many cells at the percentage of the other regions. As
        many, so that the smaller number of cells left does not count as a difference.
    """

    region: Region
    percent: float
    outside: bool
    finding: Finding
    without: Finding

    def __str__(self) -> str:
        share = f"without region {self.region.index} ({self.region.cells} cells) blasts are {self.percent:.1f} %"
        if self.finding is not self.without:
            return f"{share}: {self.without.value} instead of {self.finding.value}"
        return f"{share}: outside the interval of the whole count"


@dataclass(frozen=True)
class Regions:
    """The blasts by region, and what is to be said of them.

    Parameters
    ----------
    regions : tuple of Region
        Those with cells, by index.
    dispersion : Dispersion
        Whether they differ.
    driving : tuple of DrivingRegion
        Warnings, the region that moves the count most first.
    """

    regions: tuple[Region, ...]
    dispersion: Dispersion
    driving: tuple[DrivingRegion, ...]


def by_region(
    region: ArrayLike, is_blast: ArrayLike, profile: str | Profile = "blood", level: float = 0.95, seed: int = 0
) -> Regions:
    """Count blasts by region and look for a region that drives the count.

    Parameters
    ----------
    region : array_like of int, (n,)
        The region of each counted cell, from 0; negative: in none, left out.
    is_blast : array_like of bool, (n,)
        Whether the cell is a blast.
    profile : str or Profile
        Names the thresholds.
    level : float
        The confidence of the intervals.
    seed : int
        For the permutations, where they are needed.

    Returns
    -------
    Regions

    Raises
    ------
    SettingsError
        If the arrays differ in length, or there is no such profile.
    """
    index, blast = np.asarray(region), np.asarray(is_blast, bool)
    if index.shape != blast.shape or index.ndim != 1:
        raise SettingsError("regions and cells do not fit together", "Give one region for each counted cell.")
    chosen = profile if isinstance(profile, Profile) else load_profile(profile)
    inside = index >= 0
    numbers, place = np.unique(index[inside], return_inverse=True)
    cells = np.bincount(place, minlength=len(numbers))
    blasts = np.bincount(place, weights=blast[inside], minlength=len(numbers)).astype(np.int64)
    rows = tuple(
        Region(i, k, n, 100 * k / n, *clopper_pearson(k, n, level))
        for i, k, n in zip(numbers.tolist(), blasts.tolist(), cells.tolist(), strict=True)
    )
    thresholds = [t.percent for t in chosen.thresholds]
    return Regions(rows, dispersion(blasts, cells, seed), _driving(rows, thresholds, level))


def dispersion(blasts: ArrayLike, cells: ArrayLike, seed: int = 0, draws: int | None = None) -> Dispersion:
    """Test whether regions share one blast percentage.

    Pearson's chi-square of homogeneity. Where a region expects fewer than five blasts, or fewer than five other cells,
    its p-value comes from dealing the blasts out among all cells at random, with that chi-square as the yardstick.

    Parameters
    ----------
    blasts, cells : array_like of int, (regions,)
        Blasts, and all counted cells, of each region.
    seed : int
        For the random deals.
    draws : int, optional
        How many of them: p is at least 1 / (draws + 1). 9,999 unless given; fewer with hundreds of regions, but 999.

    Returns
    -------
    Dispersion

    Raises
    ------
    SettingsError
        If a region has more blasts than cells.
    """
    k, n = np.asarray(blasts, np.int64), np.asarray(cells, np.int64)
    if k.shape != n.shape or k.ndim != 1 or (k < 0).any() or (k > n).any():
        raise SettingsError("a region has more blasts than cells", "Give blasts and all counted cells of each region.")
    k, n = k[n > 0], n[n > 0]
    total, found = int(n.sum()), int(k.sum())
    if len(n) < 2 or found in (0, total):
        return Dispersion(0.0, max(len(n) - 1, 0), 1.0, False)
    share = found / total

    def statistic(dealt: NDArray[np.int64]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = ((dealt - n * share) ** 2 / n).sum(axis=-1) / (share * (1 - share))
        return result

    chi2 = float(statistic(k))
    if n.min() * min(share, 1 - share) >= _FEW_EXPECTED:
        return Dispersion(chi2, len(n) - 1, float(chdtrc(len(n) - 1, chi2)), False)
    if draws is None:
        draws = min(9999, max(999, 3_000_000 // len(n)))
    rng, as_far, left = np.random.default_rng(seed), 0, draws
    while left:
        now = min(left, max(1, 1_000_000 // len(n)))  # so that many regions do not take all memory
        dealt = rng.multivariate_hypergeometric(n, found, size=now, method="marginals")
        as_far += int(np.count_nonzero(statistic(dealt) >= chi2 * (1 - 1e-9)))
        left -= now
    return Dispersion(chi2, len(n) - 1, (as_far + 1) / (draws + 1), True)


def square_regions(x: ArrayLike, y: ArrayLike, side: float) -> NDArray[np.int64]:
    """Return the square of a grid that each cell lies in, numbered row by row from the top left one.

    Parameters
    ----------
    x, y : array_like of float, (n,)
        Centroids, in any unit.
    side : float
        Of a square, in that unit.

    Returns
    -------
    ndarray of int64, (n,)

    Raises
    ------
    SettingsError
        If the side is not above 0.
    """
    if not side > 0:
        raise SettingsError(f"a region cannot be {side} wide", "Give a width above 0.")
    column, row = (np.floor(np.asarray(at, float) / side).astype(np.int64) for at in (x, y))
    if not len(column):
        return column
    column, row = column - column.min(), row - row.min()
    result: NDArray[np.int64] = row * (column.max() + 1) + column
    return result


def _driving(rows: tuple[Region, ...], thresholds: list[float], level: float) -> tuple[DrivingRegion, ...]:
    total, found = sum(row.cells for row in rows), sum(row.blasts for row in rows)
    if len(rows) < 2:
        return ()
    low, high = clopper_pearson(found, total, level)
    finding = finding_against(low, high, thresholds)
    warnings = []
    for row in rows:
        share = (found - row.blasts) / (total - row.cells)
        limits = exact(min(share * total, total), total, level)
        without = finding_against(100 * limits[0], 100 * limits[1], thresholds)
        outside = not low <= 100 * share <= high
        differs = not row.low <= 100 * share <= row.high  # else the count is at an edge, and any region tips it
        if outside or (differs and without is not finding):
            warnings.append(DrivingRegion(row, 100 * share, outside, finding, without))
    return tuple(sorted(warnings, key=lambda w: -abs(w.percent - 100 * found / total)))
