"""From trained networks to the files that ship: weights as whole numbers, a description, a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from leukoscope.segmentation.spike.firstspike import CLASSES, FirstSpikeNetwork
from leukoscope.segmentation.spike.unet import OUTPUTS, SpikingUNet

from .bank import Canvas

__all__ = ["LICENSES", "describe", "export_rstdp", "export_snn", "manifest_hash"]

LICENSES = {
    "jtsc": "JTSC (Zheng et al. 2018): no license stated",
    "bccd": "BCCD: MIT",
    "all_idb1": "ALL-IDB1 (Labati et al. 2011): research use, no redistribution of images",
    "all_idb2": "masks of ALL-IDB2 crops: research use",
    "pbc": "PBC (Acevedo et al. 2020): CC BY 4.0",
}


def export_snn(network: SpikingUNet, out: Path) -> dict[str, Any]:
    """Fold, round and write the spiking U-Net; give its part of the description."""
    bare = network.folded() if network.norm else network
    whole = {k: torch.round(v * 2**8).to(torch.int16).contiguous() for k, v in bare.state_dict().items()}
    _write(whole, out / "snn.safetensors")
    return {
        "architecture": "spiking U-Net, integrate-and-fire neurons with soft reset",
        "channels": list(bare.channels),
        "steps": bare.steps,
        "outputs": list(OUTPUTS),
        "weight_step": 2.0**-8,
        "parameters": sum(v.numel() for v in whole.values()),
    }


def export_rstdp(network: FirstSpikeNetwork, stain: float, out: Path) -> dict[str, Any]:
    """Write the first-spike network; give its part of the description."""
    whole = torch.round(network.weight * 2**8).to(torch.int16).contiguous()
    _write({"weight": whole, "edges": network.edges.float().contiguous()}, out / "rstdp.safetensors")
    return {
        "architecture": "dense first-spike network, reward-modulated STDP",
        "classes": list(CLASSES),
        "steps": network.steps,
        "threshold": network.threshold,
        "stain": stain,
        "weight_step": 2.0**-8,
        "parameters": whole.numel(),
    }


def describe(
    out: Path,
    networks: Mapping[str, Mapping[str, Any]],
    default: str,
    bank: list[Canvas],
    settings: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> None:
    """Write `model.json`.

    Parameters
    ----------
    out : Path
        The folder of the weights.
    networks : mapping
        What `export_snn` and `export_rstdp` gave, and the working "mpp", under "snn" and "rstdp".
    default : str
        The network to run by default.
    bank : list of Canvas
        What was trained on.
    settings : mapping
        Of the training.
    metrics : mapping
        On groups held out, with intervals.
    """
    sources = sorted({c.source for c in bank})
    data = {
        "format": 1,
        "name": "spike",
        "task": "segmentation",
        "default": default,
        "networks": {k: dict(v) for k, v in networks.items()},
        "training": {
            "sources": {s: len({c.group for c in bank if c.source == s}) for s in sources},
            "groups": sorted({c.group for c in bank}),
            "manifest_sha256": manifest_hash(bank),
            "settings": dict(settings),
        },
        "metrics": dict(metrics),
        "licenses": [LICENSES[s] for s in sources if s in LICENSES],
    }
    part = out / "model.json.part"
    part.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    part.replace(out / "model.json")


def manifest_hash(bank: list[Canvas]) -> str:
    """Hash what was trained on: source, group and pixels of every image."""
    digest = hashlib.sha256()
    for line in sorted(f"{c.source} {c.group} {hashlib.sha256(c.density.tobytes()).hexdigest()}" for c in bank):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def _write(tensors: dict[str, torch.Tensor], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file(tensors, part)
    part.replace(path)
