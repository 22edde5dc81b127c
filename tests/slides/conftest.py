"""Pictures for the tests of the slides, painted here so that every expectation is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage as ndi

Image = NDArray[np.uint8]


def paint_smear(
    diameter: float,
    size: int = 640,
    glass: tuple[int, int, int] = (225, 222, 215),
    density: tuple[float, float, float] = (0.06, 0.22, 0.20),
    pallor: float = 0.6,
    cover: float = 0.45,
    nuclei: int = 1,
    seed: int = 0,
) -> Image:
    """Paint red cells (some touch and overlap, with central pallor), dark nuclei and noise, by absorbance."""
    rng = np.random.default_rng(seed)
    absorbed = np.zeros((size, size, 3), np.float32)

    def stamp(radii: tuple[float, float], steep: float, hollow: float, density: tuple[float, float, float]) -> None:
        cy, cx = rng.uniform(0, size, 2)
        top, left = (max(int(c - 1.5 * diameter), 0) for c in (cy, cx))
        window = absorbed[top : int(cy + 1.5 * diameter) + 1, left : int(cx + 1.5 * diameter) + 1]
        y, x = np.mgrid[: window.shape[0], : window.shape[1]].astype(np.float32)
        r = np.hypot((y + top - cy) / radii[0], (x + left - cx) / radii[1])
        disk = 1 / (1 + np.exp(np.clip((r - 1) * steep, -30, 30)))
        window += (disk * (1 - hollow * np.exp(-((r / 0.4) ** 2))))[..., None] * np.array(density, np.float32)

    for _ in range(round(cover * size**2 / (np.pi / 4 * diameter**2))):
        a, b = diameter / 2 * np.exp(rng.normal(0, 0.04, 2))
        stamp((a, b), max(diameter / 3, 6), pallor, density)
    for _ in range(nuclei):
        stamp((0.8 * diameter, 0.8 * diameter), 12, 0, (0.5, 0.8, 0.2))
    image = np.array(glass, np.float32) * 10**-absorbed
    image = ndi.gaussian_filter(image, (0.7, 0.7, 0)) + rng.normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def smear() -> Callable[..., Image]:
    return paint_smear


@pytest.fixture(scope="session")
def picture() -> Image:
    """A smooth, colored picture with odd sizes, no two parts alike."""
    y, x = np.mgrid[:301, :403].astype(np.float32)
    red = 40 + 200 * y / 301
    green = 30 + 200 * x / 403
    blue = 128 + 80 * np.sin(y / 17 + x / 23)
    return np.stack([red, green, blue], -1).astype(np.uint8)
