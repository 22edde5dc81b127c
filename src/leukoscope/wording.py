"""How numbers are said."""

from __future__ import annotations

__all__ = ["cells_said"]


def cells_said(count: int) -> str:
    """Say how many cells: "1 cell", "12,000 cells"."""
    return "1 cell" if count == 1 else f"{count:,} cells"
