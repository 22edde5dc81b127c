"""Steps between a picture and the network: fitted in training, stored in the bundle, run by both alike."""

from __future__ import annotations

from ..crops import frame
from .alhe import Alhe
from .base import FittedOn, Step, groups_hash
from .blur import GaussianBlur, blurred
from .chain import Chain
from .normalize import Normalize
from .pca import PcaFeatures, PcaReconstruct
from .registry import STEPS, steps_from_json, steps_to_json
from .sharpen import AdaptiveSharpen, focus
from .stain import Stain, StainNormalize, estimate_stain

__all__ = [
    "STEPS",
    "AdaptiveSharpen",
    "Alhe",
    "Chain",
    "FittedOn",
    "GaussianBlur",
    "Normalize",
    "PcaFeatures",
    "PcaReconstruct",
    "Stain",
    "StainNormalize",
    "Step",
    "blurred",
    "estimate_stain",
    "focus",
    "frame",
    "groups_hash",
    "steps_from_json",
    "steps_to_json",
]
