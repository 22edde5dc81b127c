"""From the data sets' folder to a manifest and the cells cut out for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from leukoscope.classification.crops import CropSpec

from .data.fields import field_rows, negative_rows
from .data.kept import cut_once, drop_stale_outlines, write_whole
from .data.manifest import Manifest, ManifestError
from .data.sources import ASSUMED_MPP, PBC_MASKS, cnmc_rows, pbc_rows
from .space import check_writable

__all__ = ["MANIFEST", "SPEC", "prepare"]

MANIFEST: Final = "manifest.csv"
BEFORE: Final = "manifest-before.csv"

# A cell on black without a scale is taken for one of C-NMC, any other crop for one of PBC, if the size is then that of
# a white cell. 112 pixels of 0.15 µm hold cells of up to 16.8 µm; what is larger is cut at the crop's edge.
# Colors stay as they are: how dark and how blue a cell is tells more than stains blur, see docs/training.md.
SPEC: Final = CropSpec(
    size=112, mpp=0.15, balance="none", assumed_mpp={"black": ASSUMED_MPP["cnmc"], "plain": ASSUMED_MPP["pbc"]}
)


def prepare(data: Path, work: Path, progress: Callable[[str], None] | None = None) -> Manifest:
    """List the cells of all data sets; cut out and outline those that were not before.

    Labels and splits are given anew each time, so that a list of an older version never stays in use. Cells and
    outlines are made anew only where the data, the marks or the segmenter changed, see `data.kept`.

    Parameters
    ----------
    data : Path
        The folder with manifest.csv of the data sets.
    work : Path
        Where cells, outlines and the manifest go: pixels of the data sets, so outside the repository. A manifest there
        that says something else, made by another version or changed by hand, is renamed to "manifest-before.csv".
    progress : callable, optional
        Takes a line about what is being done.

    Returns
    -------
    Manifest
        As it is written, µm per pixel to six digits: the same in every run.

    Raises
    ------
    LeukoscopeError
        No data sets in `data`, or a file of them that cannot be read.
    """
    say = progress or (lambda line: None)
    rows = cnmc_rows(data)
    check_writable(work)
    file = work / MANIFEST
    before = _before(file)
    drop_stale_outlines(work / PBC_MASKS, "pbc", say)
    rows += pbc_rows(data, work)
    old = () if before is None else before.rows
    rows += cut_once(field_rows, "all_idb1", "fields", data, work, old, say)
    rows += cut_once(negative_rows, "bccd", "bccd", data, work, old, say)
    text = Manifest(rows).to_csv()
    if before is None or before.to_csv() != text:
        if file.exists():
            file.replace(work / BEFORE)
            say(f"{file} was made by another version or changed: it is made anew, the former is kept as {BEFORE}")
        write_whole(file, text)
    return Manifest.read(file)


def _before(file: Path) -> Manifest | None:
    """Read the manifest that is there; None where there is none that can be read."""
    try:
        return Manifest.read(file)
    except ManifestError:
        return None
