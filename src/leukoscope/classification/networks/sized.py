"""A network that is told how large the cell is.

A crop is at a fixed scale and white around the cell, so a convolutional network can see a cell's size, but hardly uses
it where the looks of a few donors' cells do for the training set. Here size stands beside the features that the
last layer sees, and part of these is dropped in training, size never.
"""

from __future__ import annotations

import math
from typing import Any

import timm
import torch
from torch import nn

from .own import OwnNetwork

__all__ = ["Sized"]

DROPPED = 0.5
BLIND = 0.2  # of the cells in training: only their size is seen
USUAL, SPREAD = 0.65, 0.15  # of cells: diameter over the crop's width, and the deviation of its logarithm


class Sized(OwnNetwork):
    """A convolutional network of timm's, and the cell's diameter.

    Parameters
    ----------
    classes : int
    size : int
        Not used: any will do.
    body : str
        timm's name of a network whose features are maps, (n, channels, h, w).
    """

    def __init__(self, classes: int, size: int, body: str) -> None:
        network: Any = timm.create_model(body, pretrained=False, num_classes=0)
        super().__init__(classes, network.num_features + 2, network.num_features + 2)
        self.body = network
        self.drop = nn.Dropout(DROPPED)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Give the body's maps, and the size and its square as two flat ones more."""
        maps: torch.Tensor = self.body.forward_features(x)
        z = _size(x).to(maps.dtype)
        flat = torch.stack([z, z * z], 1)[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        return torch.cat([maps, flat], 1)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Give the logits (n, classes) of features, or what the last layer sees of them."""
        pooled = x.mean((2, 3))
        looks = self.drop(pooled[:, :-2])
        if self.training:  # not scaled up in turn: looks are to add to what the size says, not to replace it
            looks = looks * (torch.rand(len(looks), 1, device=looks.device) >= BLIND)
        seen = torch.cat([looks, pooled[:, -2:]], 1)
        if pre_logits:
            return seen
        logits: torch.Tensor = self.fc(seen)
        return logits


def _size(x: torch.Tensor) -> torch.Tensor:
    """Give the cell's diameter in each crop, as a standardized logarithm; what is not white is the cell."""
    white = x.amax((2, 3), keepdim=True)
    share = (x < white - 1e-3).any(1).float().mean((1, 2))
    diameter = 2 * torch.sqrt(share.clamp(min=1e-4) / math.pi)
    return (torch.log(diameter) - math.log(USUAL)) / SPREAD
