"""The cohort that guards are tried on."""

from __future__ import annotations

import numpy as np
import pytest

from leukotrain.data.manifest import Row
from leukotrain.data.splits import holdout

from .cohort import cell, save

SUBJECTS, CELLS = 12, 8


@pytest.fixture
def cohort(tmp_path):
    """Subjects of one class each, as in C-NMC; a color each, and nothing that tells the classes apart."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(SUBJECTS):
        color = rng.uniform(40, 200, 3)
        for k in range(CELLS):
            name = f"s{subject}/{k}.png"
            save(tmp_path, name, cell(rng, color, rng.uniform(12, 18)))
            label = ("blast", "lymphocyte")[subject % 2]
            rows.append(Row(name, "", label, f"s{subject}", "made", 0.5, "train"))
    return tmp_path, holdout(rows, seed=1)
