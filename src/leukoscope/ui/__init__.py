"""Everything napari and Qt: readers, layers, the Analyze and Counts docks, correction by key."""

from __future__ import annotations

from ._triton_guard import guard

guard()  # before anything here imports torch

from ._state import Session, session_of  # noqa: E402
from ._view import view  # noqa: E402

__all__ = ["Session", "session_of", "view"]
