"""From classes of cells to a differential: counts, exact intervals, profiles, a verdict."""

from __future__ import annotations

from ._intervals import clopper_pearson
from .differential import Differential, Excluded, Finding, differential
from .profiles import Profile, Threshold, load_profile, load_profiles, profile_names, save_profiles

__all__ = [
    "Differential",
    "Excluded",
    "Finding",
    "Profile",
    "Threshold",
    "clopper_pearson",
    "differential",
    "load_profile",
    "load_profiles",
    "profile_names",
    "save_profiles",
]
