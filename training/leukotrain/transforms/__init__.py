"""Changes to crops that leave a cell's class alone, and the fitting of those that the bundle keeps."""

from __future__ import annotations

from .augment import Augmentation, augment, plain
from .blur import blur_augment
from .fitting import Plan, check_fitted, fit_steps
from .pictures import by_slide, fit_stain, stain_of_groups
from .stain import StainJitter, stain_augment
from .traditional import Traditional, traditional

__all__ = [
    "Augmentation",
    "Plan",
    "StainJitter",
    "Traditional",
    "augment",
    "blur_augment",
    "by_slide",
    "check_fitted",
    "fit_stain",
    "fit_steps",
    "plain",
    "stain_augment",
    "stain_of_groups",
    "traditional",
]
