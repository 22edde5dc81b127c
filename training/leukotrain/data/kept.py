"""What was cut and outlined before: kept as long as it stands for the data, and named anew each time.

Cutting takes minutes, naming none. So what is kept of a cell says what was seen of it, not what that means: cells are
not cut anew because a rule about labels or splits has changed.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from .manifest import Row
from .sources import MATURE, listed, split_of

__all__ = ["cut_once", "drop_stale_outlines", "write_whole"]

FORMAT: Final = 1  # raised when `fields` cuts other cells, or outlines them otherwise, from the same data
UNNAMED: Final = "white cell"  # of healthy blood, of which class nobody wrote down
CELLS: Final = "cells.json"
MADE_FROM: Final = "made-from.txt"

Cut = Callable[[Path, Path], list[Row]]


def cut_once(
    cut: Cut, dataset: str, folder: str, data: Path, work: Path, before: Sequence[Row], say: Callable[[str], None]
) -> list[Row]:
    """Give the cells cut out of a data set's fields; cut them only where they were not, or from something else.

    Parameters
    ----------
    cut : callable
        `fields.field_rows` or `fields.negative_rows`.
    dataset : str
        Its name in the data sets' manifest.csv, and its cells' source.
    folder : str
        Where in `work` it writes the cells; their list, "cells.json", is kept beside them.
    data, work : Path
    before : sequence of Row
        Of a manifest made by a version that kept no list: its cells of this set are taken over.
    say : callable
        Takes a line, before cells are cut.
    """
    file = work / folder / CELLS
    key = _key(data, dataset)
    kept = _read(file, key)
    if kept is None and not file.exists():
        kept = _taken_over(before, dataset, folder, {line["group"] for line in listed(data, dataset)})
    if kept is None or not all((work / path).is_file() for cell in kept for path in (cell["image"], cell["mask"])):
        say(f"cutting out the cells of {dataset}")
        _forget_crops(work, dataset)
        kept = [_seen(row) for row in cut(data, work)]
    text = json.dumps({"made_from": key, "cells": kept}, indent=0, ensure_ascii=False) + "\n"
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        write_whole(file, text)
    return [
        Row(
            cell["image"],
            cell["mask"],
            MATURE if cell["seen"] == UNNAMED else cell["seen"],
            cell["group"],
            dataset,
            math.nan if cell["mpp"] is None else cell["mpp"],
            split_of(cell["group"]),
        )
        for cell in kept
    ]


def drop_stale_outlines(folder: Path, source: str, say: Callable[[str], None]) -> None:
    """Delete the outlines in a folder that other weights of the default segmenter drew, and the crops made with them.

    Outlines of a version that did not write down its segmenter's weights are taken for the present one's.
    """
    file, key = folder / MADE_FROM, _segmenter()
    made_from = file.read_text(encoding="utf-8").strip() if file.is_file() else key
    if made_from != key:
        shutil.rmtree(folder)
    if not folder.is_dir():
        say(f"outlining the cells of {source}")
        _forget_crops(folder.parent, source)
    elif file.is_file():
        return
    write_whole(file, key + "\n")


def write_whole(file: Path, text: str) -> None:
    """Write a text file so that no other process ever reads a part of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{uuid4().hex}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _forget_crops(work: Path, source: str) -> None:
    """Delete the crops of a source: up to a gigabyte that stays where cells cut anew get other names."""
    for crops in work.glob(f"crops-{source}-*.npz"):
        crops.unlink(missing_ok=True)


def _seen(row: Row) -> dict[str, Any]:
    seen = UNNAMED if len(row.allowed) > 1 else row.label
    mpp = None if math.isnan(row.mpp) else row.mpp
    return {"image": row.image, "mask": row.mask, "seen": seen, "group": row.group, "mpp": mpp}


def _read(file: Path, key: str) -> list[dict[str, Any]] | None:
    """Read a list of cells; None where there is none, or only a damaged one, or one made from something else."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        cells = [{name: cell[name] for name in ("image", "mask", "seen", "group", "mpp")} for cell in values["cells"]]
        return cells if values["made_from"] == key else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _taken_over(before: Sequence[Row], dataset: str, folder: str, groups: set[str]) -> list[dict[str, Any]] | None:
    """Take a set's cells from the rows of an older manifest; None where they cannot be those that would be cut now."""
    own = [row for row in before if row.source == dataset and row.image.startswith(f"{folder}/")]
    # Before smudges were marked, cells were outlined otherwise, and no row is one.
    if not any(row.label == "smudge" for row in own) or not {row.group for row in own} <= groups:
        return None
    return [_seen(row) for row in own]


def _key(data: Path, dataset: str) -> str:
    """Give the hash of what decides about the cells cut: fields, points, marks and the segmenter, not their labels."""
    parts: list[Any] = [FORMAT, _segmenter()]
    for line in listed(data, dataset):
        points = hashlib.sha256((data / line["points"]).read_bytes()).hexdigest()
        parts.append([line["path"], (data / line["path"]).stat().st_size, line["label"], line["group"], points])
    parts.append((files("leukotrain") / "segment" / "smudges.csv").read_text(encoding="utf-8"))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _segmenter() -> str:
    from leukoscope.segmentation.spike.weights import SHIPPED, fingerprint, load_description

    return fingerprint(SHIPPED, str(load_description(SHIPPED)["default"]))
