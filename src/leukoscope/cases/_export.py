"""What leaves a case: tables. Each file is written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import CaseError
from ..hematology import Profile
from ._files import whole_file
from ._geojson import write_geojson
from ._labels import write_labels
from ._report import report_of
from ._report_html import write_html
from ._signature import SIGNED

if TYPE_CHECKING:
    import pandas as pd

    from .case import Case

__all__ = ["export", "fields_frame", "guarded", "write_csv"]

_DECIMALS = {"x": 3, "y": 3, "x_um": 3, "y_um": 3, "area_um2": 3, "nucleus_area_um2": 3}


def export(
    case: Case,
    folder: Path,
    profile: str | Profile | None,
    overview: NDArray[np.uint8] | None,
    *,
    csv: bool,
    geojson: bool,
    labels: bool,
    report: bool,
    pdf: bool,
) -> dict[str, Path]:
    """Write what was asked for; see `Case.export`."""
    if (case.path / SIGNED).resolve() in (folder.resolve(), *folder.resolve().parents):
        raise CaseError("signed reports are never written over", "Choose another folder.", folder)
    written: dict[str, Path] = {}
    if csv:
        written["cells.csv"] = write_csv(case.cells, folder / "cells.csv")
        written["counts.csv"] = write_csv(case.differential(profile).table(), folder / "counts.csv")
        if len(case.slide.fields) > 1:
            written["fields.csv"] = write_csv(fields_frame(case, profile), folder / "fields.csv")
    if geojson:
        written["cells.geojson"] = write_geojson(case, folder / "cells.geojson")
    if labels:
        written["labels.zarr"] = write_labels(case, folder / "labels.zarr")
    if report or pdf:
        said = report_of(case, profile, overview)
        if report:
            written["report.html"] = write_html(said, folder / "report.html")
        if pdf:
            from ._report_pdf import write_pdf  # half a second to import

            written["report.pdf"] = write_pdf(said, folder / "report.pdf")
    return written


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe goes before what would start one."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def write_csv(table: pd.DataFrame, target: Path) -> Path:
    """Write a table as RFC 4180 (UTF-8, CRLF), texts guarded against formulas, missing values empty."""
    table = table.copy()
    for name in table.columns:
        if table[name].dtype.kind == "f":
            table[name] = table[name].round(_DECIMALS.get(name, 6))
        elif table[name].dtype.kind not in "iu":
            table[name] = [guarded(value) if isinstance(value, str) else None for value in table[name]]
    with whole_file(target) as part, part.open("w", encoding="utf-8", newline="") as file:
        table.to_csv(file, index=False, lineterminator="\r\n", na_rep="")
    return target


def fields_frame(case: Case, profile: str | Profile | None = None) -> pd.DataFrame:
    """Return one row a field of the study: field, x, y, width, height (level-0 px), cells, counted, blasts."""
    import pandas as pd

    table = case.cells
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    labels = cast("np.ndarray[tuple[int], np.dtype[np.object_]]", table["label"].to_numpy(dtype=object))
    rows = []
    for field in case.slide.fields:
        inside = (x >= field.x) & (x < field.x + field.width) & (y >= field.y) & (y < field.y + field.height)
        count = case.count(labels[inside], profile)
        place = (field.name, field.x, field.y, field.width, field.height)
        rows.append((*place, int(inside.sum()), count.denominator, count.blasts))
    columns = ["field", "x", "y", "width", "height", "cells", "counted", "blasts"]
    return pd.DataFrame(rows, columns=columns)
