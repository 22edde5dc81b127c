"""napari readers: slides of any format, and cases."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from leukoscope.errors import LeukoscopeError

from .layers import LayerData, slide_layer
from .notify import show_error_line

__all__ = ["get_folder_reader", "get_slide_reader", "is_case", "read_case", "read_slide"]

Reader = Callable[[Any], list[Any]]
PathOrPaths = str | Sequence[str]

FIELD_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"}
NOTHING = [(None,)]  # npe2: the reader has dealt with the file, and there is no layer to add


def is_case(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a case's folder."""
    return (Path(path) / "case.sqlite").is_file() or Path(path).name.endswith(".leuko")


def get_slide_reader(path: PathOrPaths) -> Reader | None:
    """Offer to read an image file as a smear; a stack of several is left to napari."""
    return _reporting(read_slide) if isinstance(path, str) else None


def get_folder_reader(path: PathOrPaths) -> Reader | None:
    """Offer to read a case, an OME-Zarr, or a folder of fields; other folders are left to napari."""
    if not isinstance(path, str):
        return None
    if is_case(path):
        return _reporting(read_case)
    if path.rstrip("/\\").endswith(".zarr") or _has_fields(path):
        return _reporting(read_slide)
    return None


def read_slide(path: str) -> list[LayerData]:
    """Open a slide.

    Raises
    ------
    SlideError
        If it cannot be read.
    """
    from leukoscope.slides import open_slide

    return [slide_layer(open_slide(path))]


def read_case(path: str) -> list[Any]:
    """Open a case in the current viewer, with its slide, outlines, cells and counts.

    The layers belong together and are kept up to date, so the viewer's session adds them; napari gets none to add.

    Raises
    ------
    CaseError
        If it is no case, or damaged.
    """
    import napari

    from ._state import session_of

    viewer = napari.current_viewer()
    if viewer is None:
        raise LeukoscopeError("a case opens in a viewer, and there is none", "Use leukoscope.ui.view(path).", path)
    session_of(viewer).open(path)
    return NOTHING


def _has_fields(path: str) -> bool:
    with os.scandir(path) as entries:
        return any(Path(entry.name).suffix.lower() in FIELD_SUFFIXES for entry in entries)


def _reporting(read: Callable[[str], list[Any]]) -> Reader:
    # napari wraps what a reader raises into "Tried opening with leukoscope, but failed", without cause and remedy
    return partial(_read_or_report, read)


def _read_or_report(read: Callable[[str], list[Any]], path: PathOrPaths) -> list[Any]:
    try:
        return read(path if isinstance(path, str) else path[0])
    except LeukoscopeError as error:
        show_error_line(error)
        return NOTHING
