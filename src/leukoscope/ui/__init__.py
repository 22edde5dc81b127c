"""Everything napari and Qt: readers, layers, the Analyze and Counts docks, correction by key."""

from __future__ import annotations

from ._state import Session, session_of
from ._view import view

__all__ = ["Session", "session_of", "view"]
