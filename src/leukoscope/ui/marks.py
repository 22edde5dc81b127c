"""How a text is marked as good or bad: by a bar beside it, for the text keeps the theme's own color."""

from __future__ import annotations

__all__ = ["HOLDS", "WORSE", "marked"]

HOLDS, WORSE = "#3fa45b", "#e8001c"
"""Green and red; seen on dark and on light, but too close to either for letters."""


def marked(color: str) -> str:
    """Give the style sheet of a bold text with a bar of this color before it."""
    return f"font-weight: 600; border-left: 4px solid {color}; padding-left: 6px;"
