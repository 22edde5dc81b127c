"""The last layer of a stored model: taken out, and put back changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from leukoscope.classification.bundle import Bundle
from leukoscope.classification.networks import build
from leukoscope.errors import SettingsError

from .head import Head

__all__ = ["last_layer", "with_layer"]

Weights = dict[str, torch.Tensor]


def last_layer(bundle: Bundle, weights: Weights) -> tuple[str, Head]:
    """Give the last layer's name among the weights, and the layer.

    Raises
    ------
    SettingsError
        The network does not end in a linear layer that sees what `Classifier.embed` gives.
    """
    network: Any = build(bundle.architecture, len(bundle.classes), bundle.crop.size)
    network.load_state_dict(weights)
    network.eval()
    layer = network.get_classifier()
    name = next((key for key, module in network.named_modules() if module is layer), "")
    if not isinstance(layer, nn.Linear) or layer.bias is None or not _sees_embedding(network, layer, bundle.crop.size):
        cause = f"{bundle.architecture} does not end in a linear layer of its own"
        raise SettingsError(cause, "Retrain it with mode full.")
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    return name, Head(weight, bias)


def _sees_embedding(network: Any, layer: nn.Linear, size: int) -> bool:
    with torch.inference_mode():
        crop = torch.linspace(-1, 1, 3 * size * size).reshape(1, 3, size, size)
        seen = network.forward_head(network.forward_features(crop), pre_logits=True)
        if seen.ndim != 2 or seen.shape[1] != layer.in_features:
            return False
        return bool(torch.allclose(layer(seen), network(crop), rtol=1e-3, atol=1e-3))


def with_layer(weights: Weights, name: str, head: Head) -> Weights:
    """Give the weights with another last layer, as a bundle stores them."""
    stored = {
        f"{name}.weight": torch.from_numpy(head.weight.astype(np.float16)),
        f"{name}.bias": torch.from_numpy(head.bias.astype(np.float16)),
    }
    return {**weights, **stored}
