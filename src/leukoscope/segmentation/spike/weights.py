"""The shipped networks' files: safetensors and a description in JSON, checked before anything runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...errors import BundleError
from .coding import FAMILIES
from .firstspike import CLASSES, FirstSpikeNetwork
from .unet import SpikingUNet

__all__ = ["NETWORKS", "SHIPPED", "fingerprint", "load_description", "load_rstdp", "load_snn"]

SHIPPED = Path(__file__).parents[2] / "weights" / "spike"
NETWORKS = ("snn", "rstdp")
REMEDY = "Install Leukoscope again, or name another folder of spike weights."


def load_description(folder: Path = SHIPPED) -> dict[str, Any]:
    """Read `model.json`.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict

    Raises
    ------
    BundleError
        When it is missing or describes no spike networks.
    """
    path = folder / "model.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError("the description of the networks is missing", REMEDY, path) from error
    except (OSError, ValueError) as error:
        raise BundleError(f"the description cannot be read: {error}", REMEDY, path) from error
    networks = data.get("networks") if isinstance(data, dict) else None
    if not isinstance(networks, dict) or data.get("default") not in networks or not set(networks) <= set(NETWORKS):
        raise BundleError("this describes no spike networks", REMEDY, path)
    return data


def load_snn(folder: Path = SHIPPED) -> tuple[SpikingUNet, dict[str, Any]]:
    """Load the spiking U-Net.

    Returns
    -------
    network : SpikingUNet
        Folded, on the fixed-point grid, in evaluation mode.
    description : dict
        Its part of `model.json`.

    Raises
    ------
    BundleError
        When files are missing, damaged or do not fit each other.
    """
    description, tensors = _load(folder, "snn")
    path = folder / "snn.safetensors"
    try:
        network = SpikingUNet(tuple(description["channels"]), int(description["steps"]), norm=False)
        network.load_state_dict({k: v.float() * 2.0**-8 for k, v in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BundleError(f"weights and description do not fit: {error}", REMEDY, path) from error
    network.check()
    return network.eval(), description


def load_rstdp(folder: Path = SHIPPED) -> tuple[FirstSpikeNetwork, dict[str, Any]]:
    """Load the first-spike network; see `load_snn`."""
    description, tensors = _load(folder, "rstdp")
    path = folder / "rstdp.safetensors"
    try:
        weight, edges = tensors["weight"].float() * 2.0**-8, tensors["edges"].float()
        threshold = float(description["threshold"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"weights and description do not fit: {error}", REMEDY, path) from error
    inputs = sum(f.maps for f in FAMILIES)
    if weight.ndim != 4 or weight.shape[0] % len(CLASSES) or weight.shape[1] != inputs or edges.shape[0] != inputs:
        raise BundleError(f"weights of shape {tuple(weight.shape)} do not fit the coding", REMEDY, path)
    return FirstSpikeNetwork(weight, edges, threshold), description


def fingerprint(folder: Path, network: str) -> str:
    """Give 16 hexadecimal digits that change with a network's weights or its part of the description."""
    own = json.dumps(load_description(folder)["networks"].get(network), sort_keys=True)
    weights = (folder / f"{network}.safetensors").read_bytes()
    return hashlib.sha256(own.encode() + weights).hexdigest()[:16]


def _load(folder: Path, network: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    description = load_description(folder)["networks"].get(network)
    if description is None:
        raise BundleError(f"there is no network {network!r} in this folder", REMEDY, folder)
    path = folder / f"{network}.safetensors"
    try:
        return description, load_file(path)
    except FileNotFoundError as error:
        raise BundleError("the weights are missing", REMEDY, path) from error
    except (OSError, SafetensorError) as error:
        raise BundleError(f"the weights cannot be read: {error}", REMEDY, path) from error
