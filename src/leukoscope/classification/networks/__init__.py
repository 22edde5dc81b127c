"""The networks that a bundle can name."""

from __future__ import annotations

from .build import ARCHITECTURES, build

__all__ = ["ARCHITECTURES", "build"]
