"""ALL-IDB2: crops around single cells of ALL-IDB1's fields, published (``img``) or as the shared masks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from leukoscope.errors import LeukoscopeError, SettingsError

from ..manifest import Row
from ..masks import masked_images
from ..sources import MATURE, split_of
from ._cells import save_cell
from ._names import Progress, pictures

__all__ = ["LABELS", "rows", "shared_rows"]

# All of label 0 are of healthy donors' fields, as far as it can be checked (the 61 shared crops): their white cells are
# mature ones. In 9 of the 61 a platelet lies in the middle, which the set calls normal, too.
LABELS: Final = {"1": "blast", "0": f"{MATURE}|artefact"}
_NAME: Final = re.compile(r"(Im\d+)_([01])")


def rows(folder: Path, field_of: Mapping[str, str] | None, mpp: float = math.nan) -> list[Row]:
    """List the published crops; they need outlines, see `draw_outlines`.

    Parameters
    ----------
    folder : Path
        Paths are relative to it.
    field_of : mapping of str to str, or None
        The field of ALL-IDB1 ("Im001") that each crop ("Im001_1") was cut from. The crops' numbers are not the fields':
        without this list, one cell could be trained on in a crop and measured in its field. None makes the whole set
        one group, "all_idb2", to be used without ALL-IDB1 only.
    mpp : float
        µm per pixel; not a number where unknown.

    Raises
    ------
    LeukoscopeError
        No pictures, or a name that is not the set's.
    SettingsError
        A crop without its field.
    """
    out = []
    for file in pictures(folder):
        match = _NAME.fullmatch(file.stem)
        if match is None:
            raise LeukoscopeError("is not named as ALL-IDB2's crops are", "Leave only ImXXX_0 and ImXXX_1.", file)
        if field_of is not None and file.stem not in field_of:
            raise SettingsError(f"no field is given for {file.stem}", "List the field of every crop.", file)
        group = "all_idb2" if field_of is None else field_of[file.stem]
        split = "train" if field_of is None else split_of(group)
        out.append(Row(file.relative_to(folder).as_posix(), "", LABELS[match[2]], group, "all_idb2", mpp, split))
    return out


def shared_rows(data: Path, work: Path, progress: Progress | None = None) -> list[Row]:
    """Cut the crops of the shared masks from their fields; groups are those of ALL-IDB1's fields.

    Parameters
    ----------
    data : Path
        The folder with manifest.csv of the data sets.
    work : Path
        Gets the crops and outlines, below "all_idb2"; paths are relative to it.
    progress : callable, optional
        Takes crops done, and the same again: their number is not known before.
    """
    out = []
    for image in masked_images("all_idb2", folder=data):
        paths = save_cell(work, "all_idb2", Path(image.name).stem, image.rgb, image.classes > 0)
        label = LABELS["1" if image.label == "blast" else "0"]
        out.append(Row(*paths, label, image.group, "all_idb2", image.mpp, split_of(image.group)))
        if progress is not None:
            progress(len(out), len(out))
    return out
