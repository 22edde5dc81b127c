"""Changes to crops that leave a cell's class alone."""

from __future__ import annotations

from .augment import Augmentation, augment, plain

__all__ = ["Augmentation", "augment", "plain"]
