"""From an architecture's name to a network with random weights."""

from __future__ import annotations

from typing import Final

import timm
from torch import nn

from ...errors import SettingsError

__all__ = ["ARCHITECTURES", "build"]

# Named one by one: timm would also fetch "hf-hub:" names from the network, and a bundle's name is not trusted.
ARCHITECTURES: Final = ("tf_efficientnet_lite0",)


def build(architecture: str, classes: int) -> nn.Module:
    """Make a network with random weights; nothing is downloaded.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`, as timm names them.
    classes : int
        Outputs; at least 1.

    Returns
    -------
    torch.nn.Module
        Takes float32 (n, 3, size, size), gives logits (n, classes); `forward_features` and `forward_head(...,
        pre_logits=True)` give what lies before the last layer.

    Raises
    ------
    SettingsError
        For an unknown architecture.
    """
    if architecture not in ARCHITECTURES:
        raise SettingsError(f"unknown architecture {architecture!r}", f"Choose one of {', '.join(ARCHITECTURES)}.")
    if classes < 1:
        raise SettingsError(f"a network for {classes} classes", "Name at least one class.")
    network: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=classes)
    return network
