"""What a model is trained on: one row a cell, in a CSV or JSON file whose hash goes into the model's bundle."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from leukoscope.classification.taxonomy import TAXONOMY, UNIDENTIFIED
from leukoscope.errors import SlideError
from leukoscope.segmentation.base import MPP_RANGE
from leukoscope.slides import read_picture

from ._manifest_text import COLUMNS, REAL, SCHEMA, SPLITS, ManifestError, from_csv, from_json, to_csv, to_json

__all__ = ["SCHEMA", "SPLITS", "Manifest", "ManifestError", "Row", "find", "groups_hash"]


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
    synthetic : bool
        Made by a generator: such a cell may only be trained on.
    generator : str
        The id of the generator that made it; "" for a real cell.
    generator_groups : str
        `groups_hash` of the groups that the generator was fitted on; "" for a real cell.
    """

    image: str
    mask: str
    label: str
    group: str
    source: str
    mpp: float
    split: str
    synthetic: bool = False
    generator: str = ""
    generator_groups: str = ""

    @property
    def allowed(self) -> tuple[str, ...]:
        """The classes it may be of."""
        return tuple(self.label.split("|"))


def groups_hash(groups: Iterable[str]) -> str:
    """Give the hash of a set of groups, by which a synthetic cell names what its generator was fitted on."""
    return hashlib.sha256(json.dumps(sorted(set(groups))).encode()).hexdigest()


def find(path: str, roots: Sequence[Path]) -> Path:
    """Give the file of a manifest's path, in the first of the roots that has it.

    Raises
    ------
    ManifestError
        None has it.
    """
    file = _first(path, roots)
    if file is None:
        raise ManifestError(f"{path} is in none of {', '.join(map(str, roots))}", "Bring it back, or name its folder.")
    return file


def _first(path: str, roots: Sequence[Path]) -> Path | None:
    return next((root / path for root in roots if (root / path).is_file()), None)


