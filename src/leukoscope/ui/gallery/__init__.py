"""The Cells dock: thumbnails of a case's cells, to sort, filter, look at and relabel by key or by drag."""

from __future__ import annotations

from .widget import GalleryWidget

__all__ = ["GalleryWidget"]
