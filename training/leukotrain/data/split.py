"""Which groups are held out: a fixed split that never cuts through a group."""

from __future__ import annotations

import hashlib

__all__ = ["CNMC_TEST", "FOLDS", "fold_of", "is_held_out"]

FOLDS = 5

# C-NMC has few donors, each of one class: the held-out ones are named, so that both classes are there.
CNMC_TEST = frozenset({"cnmc-H14", "cnmc-16", "cnmc-44"})


def fold_of(group: str) -> int:
    """Give the fold, 0..4, of a group; the same on every machine and in every run."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") % FOLDS


def is_held_out(group: str) -> bool:
    """Tell whether a group is kept for evaluation: fold 0, or a named C-NMC patient."""
    if group.startswith("cnmc-"):
        return group in CNMC_TEST
    return fold_of(group) == 0
