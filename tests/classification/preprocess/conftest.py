"""Crops of drawn cells, and steps fitted on them."""

from __future__ import annotations

import numpy as np
import pytest
from smears import small_smear

from leukoscope.classification.preprocess import (
    AdaptiveSharpen,
    Alhe,
    GaussianBlur,
    PcaReconstruct,
    StainNormalize,
    frame,
)

from .prepared import SPEC


@pytest.fixture(scope="module")
def cells():
    """Crops of drawn cells, their masks and the "patient" of each."""
    smear = small_smear(3, 512, 0.2, 12)
    pairs = [frame(smear.rgb, smear.cells == i, 0.2, SPEC) for i in np.unique(smear.cells)[1:]]
    crops, covers = (np.stack(part) for part in zip(*pairs, strict=True))
    return crops, covers, [f"patient {i % 3}" for i in range(len(crops))]


@pytest.fixture(scope="module")
def fitted(cells):
    slide = StainNormalize.fit([small_smear(1, 384, 0.25, 6).rgb], None, ["patient 0"])
    return (
        slide,
        AdaptiveSharpen.fit(*cells),
        Alhe.fit(*cells, tile=16),
        PcaReconstruct.fit(*cells, components=6, color=True),
        GaussianBlur(sigma=0.7),
    )
