"""Pretraining without labels: ConvNeXt V2 as a fully convolutional masked autoencoder."""

from __future__ import annotations

from .network import FCMAE, default_patch, encode, export_encoder, make_encoder, random_visible
from .pretraining import Pretraining, pretrain

__all__ = [
    "FCMAE",
    "Pretraining",
    "default_patch",
    "encode",
    "export_encoder",
    "make_encoder",
    "pretrain",
    "random_visible",
]
