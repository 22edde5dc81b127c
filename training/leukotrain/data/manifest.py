"""What a model is trained on: one row a cell, in a CSV file whose hash goes into the model's bundle."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.errors import LeukoscopeError

__all__ = ["SPLITS", "Manifest", "ManifestError", "Row"]

SPLITS = ("train", "val", "test")


class ManifestError(LeukoscopeError):
    """A training manifest that cannot be read, or that would let a result be flattered."""


@dataclass(frozen=True)
class Row:
    """One cell.

    Attributes
    ----------
    image : str
        Path of its picture, relative to one of the roots that the reader is given.
    mask : str
        Path of its outline (a picture, not 0 inside the cell), or "" for a cell cut out on black.
    label : str
        The classes it may be of, joined by "|": one where the class is known, more where only a part is.
    group : str
        What a split must not cut through: a patient, else a field.
    source : str
        The data set.
    mpp : float
        µm per pixel; not a number where unknown.
    split : str
        "train", "val" or "test".
    """

    image: str
    mask: str
    label: str
    group: str
    source: str
    mpp: float
    split: str

    @property
    def allowed(self) -> tuple[str, ...]:
        """The classes it may be of."""
        return tuple(self.label.split("|"))


class Manifest:
    """The rows of a manifest, checked.

    Parameters
    ----------
    rows : iterable of Row
    file : path-like, optional
        For messages.

    Raises
    ------
    ManifestError
        No rows, a group in two splits, an unknown split or class, or a picture listed twice.
    """

    def __init__(self, rows: Iterable[Row], file: Path | None = None) -> None:
        self.rows = tuple(rows)
        if not self.rows:
            raise ManifestError("the manifest has no cells", "Check the data folder.", file)
        splits: dict[str, set[str]] = defaultdict(set)
        images: set[str] = set()
        for row in self.rows:
            if row.split not in SPLITS:
                raise ManifestError(f"unknown split {row.split!r}", f"Use one of {', '.join(SPLITS)}.", file)
            for name in row.allowed:
                if name not in TAXONOMY:
                    raise ManifestError(f"unknown class {name!r} of {row.image}", "See the taxonomy's ids.", file)
            if row.image in images:
                raise ManifestError(f"{row.image} is listed twice", "List every cell once.", file)
            images.add(row.image)
            splits[row.group].add(row.split)
        for group, found in splits.items():
            if len(found) > 1:
                raise ManifestError(
                    f"group {group} is in more than one split ({', '.join(sorted(found))})",
                    "Keep all cells of a patient or field in one split.",
                    file,
                )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def groups(self, *splits: str) -> dict[str, list[str]]:
        """List the groups in some splits, sorted, by source."""
        found: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            if row.split in splits:
                found[row.source].add(row.group)
        return {source: sorted(groups) for source, groups in sorted(found.items())}

    def to_csv(self) -> str:
        """Give the manifest's text."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(f.name for f in fields(Row))
        for row in self.rows:
            values = list(astuple(row))
            values[5] = "" if math.isnan(row.mpp) else f"{row.mpp:.6g}"
            writer.writerow(values)
        return text.getvalue()

    @property
    def sha256(self) -> str:
        """The hash of the manifest's text."""
        return hashlib.sha256(self.to_csv().encode()).hexdigest()

    def write(self, file: Path) -> None:
        """Write the manifest as CSV."""
        file.write_text(self.to_csv(), encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Manifest:
        """Read a manifest and check it.

        Raises
        ------
        ManifestError
            It cannot be read, or see the class.
        """
        names = [f.name for f in fields(Row)]
        try:
            with file.open(encoding="utf-8", newline="") as stream:
                reader = csv.DictReader(stream)
                if reader.fieldnames != names:
                    raise ManifestError(f"its columns are {reader.fieldnames}", f"Use {', '.join(names)}.", file)
                rows = [
                    Row(
                        r["image"], r["mask"], r["label"], r["group"], r["source"], float(r["mpp"] or "nan"), r["split"]
                    )
                    for r in reader
                ]
        except (OSError, ValueError, TypeError) as error:
            raise ManifestError(f"cannot be read ({error})", "Write it with `leukotrain prepare`.", file) from error
        return cls(rows, file)
