"""The Retrain dock: from reviewed cases to a new model, through a gate that a worse one does not pass."""

from __future__ import annotations

from .widget import RetrainWidget

__all__ = ["RetrainWidget"]