class Manifest:
    """The rows of a manifest, checked; rows count from 1 in messages, without the file's header.

    Parameters
    ----------
    rows : iterable of Row
    file : path-like, optional
        For messages.

    Raises
    ------
    ManifestError
        No rows, a group in two splits, an unknown split or class, a picture listed twice, a path that leaves its root,
        a scale that is none, a synthetic cell outside "train" or without its generator. The message names the row.
    """

    def __init__(self, rows: Iterable[Row], file: Path | None = None) -> None:
        self.rows = tuple(rows)
        self.file = file
        if not self.rows:
            raise ManifestError("the manifest has no cells", "Check the data folder.", file)
        first: dict[str, dict[str, int]] = defaultdict(dict)
        images: dict[str, int] = {}
        for i, row in enumerate(self.rows):
            self._check(i)
            image = PurePosixPath(row.image).as_posix()  # a/./b and a//b are a/b
            if image in images:
                raise self.error(i, f"is listed twice, in row {images[image] + 1} too", "List every cell once.")
            images[image] = i
            first[row.group].setdefault(row.split, i)
        for group, found in first.items():
            if len(found) > 1:
                (a, i), (b, k) = sorted(found.items())[:2]
                raise ManifestError(
                    f"group {group} is in more than one split ({', '.join(sorted(found))}): {self.name(i)} is in {a}, "
                    f"{self.name(k)} in {b}",
                    "Keep all cells of a patient or field in one split.",
                    file,
                )

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def name(self, index: int) -> str:
        """Say which row is meant: "row 3 (b.png)" for index 2."""
        return f"row {index + 1} ({self.rows[index].image})"

    def error(self, index: int, cause: str, remedy: str) -> ManifestError:
        """Give an error about a row, to be raised."""
        return ManifestError(f"{self.name(index)} {cause}", remedy, self.file)

    def _check(self, i: int) -> None:
        row = self.rows[i]
        if row.split not in SPLITS:
            raise self.error(i, f"has the unknown split {row.split!r}", f"Use one of {', '.join(SPLITS)}.")
        for label in row.allowed:
            if label not in TAXONOMY or label == UNIDENTIFIED:
                known = ", ".join(known for known in TAXONOMY if known != UNIDENTIFIED)
                raise self.error(i, f"has the unknown class {label!r}", f"Use of {known}.")
        if not row.image or not row.group or not row.source:
            raise self.error(i, "lacks its image, group or source", "Fill in all three.")
        for path in (row.image, row.mask):
            pure = PureWindowsPath(path)  # splits at both kinds of slash
            if ".." in pure.parts or pure.anchor or "\0" in path:
                raise self.error(i, f"has a path that leaves its root, {path!r}", "Use paths within the data folder.")
        if not (math.isnan(row.mpp) or MPP_RANGE[0] <= row.mpp <= MPP_RANGE[1]):
            remedy = f"Give a figure from {MPP_RANGE[0]} to {MPP_RANGE[1]}, or none if it is unknown."
            raise self.error(i, f"has {row.mpp:g} µm per pixel", remedy)
        if row.synthetic and row.split != "train":
            raise self.error(i, f"is synthetic and in {row.split}", "Only train on synthetic cells.")
        if row.synthetic != bool(row.generator) or row.synthetic != bool(row.generator_groups):
            raise self.error(
                i,
                "must name its generator and the hash of the groups that it saw"
                if row.synthetic
                else "names a generator but is not marked synthetic",
                "Write synthetic, generator and generator_groups together.",
            )

    def groups(self, *splits: str) -> dict[str, list[str]]:
        """List the groups of real cells in some splits, sorted, by source."""
        found: dict[str, set[str]] = defaultdict(set)
        for row in self.rows:
            if row.split in splits and not row.synthetic:
                found[row.source].add(row.group)
        return {source: sorted(groups) for source, groups in sorted(found.items())}

    def check_classes(self) -> None:
        """Make sure that there is something to tell apart, in training and in validation.

        Raises
        ------
        ManifestError
            No real cells of a split, or all cells of "train" of one class.
        """
        for split in ("train", "val"):
            if not any(row.split == split and not row.synthetic for row in self.rows):
                raise ManifestError(f"no real cells in {split}", "Split the groups anew (splits.holdout).", self.file)
        labels = {row.label for row in self.rows if row.split == "train"}
        if len(labels) < 2:
            i = next(i for i, row in enumerate(self.rows) if row.split == "train")
            raise self.error(i, f"and all others of train are of one class, {labels.pop()}", "Add cells of another.")

    def check_files(
        self, roots: Sequence[Path], scale: bool = False, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Read every picture and outline once, so that none is missed in the middle of training.

        Parameters
        ----------
        roots : sequence of Path
            Where paths are looked for, in this order. A link must not lead out of all of them.
        scale : bool
            Whether every row must give its µm per pixel.
        progress : callable, optional
            Takes rows done and rows in all.

        Raises
        ------
        ManifestError
            A file is missing, damaged, cut short or outside the roots, an outline is of another size than its picture,
            or a row gives no µm per pixel where it must. The message names the row.
        """
        for i, row in enumerate(self.rows):
            if scale and math.isnan(row.mpp):
                raise self.error(i, "gives no µm per pixel", "Fill in mpp.")
            size = self._size(i, row.image, roots)
            if row.mask and (found := self._size(i, row.mask, roots)) != size:
                cause = (
                    f"has an outline {row.mask} of {found[0]}×{found[1]} pixels for a picture of {size[0]}×{size[1]}"
                )
                raise self.error(i, cause, "Make the outline anew.")
            if progress is not None:
                progress(i + 1, len(self.rows))

    def _size(self, i: int, path: str, roots: Sequence[Path]) -> tuple[int, int]:
        file = _first(path, roots)
        if file is None:
            remedy = "Bring the file back, take the row out, or give the right data folder."
            raise self.error(i, f"names {path}, which is in none of {', '.join(map(str, roots))}", remedy)
        if not any(file.resolve().is_relative_to(root.resolve()) for root in roots):
            raise self.error(i, f"names {path}, a link out of the data folder", "Give its folder as a root.")
        try:
            height, width, _ = read_picture(file).shape  # decoded: a header alone proves nothing
        except SlideError as error:
            raise self.error(i, f"names {path}, which is damaged ({error.cause})", "Copy the file anew.") from error
        return width, height

    def _records(self) -> list[dict[str, Any]]:
        # Without synthetic cells there are seven columns, as ever: hashes of older manifests stay what they were.
        names = COLUMNS if any(row.synthetic for row in self.rows) else REAL
        return [{name: getattr(row, name) for name in names} for row in self.rows]

    def to_csv(self) -> str:
        """Give the manifest's text."""
        return to_csv(self._records())

    @property
    def sha256(self) -> str:
        """The hash of the manifest's CSV text."""
        return hashlib.sha256(self.to_csv().encode()).hexdigest()

    def write(self, file: Path) -> None:
        """Write the manifest: as JSON to a name that ends in .json, else as CSV."""
        text = to_json(self._records()) if file.suffix.lower() == ".json" else self.to_csv()
        file.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> Manifest:
        """Read a manifest, CSV or (by its name) JSON, and check it.

        Raises
        ------
        ManifestError
            It cannot be read, or see the class.
        """
        try:
            text = file.read_text(encoding="utf-8-sig")  # spreadsheets put a byte order mark before the text
        except OSError as error:
            raise ManifestError(f"cannot be read ({error.strerror})", "Check the path.", file) from error
        except ValueError as error:
            raise ManifestError(f"cannot be read ({error})", "Save it as UTF-8 text.", file) from error
        records = from_json(text, file) if file.suffix.lower() == ".json" else from_csv(text, file)
        return cls((Row(**record) for record in records), file)
