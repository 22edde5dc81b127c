"""What the tests of preprocessing share: the crops' field of view, and how far pictures are apart."""

from __future__ import annotations

import numpy as np

from leukoscope.classification import CropSpec

SPEC = CropSpec(size=64, mpp=0.2, balance="none")


def apart(a, b) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())
