"""Intervals of a proportion, and how they combine."""

from __future__ import annotations

from functools import lru_cache
from math import hypot, sqrt

import numpy as np
from scipy.special import betaincinv, gammaln, ndtri  # scipy.stats has these too, after seconds of import

__all__ = ["check_level", "clopper_pearson", "exact", "hypergeometric", "normal_quantile", "square_and_add", "wilson"]


def clopper_pearson(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a proportion, in percent.

    Clopper, C. J. and Pearson, E. S. (1934), "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26, 404-413. It holds the true proportion at least as often as `level` says, for any count.

    Parameters
    ----------
    count : int
        Cells of the class, 0 to `total`.
    total : int
        All cells counted. With none, nothing is known: the interval is 0 to 100.
    level : float
        The confidence, above 0 and below 1.

    Returns
    -------
    low, high : float
        In percent, 0 to 100.

    Raises
    ------
    ValueError
        If the count is not within the total, or the level not within 0 and 1.
    """
    low, high = exact(count, total, level)
    return 100 * low, 100 * high


def check_level(level: float) -> None:
    """Raise ValueError unless a confidence level is above 0 and below 1."""
    if not 0 < level < 1:
        raise ValueError(f"a confidence level is above 0 and below 1, not {level}")


def normal_quantile(level: float) -> float:
    """Return how many standard errors a two-sided interval of this confidence reaches: 1.96 at 95 %."""
    check_level(level)
    return float(ndtri((1 + level) / 2))


def exact(count: float, total: float, level: float) -> tuple[float, float]:
    """Return Clopper and Pearson's limits as fractions; counts may be fractional, as planned ones are."""
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no proportion")
    check_level(level)
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return low, high


def wilson(count: int, total: int, level: float) -> tuple[float, float]:
    """Return Wilson's score limits (1927, JASA 22, 209-212) as fractions; 0 and 1 when nothing was counted."""
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no proportion")
    z = normal_quantile(level)
    if not total:
        return 0.0, 1.0
    middle = (count + z * z / 2) / (total + z * z)
    half = z * sqrt(count * (total - count) / total + z * z / 4) / (total + z * z)
    # A limit at 0 or 1 is so exactly; floats miss it by a hair.
    return (0.0 if count == 0 else middle - half), (1.0 if count == total else middle + half)


def hypergeometric(count: int, sample: int, population: int, level: float) -> tuple[int, int]:
    """Return the exact limits of how many of a finite population are marked, from a simple random sample of it.

    The inversion of both one-sided tests (Buonaccorsi 1987, The American Statistician 41, 215-218): Clopper-Pearson
    with the finite population taken into account. With everything sampled, both limits are the count.

    Parameters
    ----------
    count : int
        Marked ones in the sample, 0 to `sample`.
    sample, population : int
        Sizes.
    level : float
        The confidence.

    Returns
    -------
    low, high : int
        Marked ones in the population.
    """
    if not 0 <= count <= sample <= population:
        raise ValueError(f"{count} in a sample of {sample} of {population} is not possible")
    check_level(level)
    tail = (1 - level) / 2
    return population - _most(sample - count, sample, population, tail), _most(count, sample, population, tail)


@lru_cache(maxsize=65536)
def _most(count: int, sample: int, population: int, tail: float) -> int:
    """Return the most marked ones with which `count` or fewer in the sample are likelier than `tail`."""
    low, high = count, population - sample + count  # what the sample leaves possible
    drawn = np.arange(count + 1)
    ways = gammaln(population + 1) - gammaln(sample + 1) - gammaln(population - sample + 1)
    while low < high:
        marked = (low + high + 1) // 2
        j = drawn[max(0, sample - population + marked) :]
        j = j[j <= marked]
        plain, rest = population - marked, sample - j
        logs = gammaln(marked + 1) - gammaln(j + 1) - gammaln(marked - j + 1) - ways
        logs += gammaln(plain + 1) - gammaln(rest + 1) - gammaln(plain - rest + 1)
        if np.exp(logs).sum() > tail:
            low = marked
        else:
            high = marked - 1
    return low


def square_and_add(estimate: float, *parts: tuple[float, float, float]) -> tuple[float, float]:
    """Return the interval of a sum from the intervals of its independent parts.

    The distances from estimate to limit are added as standard errors are, each side by itself: Newcombe (1998), Stat
    Med 17, 873-890; Zou and Donner (2008), Stat Med 27, 1693-1702, who call it MOVER.

    Parameters
    ----------
    estimate : float
        Of the sum.
    *parts : tuple of float
        Low, estimate and high of each part, signed as in the sum.
    """
    below = hypot(*(middle - low for low, middle, _ in parts))
    above = hypot(*(high - middle for _, middle, high in parts))
    return estimate - below, estimate + above
