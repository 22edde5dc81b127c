"""Which groups are held out: a fixed split that never cuts through a group."""

from __future__ import annotations

import hashlib

__all__ = [
    "FOLDS",
    "HELD_OUT_FIELDS",
    "HELD_OUT_PATIENTS",
    "VALIDATION_FIELDS",
    "fold_of",
    "is_held_out",
    "is_validation",
]

FOLDS = 5

# C-NMC has few donors, each of one class: the held-out ones are named, so that both classes are there.
HELD_OUT_PATIENTS = frozenset({"cnmc-H14", "cnmc-16", "cnmc-44"})

# ALL-IDB1 names no patients, and neighboring fields look alike: runs of fields are held out, not fields here and
# there. Two runs with blasts (one of each microscope setting) and two of healthy donors.
HELD_OUT_FIELDS = frozenset(
    f"Im{i:03d}" for run in (range(4, 10), range(52, 54), range(44, 48), range(78, 84)) for i in run
)

# Of the fields left, those on which segmenters' settings are chosen: a run with blasts, a run of healthy donors.
VALIDATION_FIELDS = frozenset(f"Im{i:03d}" for run in (range(17, 20), range(48, 49), range(38, 41)) for i in run)


def fold_of(group: str) -> int:
    """Give the fold, 0..4, of a group; the same on every machine and in every run."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") % FOLDS


def is_held_out(group: str) -> bool:
    """Tell whether a group is kept for evaluation.

    Named patients of C-NMC, named runs of ALL-IDB1 fields (and the ALL-IDB2 crops of the same pixels, which carry
    the field's group), and one fold in five of everything else.
    """
    if group.startswith("cnmc-"):
        return group in HELD_OUT_PATIENTS
    if group.startswith("Im"):
        return group in HELD_OUT_FIELDS
    return fold_of(group) == 0


def is_validation(group: str) -> bool:
    """Tell whether a group that is not held out is kept from a segmenter's training, to choose its settings by.

    Named runs of ALL-IDB1 fields, and one group in eight of everything else.
    """
    if is_held_out(group):
        return False
    if group.startswith("Im"):
        return group in VALIDATION_FIELDS
    return int.from_bytes(hashlib.sha256(b"validation " + group.encode()).digest()[:8], "big") % 8 == 0
