"""Cell crops in, class probabilities out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .taxonomy import CLASSES, UNIDENTIFIED, color, roll_up

if TYPE_CHECKING:
    from .bundle import Bundle, read_bundle, write_bundle
    from .crops import CropSpec, standardize
    from .device import resolve_device
    from .load import load_model, model_names
    from .model import Classifier

__all__ = [
    "CLASSES",
    "UNIDENTIFIED",
    "Bundle",
    "Classifier",
    "CropSpec",
    "color",
    "load_model",
    "model_names",
    "read_bundle",
    "resolve_device",
    "roll_up",
    "standardize",
    "write_bundle",
]

_HOMES = {
    "Bundle": "bundle",
    "Classifier": "model",
    "CropSpec": "crops",
    "load_model": "load",
    "model_names": "load",
    "read_bundle": "bundle",
    "resolve_device": "device",
    "standardize": "crops",
    "write_bundle": "bundle",
}


def __getattr__(name: str) -> Any:
    # Loaded on first use: counting cells and drawing legends need the taxonomy, not torch.
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
