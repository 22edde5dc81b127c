"""The window in which outlines are drawn anew, and what a reviewer does in it."""

from __future__ import annotations

from .widget import OutlinesWidget
from .window import Changes, Window

__all__ = ["Changes", "OutlinesWidget", "Window"]
