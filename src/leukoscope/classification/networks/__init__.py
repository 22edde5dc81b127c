"""The networks that a bundle can name."""

from __future__ import annotations

from .build import ARCHITECTURES, build, default_size, sketch
from .fold import fold_norms

__all__ = ["ARCHITECTURES", "build", "default_size", "fold_norms", "sketch"]
