"""Pictures that the tests of importers write and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def picture(file: Path, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return pixels


def read(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)
