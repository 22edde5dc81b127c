"""Leukoscope: find, classify and count white cells on whole smears. For research use only."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cases import open_case
    from .pipeline import analyze
    from .slides import open_slide

__all__ = ["__version__", "analyze", "open_case", "open_slide"]

try:
    __version__ = version("leukoscope")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

_HOMES = {"analyze": "pipeline", "open_case": "cases", "open_slide": "slides"}


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import leukoscope` must stay quick, without torch or napari.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
