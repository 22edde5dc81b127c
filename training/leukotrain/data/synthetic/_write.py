"""Write pictures as pyramidal OME-TIFF, as slide scanners do."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
from numpy.typing import NDArray

from leukoscope.errors import SettingsError

__all__ = ["halve", "write_ome_tiff"]


def halve(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average blocks of 2 by 2 pixels; an odd last row or column is averaged with itself."""
    height, width = rgb.shape[:2]
    even = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(np.uint16)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return ((total + 2) // 4).astype(np.uint8)


def write_ome_tiff(
    path: Path,
    rgb: NDArray[np.uint8],
    mpp: float | None,
    levels: int = 3,
    compression: Literal["jpeg", "deflate"] = "deflate",
    quality: int = 80,
    tile: int = 512,
) -> Path:
    """Write a picture as tiled OME-TIFF with its coarser levels as SubIFDs.

    Parameters
    ----------
    path : Path
        The file to write, `….ome.tif`.
    rgb : ndarray (Y, X, 3), uint8
        The finest level; each next one is half its size.
    mpp : float or None
        µm per pixel, written as PhysicalSizeX and PhysicalSizeY; None leaves them out.
    levels : int
        Number of levels, the finest included.
    compression : {"deflate", "jpeg"}
        Lossless, or JPEG at `quality`, 1..100.
    tile : int
        Tile size in pixels, a multiple of 16.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    SettingsError
        When `levels` is below 1.
    """
    if levels < 1:
        raise SettingsError(f"a pyramid of {levels} levels cannot be written", "Ask for at least one.")
    # An id of the pixels in place of a random one: the same picture gives the same bytes.
    content = hashlib.sha256(str(rgb.shape).encode() + rgb.tobytes()).hexdigest()
    metadata: dict[str, object] = {"axes": "YXS", "UUID": str(uuid.uuid5(uuid.NAMESPACE_OID, content))}
    if mpp is not None:
        metadata |= {
            "PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm",
        }  # fmt: skip
    options: dict[str, object] = {"photometric": "rgb", "tile": (tile, tile), "compression": "zlib", "predictor": 2}
    if compression == "jpeg":
        options = {
            "photometric": "rgb", "tile": (tile, tile), "compression": "jpeg", "compressionargs": {"level": quality},
            "subsampling": (2, 2),
        }  # fmt: skip
    with tifffile.TiffWriter(path, ome=True, bigtiff=False) as writer:
        writer.write(rgb, subifds=levels - 1, metadata=metadata, software="leukoscope", **options)
        for _ in range(levels - 1):
            rgb = halve(rgb)
            writer.write(rgb, subfiletype=1, metadata=None, software="leukoscope", **options)
    return path
