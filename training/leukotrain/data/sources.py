"""The public data sets, as rows of a manifest: whose classes mean what here, and which scale is assumed."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from leukoscope.classification._outline import classical
from leukoscope.classification.outline import outline
from leukoscope.errors import LeukoscopeError
from leukoscope.slides import read_picture

from .manifest import Row
from .split import fold_of, is_held_out

__all__ = ["ASSUMED_MPP", "CLASSES", "LICENSES", "MATURE", "PBC_MASKS", "cnmc_rows", "listed", "pbc_rows", "split_of"]

# The classes that the data support. "plasma_cell" and "platelet_clump" have no labels in them; smudges were marked for
# this project (leukotrain/segment/smudges.csv).
CLASSES: Final = (
    "blast",
    "lymphocyte",
    "monocyte",
    "neutrophil_band",
    "neutrophil_segmented",
    "eosinophil",
    "basophil",
    "promyelocyte",
    "myelocyte",
    "metamyelocyte",
    "erythroblast",
    "smudge",
    "artefact",
)
# White cells of blood without leukemia, of which class nobody wrote down, are mature ones. To allow less than all but
# blasts matters: a network that may call the cells of a strange stain erythroblasts, smudges or artefacts learns to.
MATURE: Final = "|".join(CLASSES[1:7])

# Neither set states its µm per pixel. These make C-NMC's lymphoid cells and PBC's lymphocytes about 10 µm wide,
# and PBC's segmented neutrophils about 13 µm.
ASSUMED_MPP: Final = {"cnmc": 0.055, "pbc": 0.1}

PBC: Final = {
    "BA": "basophil",
    "EO": "eosinophil",
    "ERB": "erythroblast",
    "LY": "lymphocyte",
    "MO": "monocyte",
    "BNE": "neutrophil_band",
    "SNE": "neutrophil_segmented",
    "NEUTROPHIL": "neutrophil_band|neutrophil_segmented",
    "PMY": "promyelocyte",
    "MY": "myelocyte",
    "MMY": "metamyelocyte",
    "IG": "promyelocyte|myelocyte|metamyelocyte",
}
PBC_MASKS: Final = "pbc-masks"  # the outlines, in the work folder
CNMC: Final = {"blast": "blast", "normal": "lymphocyte"}

LICENSES: Final = (
    {"source": "C-NMC 2019", "license": "CC BY 3.0", "use": "blasts and normal B precursors (here: lymphocyte)"},
    {"source": "PBC, Barcelona", "license": "CC BY 4.0", "use": "all classes but blast"},
    {"source": "ALL-IDB1", "license": "research use, no redistribution", "use": "cells cut from fields"},
    {"source": "BCCD", "license": "MIT", "use": "red cells and platelets, as artefact; white cells, as mature ones"},
    {"source": "EfficientNet-Lite0, ImageNet", "license": "Apache-2.0", "use": "initial weights"},
)

# Patients and fields for early stopping and calibration. C-NMC has only one healthy donor outside the held-out
# groups, who is needed for training: its specificity cannot be validated, only measured on the held-out donor.
VAL_PATIENTS: Final = frozenset({"cnmc-2", "cnmc-23"})
VAL_FIELDS: Final = frozenset(f"Im{i:03d}" for run in (range(18, 23), range(40, 44), range(70, 74)) for i in run)


def split_of(group: str) -> str:
    """Give "test" for a held-out group, else "val" or "train"."""
    if is_held_out(group):
        return "test"
    if group.startswith("cnmc-"):
        return "val" if group in VAL_PATIENTS else "train"
    if group.startswith("Im"):
        return "val" if group in VAL_FIELDS else "train"
    return "val" if fold_of(group) == 1 else "train"


COLUMNS: Final = frozenset({"path", "dataset", "label", "group", "mask", "points"})


def listed(data: Path, dataset: str) -> Iterator[dict[str, str]]:
    """Give a data set's lines of the data sets' manifest.csv.

    Raises
    ------
    LeukoscopeError
        It cannot be read, or lacks a column.
    """
    file = data / "manifest.csv"
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = COLUMNS - set(reader.fieldnames or ())
            if missing:
                raise LeukoscopeError(f"has no column {min(missing)}", "Give the data sets' own manifest.csv.", file)
            yield from (line for line in reader if line["dataset"] == dataset)
    except (OSError, UnicodeDecodeError) as error:
        raise LeukoscopeError("no data set here", "Give the folder that holds manifest.csv (--data).", file) from error


def cnmc_rows(data: Path) -> list[Row]:
    """List C-NMC: single cells, cut out on black."""
    return [
        Row(r["path"], "", CNMC[r["label"]], r["group"], "cnmc", ASSUMED_MPP["cnmc"], split_of(r["group"]))
        for r in listed(data, "cnmc")
    ]


def pbc_rows(data: Path, work: Path) -> list[Row]:
    """List PBC: tight crops of single cells; their outlines are made and kept in the work folder.

    Every other cell is outlined by the default segmenter, as at inference, the others by thresholds: a model should
    not depend on one way of drawing.
    """
    folder = work / PBC_MASKS
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for r in listed(data, "pbc"):
        file = folder / f"{Path(r['path']).stem}.png"
        if not file.exists():
            image = read_picture(data / r["path"])
            by_segmenter = hashlib.sha256(r["group"].encode()).digest()[-1] % 2 == 0
            mask = outline(image) if by_segmenter else classical(image)[0]
            partial = file.with_suffix(".partial")
            Image.fromarray(mask.astype(np.uint8) * 255).save(partial, format="png")
            partial.replace(file)
        mask_path = str(file.relative_to(work))
        rows.append(
            Row(r["path"], mask_path, PBC[r["label"]], r["group"], "pbc", ASSUMED_MPP["pbc"], split_of(r["group"]))
        )
    return rows


def fields(data: Path, dataset: str) -> list[tuple[Path, Path, str, str]]:
    """List the fields of ALL-IDB1 or BCCD: image, the CSV of its points or boxes, label, group."""
    return [(data / r["path"], data / r["points"], r["label"], r["group"]) for r in listed(data, dataset)]


def crops_with_masks(data: Path, dataset: str) -> list[tuple[Path, Path, str]]:
    """List the crops of JTSC: image, mask, group."""
    return [(data / r["path"], data / r["mask"], r["group"]) for r in listed(data, dataset)]
