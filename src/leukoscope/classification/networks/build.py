"""From an architecture's name to a network with random weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import timm
import torch
from torch import nn

from ...errors import SettingsError
from .cnn import CNN, CNNRNN
from .resnet31 import ResNet31
from .sized import Sized
from .wpat import WPAT

__all__ = ["ARCHITECTURES", "OWN", "build", "default_size", "sketch"]

# name -> (what makes it of classes and size, the size in px where none is given)
OWN: Final[Mapping[str, tuple[Callable[[int, int], nn.Module], int]]] = {
    "cnn": (CNN, 112),
    "cnn_rnn": (CNNRNN, 112),
    "cnn_rnn_concat": (partial(CNNRNN, merge="concatenation"), 112),
    "resnet31": (ResNet31, 100),
    "resnet31_500": (partial(ResNet31, hidden=500), 100),
    "resnet31_1200": (partial(ResNet31, hidden=1200), 224),
    "resnet31_rgb": (partial(ResNet31, color=True), 100),
    "resnet31_rgb_500": (partial(ResNet31, hidden=500, color=True), 100),
    "resnet31_rgb_1200": (partial(ResNet31, hidden=1200, color=True), 224),
    "tf_efficientnet_lite0_sized": (partial(Sized, body="tf_efficientnet_lite0"), 112),
    "wpat": (WPAT, 112),
}

# The networks of the mission; `build` knows the rest of timm's too.
ARCHITECTURES: Final = (
    "tf_efficientnet_lite0",
    "efficientnet_b3",
    "maxvit_tiny_tf_224",
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "vgg19",
    "inception_v3",
    "mobilenetv2_100",
    "densenet201",
    "resnetv2_101",
    "convnextv2_atto",
    "convnextv2_femto",
    "convnextv2_pico",
    "convnextv2_nano",
    "convnextv2_tiny",
    *OWN,
)

# What timm and torch raise for settings that a network cannot take.
MISFITS: Final = (AssertionError, AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError)


def build(architecture: str, classes: int, size: int | None = None) -> nn.Module:
    """Make a network with random weights; nothing is downloaded, no file is read.

    Parameters
    ----------
    architecture : str
        One of `ARCHITECTURES`, or another name in timm's own registry, without a tag.
    classes : int
        Outputs; at least 1.
    size : int, optional
        Width and height of the images in pixels: of a bundle, `bundle.crop.size`. Networks that fix their input
        size (vision transformers, MaxViT, `resnet31*`, `cnn*`) are made for it, others take any and ignore it.
        Without: `default_size(architecture)`.

    Returns
    -------
    torch.nn.Module
        Takes float32 (n, 3, size, size), gives logits (n, classes); `forward_features` and `forward_head(...,
        pre_logits=True)` give what lies before the last layer, `head_hidden_size` columns of it. Networks that see
        gray make it of RGB themselves.

    Raises
    ------
    SettingsError
        For an unknown architecture, or one that cannot be made for these classes and this size.
    """
    if architecture not in OWN and not _in_registry(architecture):
        raise SettingsError(
            f"unknown architecture {architecture!r}", f"Choose one of {', '.join(ARCHITECTURES)}, or another of timm's."
        )
    if classes < 1:
        raise SettingsError(f"a network for {classes} classes", "Name at least one class.")
    if size is not None and size < 1:
        raise SettingsError(f"a network for crops of {size} px", "Make crops of at least 32 px.")
    if architecture in OWN:
        make, usual = OWN[architecture]
        return make(classes, size or usual)
    try:
        network: nn.Module = timm.create_model(
            architecture, pretrained=False, num_classes=classes, **_sized(architecture, size)
        )
    except MISFITS as error:
        raise _misfit(architecture, size, error) from error
    wanted = ("forward_features", "forward_head", "num_features")
    if not all(hasattr(network, part) for part in wanted):
        raise SettingsError(f"{architecture} does not classify images", f"Choose one of {', '.join(ARCHITECTURES)}.")
    if not hasattr(network, "head_hidden_size"):
        network.head_hidden_size = network.num_features
    return network


def sketch(architecture: str, classes: int, size: int | None = None) -> nn.Module:
    """Make a network without memory for its weights, and try it on one image; for counting and checking.

    Parameters
    ----------
    architecture, classes, size
        As for `build`.

    Returns
    -------
    torch.nn.Module
        On the device "meta": names and shapes of the weights, no values.

    Raises
    ------
    SettingsError
        As for `build`, and where the network cannot see images of this size.
    """
    pixels = size or default_size(architecture)
    with torch.device("meta"), torch.no_grad():
        network: Any = build(architecture, classes, size).eval()
        try:
            logits = network(torch.empty(1, 3, pixels, pixels))
            network.forward_head(network.forward_features(torch.empty(1, 3, pixels, pixels)), pre_logits=True)
        except MISFITS as error:
            raise _misfit(architecture, pixels, error) from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (1, classes):
        raise SettingsError(f"{architecture} does not classify images", f"Choose one of {', '.join(ARCHITECTURES)}.")
    kept: nn.Module = network
    return kept


def default_size(architecture: str) -> int:
    """Give the width and height of the images that an architecture was published with, in pixels."""
    if architecture in OWN:
        return OWN[architecture][1]
    config = timm.get_pretrained_cfg(architecture) if _in_registry(architecture) else None
    return int(config.input_size[-1]) if config is not None else 224


def _in_registry(name: str) -> bool:
    # A bundle's name is not trusted: "hf-hub:", "local-dir:", paths and tags never reach timm.
    return re.fullmatch(r"[a-z0-9_]{1,60}", name) is not None and bool(timm.is_model(name))


def _sized(architecture: str, size: int | None) -> dict[str, int]:
    config = timm.get_pretrained_cfg(architecture)
    fixed = size is not None and config is not None and config.fixed_input_size
    return {"img_size": size} if fixed and size is not None else {}


def _misfit(architecture: str, size: int | None, error: Exception) -> SettingsError:
    of = "" if size is None else f" of {size} px"
    return SettingsError(
        f"{architecture} cannot classify crops{of} ({error})",
        f"Make crops of {default_size(architecture)} px, the size it was published with, or choose another.",
    )
