"""What the networks of this project share: the parts of a timm network that the rest of the code asks for."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import nn

from ...errors import SettingsError

__all__ = ["OwnNetwork", "check_size", "gray"]


class OwnNetwork(nn.Module, ABC):
    """A network in two parts, as timm's are: the features of an image, and a head that ends in a linear layer.

    Parameters
    ----------
    classes : int
        Outputs.
    features : int
        Channels or columns of what `forward_features` gives.
    embedding : int
        What the last layer sees of a cell.

    Attributes
    ----------
    num_classes, num_features, head_hidden_size : int
        Outputs, channels of the features, columns before the last layer; the names are timm's.
    fc : torch.nn.Linear
        The last layer.
    """

    def __init__(self, classes: int, features: int, embedding: int) -> None:
        super().__init__()
        self.num_classes, self.num_features, self.head_hidden_size = classes, features, embedding
        self.fc = nn.Linear(embedding, classes)

    @abstractmethod
    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Give the features of float32 images (n, 3, size, size)."""

    @abstractmethod
    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Give the logits (n, classes) of features, or what the last layer sees of them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give the logits (n, classes) of float32 images (n, 3, size, size)."""
        return self.forward_head(self.forward_features(x))

    def get_classifier(self) -> nn.Module:
        """Give the last layer."""
        return self.fc


def gray(x: torch.Tensor) -> torch.Tensor:
    """Turn normalized RGB (n, 3, h, w) into luminance (n, 1, h, w).

    The weights are those of Rec. 601 and add up to 1, so that images whose channels were normalized alike give the
    luminance of the image, normalized.
    """
    red, green, blue = x.unbind(1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)


def check_size(name: str, size: int, least: int) -> None:
    """Refuse images too small for a network.

    Raises
    ------
    SettingsError
        Size below the least.
    """
    if size < least:
        raise SettingsError(f"{name} cannot see crops of {size} px", f"Make crops of at least {least} px.")
