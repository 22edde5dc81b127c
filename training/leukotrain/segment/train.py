"""From data to shipped weights: train one of the spike networks, evaluate it on groups held out, export it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.segmentation.spike import SpikeSegmenter
from leukoscope.segmentation.spike.weights import NETWORKS

from .bank import Canvas, load_bank
from .evaluate import evaluate
from .export import describe, export_rstdp, export_snn
from .rounds import second_round
from .train_rstdp import train_rstdp
from .train_snn import train_snn

__all__ = ["train_segmenter"]

RATE = 4e-3  # largest learning rate of the snn
MPP = {"snn": 0.25, "rstdp": 0.5}  # working resolution, µm per pixel


def train_segmenter(
    data: Path,
    network: str = "snn",
    out: Path = Path("spike"),
    epochs: int = 20,
    seed: int = 0,
    workers: int = 0,
    progress: Callable[[int, float], None] | None = None,
    bank: list[Canvas] | None = None,
    score: bool = True,
    scenes: int | None = None,
    second: bool = False,
) -> dict[str, Any]:
    """Train, evaluate and export a spike network.

    Parameters
    ----------
    data : Path
        The folder with `manifest.csv`. Groups held out (`leukotrain.data.split`) are for evaluation only.
    network : str
        "snn" or "rstdp".
    out : Path
        Folder of the weights; what it holds of the other network stays. Checkpoints go there, too, and are resumed.
    epochs : int
    seed : int
    workers : int
        Processes that make training scenes.
    progress : callable, optional
        Takes the epoch and its mean loss (snn) or part of right decisions (rstdp).
    bank : list of Canvas, optional
        Already loaded data.
    score : bool
        Whether to evaluate on the groups held out.
    scenes : int, optional
        Training scenes, per epoch (snn; 1024 by default) or in all (rstdp; 400).
    second : bool
        Train the snn of `out` on, with masks of its own beside the public ones (see `rounds.second_round`).

    Returns
    -------
    dict
        Metrics by name, see `evaluate`; empty without `score`.

    Raises
    ------
    SettingsError
        When there is no such network, no data, or nothing to train for.
    LeukoscopeError
        When `out` cannot be written.
    """
    if network not in NETWORKS:
        raise SettingsError(f"there is no spike network {network!r}", f"Choose one of {', '.join(NETWORKS)}.")
    if epochs < 1:
        raise SettingsError(f"{epochs} epochs train nothing", "Ask for at least one.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LeukoscopeError(
            f"cannot write here: {error.strerror}", "Choose another folder with --out.", out
        ) from error
    bank = load_bank(data) if bank is None else bank
    mpp = MPP[network]
    old = _described(out)
    checkpoints = out / "training"
    start: Path | None = None
    rate = RATE
    if second:
        if network != "snn":
            raise SettingsError("only the snn has a second round", "Leave out --second-round.")
        bank, start = _widened(bank, data, out, checkpoints)
        checkpoints, rate = out / "training-2", RATE / 4  # it goes on from the first round's weights
    elif network == "snn":  # another first round: what a second one made of the last is no longer true
        for stale in ("first", "training-2"):
            shutil.rmtree(out / stale, ignore_errors=True)
    if network == "snn":
        trained = train_snn(
            bank,
            checkpoints,
            epochs,
            seed,
            scenes or 1024,
            mpp=mpp,
            rate=rate,
            workers=workers,
            progress=progress,
            start=start,
        )
        own = export_snn(trained, out)
    else:
        first, stain = train_rstdp(bank, epochs, seed, scenes or 400, mpp=mpp, progress=progress)
        own = export_rstdp(first, stain, out)
    own["mpp"] = mpp
    networks = {**old.get("networks", {}), network: own}
    metrics: dict[str, Any] = dict(old.get("metrics", {}))
    settings = dict(old.get("training", {}).get("settings", {}))
    round_settings = {"epochs": epochs, "seed": seed}
    settings[network] = {**settings.get(network, {}), "second round": round_settings} if second else round_settings
    describe(out, networks, _best(metrics, networks), bank, settings, metrics)
    found: dict[str, Any] = {}
    if score:
        metrics[network] = found = evaluate(SpikeSegmenter(network, "cpu", out), data)
        describe(out, networks, _best(metrics, networks), bank, settings, metrics)
    return found


def _widened(bank: list[Canvas], data: Path, out: Path, checkpoints: Path) -> tuple[list[Canvas], Path]:
    """Give the bank of the second round, as the first round's network makes it, and that network's checkpoint."""
    checkpoint = checkpoints / "checkpoint.safetensors"
    if not checkpoint.is_file():
        raise SettingsError("there is no first round to go on from", "Train one into the same --out first.", out)
    first = out / "first"
    if not first.is_dir():
        first.mkdir()
        for name in ("snn.safetensors", "model.json"):
            shutil.copy(out / name, first / name)
    return second_round(bank, data, SpikeSegmenter("snn", "cpu", first)), checkpoint


def _described(out: Path) -> dict[str, Any]:
    path = out / "model.json"
    if not path.is_file():
        return {}
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def _best(metrics: dict[str, Any], networks: dict[str, Any]) -> str:
    """Choose the network with the higher mean IoU over sets, cells and nuclei alike; without figures, the first."""

    def mean(name: str) -> float:
        values = [m["value"] for m in metrics.get(name, {}).values()]
        return sum(values) / len(values) if values else 0.0

    return max((n for n in NETWORKS if n in networks), key=mean)
