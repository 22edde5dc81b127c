"""Mean and standard deviation of the training split: the last thing done before the network, on its device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .base import Crops, FittedOn, Masks

__all__ = ["Normalize"]


@dataclass(frozen=True)
class Normalize:
    """(pixel / 255 - mean) / std, per channel; model.json keeps it as "normalization".

    Attributes
    ----------
    mean, std : tuple of float
        Of pixels / 255: red, green, blue.
    fitted : FittedOn or None
        None where the numbers are conventional.
    """

    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    fitted: FittedOn | None = None

    @classmethod
    def fit(cls, crops: Crops, masks: Masks, groups: Sequence[str]) -> Normalize:
        """Take the statistics over all pixels that the network sees, all classes together.

        Parameters
        ----------
        crops : uint8 array (n, h, w, 3)
            As the network sees them, what is painted over included.
        masks : None or bool arrays
            Not looked at.
        groups : sequence of str
            Of each crop; kept as a hash.

        Raises
        ------
        SettingsError
            No crops, or groups of another number.
        """
        fitted = FittedOn.of(crops, groups)
        counts = np.zeros((3, 256), np.int64)  # exact, whatever the number of crops
        for i in range(len(crops)):
            crop = crops[i]
            for channel in range(3):
                counts[channel] += np.bincount(crop[..., channel].ravel(), minlength=256)
        level = np.arange(256) / 255
        share = counts / counts.sum(axis=1, keepdims=True)
        mean = share @ level
        std = np.sqrt(np.maximum(share @ level**2 - mean**2, 0))
        std = np.maximum(std, 1 / 255)  # crops of one flat color: nothing to divide by
        return cls(_three(mean), _three(std), fitted)

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """Normalize a float tensor (n, 3, h, w) of 0..255."""
        mean = torch.tensor(self.mean, device=batch.device).view(1, 3, 1, 1) * 255
        std = torch.tensor(self.std, device=batch.device).view(1, 3, 1, 1) * 255
        return (batch - mean) / std


def _three(values: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = (round(float(v), 6) for v in values)
    return red, green, blue
