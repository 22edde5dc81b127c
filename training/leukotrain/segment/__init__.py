"""Training of the spike segmenters: `python -m leukotrain.segment --data DIR --network snn|rstdp --out DIR`."""

from __future__ import annotations

from .bank import Canvas, load_bank
from .evaluate import evaluate
from .train import train_segmenter

__all__ = ["Canvas", "evaluate", "load_bank", "train_segmenter"]
