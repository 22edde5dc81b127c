"""ResNet-31: the residual network of Noshad and Fallahi for cells reduced by PCA, counted by its convolutions."""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import nn

from .own import OwnNetwork, check_size, gray

__all__ = ["Bottleneck", "ResNet31"]

# (width, output channels, stride) of the stages, each one projection and two identity blocks
STAGES: Final = ((32, 64, 1), (64, 128, 2), (64, 256, 2))
LEAST: Final = 32


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside the identity, or beside a 1x1 projection.

    Parameters
    ----------
    inputs, width, outputs : int
        Channels.
    stride : int
        Of the first convolution and of the projection.
    project : bool
    """

    def __init__(self, inputs: int, width: int, outputs: int, stride: int = 1, project: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if project:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give (n, outputs, h / stride, w / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + self.shortcut(x))


class ResNet31(OwnNetwork):
    """The 31 convolutions, 2x2 average pooling, and a hidden layer or none.

    Parameters
    ----------
    classes : int
    size : int
        Width and height of the images, which the layer after the pooling fixes.
    hidden : int, optional
        Units of the hidden layer: 1200 and 500 in the reference, as many as it kept principal components.
    color : bool
        False, as in the reference: RGB is turned into luminance first.

    Raises
    ------
    SettingsError
        Size below 32.

    Notes
    -----
    As the reference was written in Keras, its convolutions have biases, the first convolution and the maximum are
    not padded beyond the 3 pixels said, and a stage's stride lies in its first 1x1 convolution. With two classes
    that gives the counts reported: 15,509,330 trainable parameters at 224 px with 1200 hidden units, 1,606,430 at
    100 px with 500, and 463,170 at 100 px without, batch normalization's running statistics counted in.
    """

    def __init__(self, classes: int, size: int, hidden: int | None = None, color: bool = False) -> None:
        check_size("resnet31", size, LEAST)
        flat = STAGES[-1][1] * _side(size) ** 2
        super().__init__(classes, STAGES[-1][1], hidden or flat)
        self.color = color
        self.stem = nn.Sequential(
            nn.Conv2d(3 if color else 1, 64, 7, 2, padding=3), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2)
        )
        blocks: list[nn.Module] = []
        inputs = 64
        for width, outputs, stride in STAGES:
            blocks.append(Bottleneck(inputs, width, outputs, stride, project=True))
            blocks += [Bottleneck(outputs, width, outputs) for _ in range(2)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AvgPool2d(2)
        self.hidden = nn.Linear(flat, hidden) if hidden else None

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Give the pooled map (n, 256, side, side)."""
        features: torch.Tensor = self.pool(self.blocks(self.stem(x if self.color else gray(x))))
        return features

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Give logits, or the hidden layer's units; without one, the flattened map."""
        x = x.flatten(1)
        if self.hidden is not None:
            x = F.relu(self.hidden(x))
        return x if pre_logits else self.fc(x)


def _side(size: int) -> int:
    """Give the side of the pooled map."""
    side = ((size + 6 - 7) // 2 + 1 - 3) // 2 + 1
    for _, _, stride in STAGES:
        side = (side - 1) // stride + 1
    return side // 2
