"""Objects that QuPath wrote, read with no trust in the file."""

from __future__ import annotations

import gzip
import io
import json
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from ..errors import CaseError

__all__ = ["GeoObject", "read_geojson"]

_LARGEST = 2**30  # bytes: a slide of 500,000 cells; read whole, at several times its size in memory
_REMEDY = "Export the objects from QuPath as GeoJSON."


@dataclass(frozen=True)
class GeoObject:
    """One object of the file.

    Parameters
    ----------
    id : UUID or None
        Its own; None where it has none.
    kind : str
        QuPath's type of object: "cell", "detection", "annotation"…
    name : str or None
        Its class, as the file has it; None where it has none.
    outline : shapely geometry or None
        A polygon or several, level-0 pixels; None where it is something else.
    metadata : mapping of str to str
        What was written beside it when it was exported.
    """

    id: uuid.UUID | None
    kind: str
    name: str | None
    outline: BaseGeometry | None
    metadata: Mapping[str, str]


def read_geojson(path: Path) -> tuple[list[GeoObject], str]:
    """Return a file's objects, those inside others too, and its SHA-256.

    Raises
    ------
    CaseError
        If it cannot be read, is too large, or anything in it is not as GeoJSON and QuPath have it.
    """
    try:
        if not path.is_file():
            raise CaseError("is no file" if path.exists() else "does not exist", "Check the path.", path)
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else None
        text = None if data is None else _unpacked(data)
        if data is None or text is None:
            remedy = "Export part of the objects: those of one field, or those that were corrected."
            raise CaseError(f"is too large (more than {_LARGEST // 2**20} MiB)", remedy, path)
        content = json.loads(text)  # NaN passes: QuPath writes it for measurements that it does not have
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        # a RecursionError is a RuntimeError, too, and is told below
        if isinstance(error, RecursionError):
            raise CaseError("is not valid JSON (too deeply nested)", _REMEDY, path) from error
        raise CaseError(f"cannot be unpacked ({str(error)[:100]})", "Copy or export it again.", path) from error
    except OSError as error:
        cause = error.strerror or str(error)  # what gzip refuses has no number
        raise CaseError(f"cannot be read ({cause})", "Check the path, or export it again.", path) from error
    except (ValueError, MemoryError) as error:
        what = str(error) or "out of memory"
        raise CaseError(f"is not valid JSON ({what[:100]})", _REMEDY, path) from error
    try:
        features = list(_features(content))
        outlines = _outlines([feature.get("geometry") for feature in features])
        return [_object(*pair) for pair in zip(features, outlines, strict=True)], sha256(data).hexdigest()
    except _OddError as error:
        raise CaseError(f"is not QuPath's GeoJSON ({error})", _REMEDY, path) from error


def _unpacked(data: bytes) -> bytes | None:
    """Give what was compressed as QuPath does on request (gzip, or a zip of one file); None where it is too large."""
    if data.startswith(b"PK\3\4"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(files) != 1:
                raise zipfile.BadZipFile(f"{len(files)} files where one is looked for")
            with archive.open(files[0]) as file:
                data = file.read(_LARGEST + 1)
    elif data.startswith(b"\x1f\x8b"):
        with gzip.open(io.BytesIO(data)) as packed:
            data = packed.read(_LARGEST + 1)
    return data if len(data) <= _LARGEST else None


class _OddError(ValueError):
    """What in the file is not as it should be."""


def _features(content: Any) -> Iterator[dict[str, Any]]:
    """Yield every feature: of a collection, of a list, or a single one; and those within them, as QuPath nests them."""
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    elif isinstance(content, dict) and content.get("type") == "Feature":
        content = [content]
    if not isinstance(content, list):
        raise _OddError("it holds no list of features")
    waiting = list(reversed(content))
    while waiting:
        feature = waiting.pop()
        if not isinstance(feature, dict):
            raise _OddError("a feature is no object")
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise _OddError("a feature's properties are no object")
        yield feature
        inner = properties.get("childObjects") or []
        if not isinstance(inner, list):
            raise _OddError("a feature's childObjects are no list")
        waiting.extend(reversed(inner))


def _outlines(geometries: list[Any]) -> list[BaseGeometry | None]:
    texts: list[str | None] = []
    for geometry in geometries:
        if geometry is not None and not (isinstance(geometry, dict) and isinstance(geometry.get("type"), str)):
            raise _OddError("a feature's geometry has no type")
        polygon = geometry is not None and geometry["type"] in ("Polygon", "MultiPolygon")
        texts.append(json.dumps(geometry) if polygon else None)
    try:
        shapes = shapely.from_geojson(np.array(texts, dtype=object))  # refuses NaN and rings that do not close
    except shapely.errors.ShapelyError as error:
        raise _OddError(f"an outline cannot be read: {str(error)[:100]}") from error
    return [None if shape is None or shape.is_empty else shape for shape in shapes]


def _object(feature: Mapping[str, Any], outline: BaseGeometry | None) -> GeoObject:
    properties = feature.get("properties") or {}
    metadata = properties.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise _OddError("a feature's metadata are no object")
    texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    return GeoObject(_uuid(feature.get("id")), str(properties.get("objectType")), _name(properties), outline, texts)


def _uuid(value: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None  # before QuPath 0.4 this was the type of object


def _name(properties: Mapping[str, Any]) -> str | None:
    """Return the class: QuPath writes a name, and for a derived one ("Tumor: Positive") a list of names."""
    value = properties.get("classification")
    if isinstance(value, dict):
        value = value.get("name") or value.get("names")
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = ": ".join(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise _OddError("a feature's classification is no name")
    # A name ends up on screens and in logs: nothing in it may break a line, or be no text at all.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value.strip()[:80]) or None
