"""From classes of cells to a differential: counts, exact intervals, profiles, a verdict, and what bears on it."""

from __future__ import annotations

from ._intervals import clopper_pearson
from .agreement import Agreement, Kappa, agreement, cohen_kappa
from .decide import cells_to_decide, cells_to_review, flip_order
from .density import DensityMap, density_map
from .differential import Differential, Excluded, Finding, differential
from .draw import draw_sample
from .prevalence import Prevalence, corrected_prevalence
from .profiles import Profile, Threshold, load_profile, load_profiles, profile_from_dict, profile_names, save_profiles
from .regions import Dispersion, DrivingRegion, Region, Regions, by_region, dispersion, square_regions
from .series import Change, DatedCount, change, series

__all__ = [
    "Agreement",
    "Change",
    "DatedCount",
    "DensityMap",
    "Differential",
    "Dispersion",
    "DrivingRegion",
    "Excluded",
    "Finding",
    "Kappa",
    "Prevalence",
    "Profile",
    "Region",
    "Regions",
    "Threshold",
    "agreement",
    "by_region",
    "cells_to_decide",
    "cells_to_review",
    "change",
    "clopper_pearson",
    "cohen_kappa",
    "corrected_prevalence",
    "density_map",
    "differential",
    "dispersion",
    "draw_sample",
    "flip_order",
    "load_profile",
    "load_profiles",
    "profile_from_dict",
    "profile_names",
    "save_profiles",
    "series",
    "square_regions",
]
