"""The networks that a bundle can name."""

from __future__ import annotations

from .build import ARCHITECTURES, build, default_size, sketch

__all__ = ["ARCHITECTURES", "build", "default_size", "sketch"]
