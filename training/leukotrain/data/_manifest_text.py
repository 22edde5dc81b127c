"""A manifest's rows as CSV and as JSON text: columns, schema, and what is wrong with which row."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from leukoscope.errors import LeukoscopeError

__all__ = ["COLUMNS", "REAL", "SCHEMA", "SPLITS", "ManifestError", "from_csv", "from_json", "to_csv", "to_json"]

SPLITS: Final = ("train", "val", "test")

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["version", "rows"],
    "additionalProperties": False,
    "properties": {
        "version": {"const": 1},
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["image", "mask", "label", "group", "source", "mpp", "split"],
                "additionalProperties": False,
                "properties": {
                    "image": {"type": "string", "minLength": 1},
                    "mask": {"type": "string"},
                    "label": {"type": "string", "minLength": 1},
                    "group": {"type": "string", "minLength": 1},
                    "source": {"type": "string", "minLength": 1},
                    "mpp": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    "split": {"enum": list(SPLITS)},
                    "synthetic": {"type": "boolean"},
                    "generator": {"type": "string"},
                    "generator_groups": {"type": "string"},
                },
            },
        },
    },
}


COLUMNS: Final = [*SCHEMA["properties"]["rows"]["items"]["properties"]]
REAL: Final = COLUMNS[:7]  # the columns of a manifest without synthetic cells

Record = dict[str, Any]  # a row by its columns; mpp is not a number where unknown


class ManifestError(LeukoscopeError):
    """A training manifest that cannot be read, or that would let a result be flattered."""


def to_csv(records: Sequence[Record]) -> str:
    """Write rows as CSV; `mpp` to six digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    for record in records:
        if "synthetic" in record:
            record = record | {"synthetic": "true" if record["synthetic"] else ""}
        writer.writerow(record | {"mpp": "" if math.isnan(record["mpp"]) else f"{record['mpp']:.6g}"})
    return text.getvalue()


def to_json(records: Sequence[Record]) -> str:
    """Write rows as JSON, see `SCHEMA`."""
    rows = [record | {"mpp": None if math.isnan(record["mpp"]) else record["mpp"]} for record in records]
    return json.dumps({"version": 1, "rows": rows}, indent=1, ensure_ascii=False) + "\n"


def from_csv(text: str, file: Path) -> Iterator[Record]:
    """Read rows from CSV.

    Raises
    ------
    ManifestError
        Other columns, or a cell that cannot be read; the row is named.
    """
    # Spreadsheets of half of Europe write semicolons between the cells and a comma into a number.
    semicolons = text.startswith((f"{COLUMNS[0]};", f'"{COLUMNS[0]}";'))
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if semicolons else ",")
    try:
        columns, lines = reader.fieldnames, list(reader)
    except csv.Error as error:
        raise ManifestError(f"is no CSV ({error})", "Write it with Manifest.write.", file) from error
    if columns not in (COLUMNS, REAL):
        raise ManifestError(f"its columns are {columns}", f"Use {', '.join(COLUMNS)}.", file)
    for i, r in enumerate(lines, 1):
        where = f"row {i} ({r['image']})"
        if None in r or None in r.values():
            raise ManifestError(f"{where} has too few or too many columns", "Correct the line.", file)
        try:
            mpp = float((r["mpp"].replace(",", ".") if semicolons else r["mpp"]) or "nan")
        except ValueError:
            remedy = "Give a number, or none if it is unknown."
            raise ManifestError(f"{where} has {r['mpp']!r} µm per pixel", remedy, file) from None
        made = r.get("synthetic", "").lower()  # spreadsheets write TRUE
        if made not in ("", "true", "false"):
            raise ManifestError(f"{where} has synthetic {made!r}", "Write true, or nothing.", file)
        yield {**r, "mpp": mpp, "synthetic": made == "true"}


def from_json(text: str, file: Path) -> Iterator[Record]:
    """Read rows from JSON.

    Raises
    ------
    ManifestError
        No JSON, or against the schema; the row is named.
    """
    from jsonschema import Draft202012Validator

    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"is no JSON ({error})", "Write it with Manifest.write.", file) from error
    wrong = next(Draft202012Validator(SCHEMA).iter_errors(value), None)
    if wrong is not None:
        path = list(wrong.absolute_path)
        where = ""
        if len(path) > 1:
            record = value["rows"][path[1]]
            image = record.get("image", "") if isinstance(record, dict) else ""
            where = f"row {int(path[1]) + 1} ({image}) " + (f"{path[2]}: " if len(path) > 2 else "")
        raise ManifestError(f"{where}{wrong.message[:200]}", "See SCHEMA in leukotrain.data.manifest.", file)
    for record in value["rows"]:
        yield record | {"mpp": math.nan if record["mpp"] is None else float(record["mpp"])}
