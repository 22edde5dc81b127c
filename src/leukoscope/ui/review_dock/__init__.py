"""The Review dock: regions and density, a random sample, second readers, signatures, the history, and series."""

from __future__ import annotations

from .widget import ReviewWidget

__all__ = ["ReviewWidget"]
