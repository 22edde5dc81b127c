"""Cells for QuPath: the GeoJSON that QuPath 0.5 writes and reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from ._files import whole_file

if TYPE_CHECKING:
    from .case import Case

__all__ = ["rounded", "write_geojson"]

_MEASURED = {
    "probability": "Probability",
    "entropy": "Entropy bits",
    "area_um2": "Cell: Area µm^2",
    "nucleus_area_um2": "Nucleus: Area µm^2",
}


def write_geojson(case: Case, target: Path) -> Path:
    """Write the shown cells as a FeatureCollection of QuPath's cell objects.

    A cell is QuPath's detection that has a nucleus ("objectType": "cell", with "nucleusGeometry" beside "geometry");
    one without a nucleus is written as a plain "detection". Coordinates are level-0 pixels, to a hundredth.
    """
    table = case.cells
    outlines = case.outlines()
    cells = _geometries([outlines[i][0] for i in table["cell_id"]])
    nuclei = _geometries([outlines[i][1] for i in table["cell_id"]])
    colors = {label: _rgb(case.taxonomy.color(label)) for label in set(table["label"])}
    measured = _MEASURED | {name: name for name in table.columns if name.startswith("p_")}
    columns = {name: table[name].round(6).tolist() for name in measured}
    texts = {name: table[name].tolist() for name in ("cell_id", "label", "source", "reviewed_by", "reviewed_at")}
    with whole_file(target) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write('{"type":"FeatureCollection","features":[')
        for i, cell in enumerate(texts["cell_id"]):
            label = texts["label"][i]
            metadata = {"cell_id": str(cell), "source": texts["source"][i]}
            if texts["source"][i] == "reviewer":
                metadata |= {"reviewed_by": texts["reviewed_by"][i], "reviewed_at": texts["reviewed_at"][i]}
            properties: dict[str, Any] = {
                "objectType": "cell" if nuclei[i] else "detection",
                "classification": {"name": label, "color": colors[label]},
                # JSON knows no NaN: what is not known is left out, as QuPath does.
                "measurements": {measured[n]: c[i] for n, c in columns.items() if c[i] == c[i]},
                "metadata": metadata,
            }
            nucleus = f'"nucleusGeometry":{nuclei[i]},' if nuclei[i] else ""
            file.write(
                f'{"," if i else ""}\n{{"type":"Feature","id":"{case.uuid(cell)}","geometry":{cells[i]},{nucleus}'
                f'"properties":{json.dumps(properties, ensure_ascii=False, separators=(",", ":"))}}}'
            )
        file.write("\n]}\n")
    return target


def rounded(shapes: list[Any]) -> NDArray[np.object_]:
    """Return geometries as a file has them: to a hundredth of a pixel."""
    array = np.empty(len(shapes), dtype=object)
    array[:] = shapes
    out: NDArray[np.object_] = shapely.transform(array, lambda points: np.round(points, 2))
    return out


def _geometries(shapes: list[Any]) -> list[str | None]:
    return [None if text is None else str(text) for text in shapely.to_geojson(rounded(shapes))]


def _rgb(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]
