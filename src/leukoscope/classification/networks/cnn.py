"""CNN and CNN-RNN of the WBC-GAN project."""

from __future__ import annotations

from typing import Final, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from torch import nn

from .own import OwnNetwork, check_size, gray

__all__ = ["CNN", "CNNRNN"]

LEAST: Final = 16
HIDDEN: Final = 128


class CNN(OwnNetwork):
    """Three 3x3 convolutions of 32, 64 and 64 channels, one 2x2 maximum, a hidden layer of 128.

    Parameters
    ----------
    classes : int
    size : int
        Width and height of the images, which the hidden layer fixes.

    Raises
    ------
    SettingsError
        Size below 16.

    Notes
    -----
    The convolutions are not padded, as is the custom of Keras, in which the reference was written.
    """

    def __init__(self, classes: int, size: int) -> None:
        check_size("cnn", size, LEAST)
        super().__init__(classes, 64, HIDDEN)
        self.convs = nn.Sequential(
            nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.ReLU()
        )
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(64 * ((size - 6) // 2) ** 2, HIDDEN)
        self.drop_map, self.drop_hidden = nn.Dropout(0.25), nn.Dropout(0.5)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Give the pooled map (n, 64, side, side)."""
        features: torch.Tensor = self.pool(self.convs(x))
        return features

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Give logits, or the hidden layer's 128 units."""
        x = F.relu(self.hidden(self.drop_map(x).flatten(1)))
        return x if pre_logits else self.fc(self.drop_hidden(x))


class CNNRNN(OwnNetwork):
    """Convolutions over the image beside two bidirectional LSTMs over its rows from the top down.

    Parameters
    ----------
    classes : int
    size : int
        Width and height of the images: a row is one input of the LSTM, which fixes its width.
    merge : str
        How the two branches meet: "product" or "concatenation".

    Raises
    ------
    SettingsError
        Size below 16.

    Notes
    -----
    Ours, where the reference leaves it open: both branches end in 128 columns, the convolutions' by an average over
    the image and a linear layer, the LSTMs' by the last state of either direction.
    """

    def __init__(self, classes: int, size: int, merge: Literal["product", "concatenation"] = "product") -> None:
        check_size("cnn_rnn", size, LEAST)
        columns = HIDDEN if merge == "product" else 2 * HIDDEN
        super().__init__(classes, columns, HIDDEN)
        self.merge = merge
        self.convs = nn.Sequential(
            nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.project = nn.Linear(64, HIDDEN)
        self.rnn = nn.LSTM(size, HIDDEN // 2, num_layers=2, batch_first=True, bidirectional=True)
        self.drop_merged, self.drop_hidden = nn.Dropout(0.25), nn.Dropout(0.5)
        self.hidden = nn.Linear(columns, HIDDEN)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Give both branches, merged (n, 128 or 256)."""
        seen = F.relu(self.project(self.convs(x).mean((2, 3))))
        _, (state, _) = self.rnn(gray(x).squeeze(1))
        read = torch.cat([state[-2], state[-1]], 1)  # the second LSTM's two directions
        return seen * read if self.merge == "product" else torch.cat([seen, read], 1)

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Give logits, or the hidden layer's 128 units."""
        x = F.relu(self.hidden(self.drop_merged(x)))
        return x if pre_logits else self.fc(self.drop_hidden(x))
