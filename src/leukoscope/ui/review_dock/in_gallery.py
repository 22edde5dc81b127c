"""Some cells only, in the gallery."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from ..commands import show_gallery

__all__ = ["show_in_gallery", "spans"]


def show_in_gallery(viewer: Any, cells: Iterable[int]) -> Any:
    """Open the gallery with these cells, by id, and no others; return it."""
    gallery = show_gallery(viewer)
    gallery.show_all()
    gallery.controls.ids.setText(spans(cells))
    return gallery


def spans(cells: Iterable[int]) -> str:
    """Write ids as the gallery's filter reads them: ``"3, 17-19"``."""
    ids = sorted(set(cells))
    if not ids:
        return ""
    ends = [i for i, (a, b) in enumerate(pairwise(ids)) if b > a + 1]
    parts = zip([0, *(i + 1 for i in ends)], [*ends, len(ids) - 1], strict=True)
    return ", ".join(str(ids[a]) if a == b else f"{ids[a]}-{ids[b]}" for a, b in parts)
