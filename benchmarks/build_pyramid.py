"""Build a whole slide from fields: a pyramidal OME-TIFF of any size and a CSV of the blasts on it.

No whole-slide image of blood is at hand, so `make bench` measures on fields tiled over and over:

    python benchmarks/build_pyramid.py --fields ../shared/data/all_idb1 --out /tmp/big.ome.tif --gigapixels 0.5

Fields lie on a grid, padded with white to a common size; the last ones repeat the first. JPEG tiles, levels as
SubIFDs, written as they are made: memory holds two rows of the grid. The slide may not be given on where the fields
may not.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from leukoscope.slides import estimate_mpp

__all__ = ["Layout", "build_pyramid"]

TILE = 512


@dataclass(frozen=True)
class Layout:
    """Where each field lies.

    Attributes
    ----------
    files : tuple of Path
        One a cell of the grid, row by row; files repeat.
    columns : int
        Cells in a row.
    cell : (height, width)
        Size of a cell, px, a multiple of 2 ** (levels - 1).
    levels : int
        Levels of the pyramid.
    """

    files: tuple[Path, ...]
    columns: int
    cell: tuple[int, int]
    levels: int

    @classmethod
    def of(cls, folder: Path, gigapixels: float) -> Layout:
        """Plan a near-square slide of at least this many pixels."""
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".bmp"))
        if not files:
            raise SystemExit(f"{folder}: no JPG, PNG or BMP fields")
        sizes = []
        for path in files:
            with Image.open(path) as image:
                sizes.append(image.size[::-1])
        tall, wide = (max(s[i] for s in sizes) for i in (0, 1))
        count = max(1, math.ceil(gigapixels * 1e9 / (tall * wide)))
        columns = max(1, round(math.sqrt(count * tall / wide)))
        rows = math.ceil(count / columns)
        levels = max(1, math.ceil(math.log2(max(rows * tall, columns * wide) / 1024)) + 1)
        step = 2 ** (levels - 1)
        cell = (-(-tall // step) * step, -(-wide // step) * step)
        return cls(tuple(files[i % len(files)] for i in range(rows * columns)), columns, cell, levels)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of level 0, px."""
        return len(self.files) // self.columns * self.cell[0], self.columns * self.cell[1]

    def tiles(self, level: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the level's tiles row by row, the last ones padded with white."""
        keep = len(set(self.files)) if level > 1 else 2 * self.columns + 2

        @lru_cache(maxsize=keep)
        def field(path: Path) -> NDArray[np.uint8]:
            cell = np.full((*self.cell, 3), 255, np.uint8)
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            cell[: pixels.shape[0], : pixels.shape[1]] = pixels
            return np.asarray(Image.fromarray(cell).reduce(2**level)) if level else cell

        height, width = (n >> level for n in self.shape)
        tall, wide = (n >> level for n in self.cell)
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                tile = np.full((TILE, TILE, 3), 255, np.uint8)
                for row in range(top // tall, min(-(-(top + TILE) // tall), height // tall)):
                    for column in range(left // wide, min(-(-(left + TILE) // wide), self.columns)):
                        a, b = max(top, row * tall), min(top + TILE, (row + 1) * tall)
                        c, d = max(left, column * wide), min(left + TILE, (column + 1) * wide)
                        part = field(self.files[row * self.columns + column])
                        tile[a - top : b - top, c - left : d - left] = part[
                            a - row * tall : b - row * tall, c - column * wide : d - column * wide
                        ]
                yield tile


def build_pyramid(fields: Path, out: Path, gigapixels: float, mpp: float | None = None) -> Path:
    """Write the slide and, beside it, the blasts' places.

    Parameters
    ----------
    fields : Path
        Folder of fields, each with a CSV of ``x, y, label`` if it has blasts.
    out : Path
        The OME-TIFF to write, ``*.ome.tif``.
    gigapixels : float
        At least this size.
    mpp : float, optional
        µm/px to note; by default the median of what a few fields' red cells say.

    Returns
    -------
    Path
        The CSV: ``x, y, label, field``, level-0 px.
    """
    layout = Layout.of(fields, gigapixels)
    if mpp is None:
        found = []
        for path in layout.files[:: max(1, len(layout.files) // 5)]:
            with Image.open(path) as image:
                found.append(estimate_mpp(np.asarray(image.convert("RGB"))))
        known = [m for m in found if m is not None]
        mpp = float(np.median(known)) if known else None
    physical = {} if mpp is None else {f"PhysicalSize{a}{k}": v for a in "XY" for k, v in (("", mpp), ("Unit", "µm"))}
    common = {"tile": (TILE, TILE), "photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 85}}
    with tifffile.TiffWriter(out, bigtiff=True, ome=True) as writer:
        for level in range(layout.levels):
            shape = (*(n >> level for n in layout.shape), 3)
            first = {"subifds": layout.levels - 1, "metadata": {"axes": "YXS", **physical}}
            rest = {"subfiletype": 1, "metadata": None}
            extra = rest if level else first
            writer.write(layout.tiles(level), shape=shape, dtype=np.uint8, **common, **extra)  # type: ignore[arg-type]
    table = out.with_name(out.name.split(".")[0] + ".blasts.csv")
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["x", "y", "label", "field"])
        for i, path in enumerate(layout.files):
            labels = path.with_suffix(".csv")
            y0, x0 = i // layout.columns * layout.cell[0], i % layout.columns * layout.cell[1]
            if labels.is_file():
                with labels.open(newline="", encoding="utf-8") as points:
                    for point in csv.DictReader(points):
                        if point.get("label") == "blast":
                            rows.writerow([float(point["x"]) + x0, float(point["y"]) + y0, "blast", path.stem])
    return table


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--fields", type=Path, required=True, help="folder of fields (JPG, PNG, BMP) with their CSVs")
    parser.add_argument("--out", type=Path, required=True, help="the OME-TIFF to write, *.ome.tif")
    parser.add_argument("--gigapixels", type=float, default=0.5, help="size, 10⁹ px (default: 0.5)")
    parser.add_argument("--mpp", type=float, default=None, help="µm/px (default: from the red cells)")
    options = parser.parse_args()
    table = build_pyramid(options.fields, options.out, options.gigapixels, options.mpp)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.0f} MB; blasts in {table}")


if __name__ == "__main__":
    main()
