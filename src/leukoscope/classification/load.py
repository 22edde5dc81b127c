"""From a name or a folder to a classifier."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ..errors import BundleError, SettingsError
from .bundle import read_bundle
from .model import Classifier
from .networks import build, fold_norms, sketch

__all__ = ["load_model", "model_names"]

SHIPPED: Final = Path(__file__).parents[1] / "weights"


def model_names() -> tuple[str, ...]:
    """Name the models that ship with Leukoscope, in alphabetical order."""
    # the segmenters' weights lie beside them, under other names
    return tuple(sorted(file.parent.name for file in SHIPPED.glob("*/weights.safetensors")))


def load_model(name_or_folder: str | os.PathLike[str], device: str = "auto") -> Classifier:
    """Load a classifier.

    Parameters
    ----------
    name_or_folder : str or path-like
        One of `model_names()`, or a bundle's folder.
    device : str
        "auto", "cuda", "mps" or "cpu".

    Returns
    -------
    Classifier

    Raises
    ------
    BundleError
        No such model, or one that is damaged, of an unknown architecture or of the wrong shape.
    SettingsError
        No such device.
    """
    names = model_names()
    folder = SHIPPED / name_or_folder if name_or_folder in names else Path(name_or_folder)
    if not os.path.isdir(folder):  # also false, other than Path.is_dir, for a name too long for the disk
        shipped = f"Shipped models: {', '.join(names)}." if names else "No models ship with this installation."
        raise BundleError("no such model", f"{shipped} Or give a bundle's folder.", os.fspath(name_or_folder))
    bundle, weights = read_bundle(folder)
    named = (bundle.architecture, len(bundle.classes), bundle.crop.size)
    try:
        network = sketch(*named)  # without memory: a name alone must not make billions of weights
    except SettingsError as error:
        raise BundleError(error.cause, error.remedy, folder / "model.json") from error
    for step in bundle.steps:
        if step.stage == "vector":
            raise BundleError(
                f"{step.name} makes vectors, and {bundle.architecture} takes pictures",
                "Read it with read_bundle and call the step's features.",
                folder / "model.json",
            )
    wanted = {key: tensor.shape for key, tensor in network.state_dict().items()}
    given = {key: tensor.shape for key, tensor in weights.items()}
    if wanted != given:
        wrong = sorted(key for key in wanted.keys() | given.keys() if wanted.get(key) != given.get(key))
        raise BundleError(
            f"{len(wrong)} weights do not fit {bundle.architecture}, {len(bundle.classes)} classes: first {wrong[0]}",
            "Use the weights and the model.json of one training run.",
            folder,
        )
    network = build(*named)
    network.load_state_dict(weights)  # copied into float32
    return Classifier(bundle, fold_norms(network.eval()), device)
