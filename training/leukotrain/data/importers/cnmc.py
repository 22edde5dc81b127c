"""C-NMC 2019: single cells on black, their patients in the names of the files.

Published as ``fold_0/all/UID_<patient>_<image>_<cell>_all.bmp`` and ``fold_0/hem/UID_H<donor>_…_hem.bmp``. The folds
are not used: they can be made anew, by patient.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from leukoscope.errors import LeukoscopeError

from ..manifest import Row
from ..sources import ASSUMED_MPP, split_of
from ._names import pictures

__all__ = ["LABELS", "rows"]

LABELS: Final = {"all": "blast", "hem": "lymphocyte"}
_NAME: Final = re.compile(r"UID_(H?)(\d+)_\d+_\d+_(all|hem)")


def rows(folder: Path, mpp: float = ASSUMED_MPP["cnmc"]) -> list[Row]:
    """List the cells in a folder of C-NMC and below; groups are patients, splits the project's.

    Parameters
    ----------
    folder : Path
        Any folder of the set; paths are relative to it.
    mpp : float
        µm per pixel. The set does not state it: this is assumed.

    Raises
    ------
    LeukoscopeError
        No pictures, a name from which no patient can be told, or one that contradicts itself or its folder.
    """
    out = []
    for file in pictures(folder):
        match = _NAME.fullmatch(file.stem)
        if match is None:
            remedy = "Only files named UID_<patient>_<image>_<cell>_<all or hem> say which patient they are of."
            raise LeukoscopeError("no patient can be told from this name", remedy, file)
        healthy, number, kind = match.groups()
        if bool(healthy) != (kind == "hem") or (file.parent.name in LABELS and file.parent.name != kind):
            cause = f"{kind} contradicts the patient H{number}" if healthy else f"{kind} contradicts folder or patient"
            raise LeukoscopeError(cause, "Find out which is right: a swapped label is worse than none.", file)
        group = f"cnmc-{healthy}{number}"
        path = file.relative_to(folder).as_posix()
        out.append(Row(path, "", LABELS[kind], group, "cnmc", mpp, split_of(group)))
    return out
