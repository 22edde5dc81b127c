"""From the data sets' folder to a manifest and the cells cut out for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from leukoscope.classification.crops import CropSpec

from .data.fields import field_rows, negative_rows
from .data.manifest import Manifest, Row
from .data.sources import ASSUMED_MPP, cnmc_rows, pbc_rows

__all__ = ["MANIFEST", "SPEC", "prepare"]

MANIFEST: Final = "manifest.csv"

# A cell on black without a scale is taken for one of C-NMC, any other crop for one of PBC, if the size is then that of
# a white cell. 112 pixels of 0.15 µm hold cells of up to 16.8 µm; what is larger is cut at the crop's edge.
# Colors stay as they are: how dark and how blue a cell is tells more than stains blur, see docs/training.md.
SPEC: Final = CropSpec(
    size=112, mpp=0.15, balance="none", assumed_mpp={"black": ASSUMED_MPP["cnmc"], "plain": ASSUMED_MPP["pbc"]}
)

SOURCES: Final[tuple[Callable[[Path, Path], list[Row]], ...]] = (cnmc_rows, pbc_rows, field_rows, negative_rows)


def prepare(data: Path, work: Path, progress: Callable[[str], None] | None = None) -> Manifest:
    """Cut out and outline the cells of all data sets and list them, or read the list where it was made before.

    Parameters
    ----------
    data : Path
        The folder with manifest.csv of the data sets.
    work : Path
        Where cells and outlines go: pixels of the data sets, so outside the repository.
    progress : callable, optional
        Takes a line about what is being done.
    """
    work.mkdir(parents=True, exist_ok=True)
    file = work / MANIFEST
    if file.exists():
        return Manifest.read(file)
    rows: list[Row] = []
    for source in SOURCES:
        if progress is not None:
            progress(source.__name__.removesuffix("_rows"))
        rows += source(data, work)
    manifest = Manifest(rows)
    partial = file.with_suffix(".partial")
    manifest.write(partial)
    partial.replace(file)
    return manifest
