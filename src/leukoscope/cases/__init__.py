"""What is known of one slide: its cells, what reviewers said of them, and every step of the way; in one SQLite file."""

from __future__ import annotations

from ._comparing import Comparison
from ._importing import Added, Imported
from ._outlining import Drawn
from ._sampling import Sample
from ._second import SecondReader
from ._signature import Signature
from .case import Case, open_case
from .records import CellRow, Event, FieldInfo, Run, RunSettings, RunStatus, SlideInfo

__all__ = [
    "Added",
    "Case",
    "CellRow",
    "Comparison",
    "Drawn",
    "Event",
    "FieldInfo",
    "Imported",
    "Run",
    "RunSettings",
    "RunStatus",
    "Sample",
    "SecondReader",
    "Signature",
    "SlideInfo",
    "open_case",
]
