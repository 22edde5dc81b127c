"""Small synthetic smears for every test that needs pixels: drawn once a session, then kept.

The arrays are shared between tests and therefore read-only; copy before changing them.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from leukotrain.data.synthetic import Look, Smear, render_smear
from leukotrain.data.synthetic import write_ome_tiff as _write_ome_tiff

__all__ = ["BLURRED", "BRIGHT", "DARK", "YELLOW", "small_smear", "write_field", "write_ome_tiff"]

# Fields as users send them, to pass as `look`.
BRIGHT = Look(white_point=(252.0, 250.0, 249.0), stain=0.7)
DARK = Look(white_point=(150.0, 146.0, 142.0))
YELLOW = Look(white_point=(205.0, 196.0, 160.0))
BLURRED = Look(blur=1.0)


@lru_cache(maxsize=32)
def small_smear(
    seed: int = 0,
    size: int | tuple[int, int] = 640,
    mpp: float = 0.25,
    white_cells: int | None = 10,
    look: Look | None = None,
    mix: tuple[tuple[str, float], ...] | None = None,
    clumping: float = 0.4,
) -> Smear:
    """Draw a smear in a fraction of a second: `.rgb, .cells, .nuclei, .table, .others, .mpp`.

    `size` is the side, or height and width, in pixels; `white_cells=0` draws red cells alone; `mix` is given as items,
    `(("blast", 1.0),)`, so that it can be cached.
    """
    height, width = (size, size) if isinstance(size, int) else size
    smear = render_smear(
        height,
        width,
        mpp,
        seed,
        None if mix is None else dict(mix),
        white_cells=white_cells,
        look=look,
        clumping=clumping,
    )
    for array in (smear.rgb, smear.cells, smear.nuclei):
        array.flags.writeable = False
    return smear


def write_ome_tiff(path: Path, rgb: np.ndarray, mpp: float | None = 0.25, levels: int = 3) -> Path:
    """Write a lossless pyramidal OME-TIFF of 256 px tiles, each level half the one before; `mpp=None` leaves it out."""
    return _write_ome_tiff(path, rgb, mpp, levels, tile=256)


def write_field(path: Path, rgb: np.ndarray) -> Path:
    """Write a plain picture; the suffix (.png, .jpg, .bmp, .tif) names the format."""
    options = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    Image.fromarray(rgb).save(path, **options)
    return path
