"""Ids of cells as people give them: one or several, of Python's types or NumPy's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["numbers"]


def numbers(ids: Iterable[int] | int) -> list[int]:
    """Return ids as Python's integers, in the order given.

    A mask is refused, and so are texts: ``True`` and ``"1"`` would otherwise both be cell 1.

    Raises
    ------
    ValueError
        If one is no whole number; its text names it.
    """
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable) or getattr(ids, "ndim", None) == 0:
        return [_number(ids)]
    return [_number(value) for value in ids]


def _number(value: Any) -> int:
    if isinstance(value, str | bytes):
        raise ValueError(repr(value))
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(str(value)) from None
    if isinstance(value, bool | np.bool_) or number != value:
        raise ValueError(str(value))
    return number
