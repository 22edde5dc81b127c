"""Exact intervals of a proportion."""

from __future__ import annotations

from scipy.special import betaincinv  # the quantile of scipy.stats.beta, without its seconds of import

__all__ = ["clopper_pearson"]


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
    if not 0 <= count <= total:
        raise ValueError(f"{count} of {total} is no proportion")
    if not 0 < level < 1:
        raise ValueError(f"a confidence level is above 0 and below 1, not {level}")
    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return 100 * low, 100 * high
