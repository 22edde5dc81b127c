"""A random sample of cells for review: the same for everybody, and open to more."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError

__all__ = ["draw_sample"]


def draw_sample(cell_ids: Iterable[int], n: int, seed: int = 0) -> NDArray[np.int64]:
    """Draw cells at random for review.

    Every cell has a random number that follows from its id and the seed alone (permanent random numbers: Ohlsson 1995,
    in Cox et al., Business Survey Methods, 153-169), and those with the lowest are drawn. So the draw is the same on
    any machine and version, a larger one begins with the smaller, what has been reviewed of it in this order is a
    random sample at any time, and a cell added or removed elsewhere changes no other cell's place.

    Parameters
    ----------
    cell_ids : iterable of int
        Of all counted cells; each once.
    n : int
        How many; all, in random order, where there are fewer.
    seed : int
        Another seed, another sample.

    Returns
    -------
    ndarray of int64, (min(n, cells),)
        Ids in the order in which to review them.

    Raises
    ------
    SettingsError
        If an id comes twice, `n` is negative, or `n` or `seed` is no whole number.
    """
    ids = np.unique(given := np.fromiter(cell_ids, np.int64))
    if len(ids) != len(given):
        raise SettingsError("a cell is listed twice", "Give each counted cell's id once.")
    try:
        n, seed = index(n), index(seed)
    except TypeError:
        raise SettingsError(f"{n!r} cells and seed {seed!r} are no whole numbers", "Give whole numbers.") from None
    if n < 0:
        raise SettingsError(f"{n} cells cannot be drawn", "Ask for none or more.")
    key = _mix(np.array([seed & 0xFFFF_FFFF_FFFF_FFFF], np.uint64))
    # `_mix` is one-to-one, so no two cells tie.
    return ids[np.argsort(_mix(ids.astype(np.uint64) ^ key))[:n]]


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter the bits: the step of SplitMix64 (Steele, Lea and Flood 2014, OOPSLA)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
