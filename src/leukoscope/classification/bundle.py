"""A model as a folder: weights.safetensors, model.json (checked by a schema) and README.md, its card.

Steps with tensors of their own (principal components) add steps.safetensors.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import jsonschema
import torch
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ..errors import BundleError, SettingsError
from ._folder import whole_folder
from .crops import CropSpec
from .preprocess import FittedOn, Step, steps_from_json, steps_to_json

__all__ = ["Bundle", "check_bundle", "read_bundle", "write_bundle"]

WEIGHTS: Final = "weights.safetensors"
MODEL: Final = "model.json"
CARD: Final = "README.md"
STEPS: Final = "steps.safetensors"
FILES: Final = (WEIGHTS, MODEL, CARD)
LARGEST_JSON: Final = 32 * 2**20
LARGEST_STEPS: Final = 2**31
REMEDY: Final = "Use a bundle written by `leukotrain fit`, or fetch this one again."


@dataclass(frozen=True)
class Bundle:
    """What is known of a model besides its weights; the fields of model.json.

    Attributes
    ----------
    name, description, architecture : str
    classes : tuple of str
        In the order of the network's outputs.
    crop : CropSpec
        How a cell's pixels become the network's input.
    mean, std : tuple of float
        The input is (pixel / 255 - mean) / std, per channel.
    fitted : FittedOn or None
        Whose crops mean and std are of; None where they are conventional.
    steps : tuple of Step
        Done with a picture, or with its crop, before that; in order.
    temperature : float
        Logits are divided by it before the softmax.
    threshold : float
        Below this probability of the likeliest class a cell is "unidentified".
    training : mapping
        manifest_sha256, groups (source -> the groups seen in training or validation), and how it was trained.
    metrics : tuple of mappings
        name, data, value, low, high (95 % interval or None), cells, groups.
    licenses : tuple of mappings
        source, license, use.
    folder : Path or None
        Where it was read from.
    fingerprint : str
        Changes when weights or model.json change; 16 hexadecimal digits, "" when not read from a folder.
    """

    name: str
    architecture: str
    classes: tuple[str, ...]
    crop: CropSpec
    training: Mapping[str, Any]
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    fitted: FittedOn | None = None
    steps: tuple[Step, ...] = ()
    temperature: float = 1.0
    threshold: float = 0.0
    metrics: tuple[Mapping[str, Any], ...] = ()
    licenses: tuple[Mapping[str, str], ...] = ()
    description: str = ""
    folder: Path | None = field(default=None, compare=False)
    fingerprint: str = field(default="", compare=False)

    def to_json(self) -> dict[str, Any]:
        """Give the content of model.json."""
        normalization: dict[str, Any] = {"mean": list(self.mean), "std": list(self.std)}
        if self.fitted is not None:
            normalization["fitted"] = self.fitted.to_json()
        return {
            "format": 1,
            "name": self.name,
            "description": self.description,
            "architecture": self.architecture,
            "classes": list(self.classes),
            "crop": self.crop.to_json(),
            "normalization": normalization,
            # left out where there are none: such bundles stay readable by versions that know no steps
            **({"steps": steps_to_json(self.steps)[0]} if self.steps else {}),
            "temperature": self.temperature,
            "threshold": self.threshold,
            "training": dict(self.training),
            "metrics": [dict(m) for m in self.metrics],
            "licenses": [dict(x) for x in self.licenses],
        }

    @classmethod
    def from_json(
        cls, values: Mapping[str, Any], folder: Path | None = None, fingerprint: str = "", steps: tuple[Step, ...] = ()
    ) -> Bundle:
        """Make a bundle from the content of model.json, which the schema has passed, and its steps."""
        fitted = values["normalization"].get("fitted")
        return cls(
            name=values["name"],
            architecture=values["architecture"],
            classes=tuple(values["classes"]),
            crop=CropSpec.from_json(values["crop"]),
            training=values["training"],
            mean=tuple(values["normalization"]["mean"]),
            std=tuple(values["normalization"]["std"]),
            fitted=None if fitted is None else FittedOn(**fitted),
            steps=steps,
            temperature=float(values["temperature"]),
            threshold=float(values["threshold"]),
            metrics=tuple(values["metrics"]),
            licenses=tuple(values["licenses"]),
            description=values.get("description", ""),
            folder=folder,
            fingerprint=fingerprint,
        )


@cache
def _schema() -> jsonschema.Draft202012Validator:
    text = files(__package__).joinpath("bundle.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def _check(values: Any, file: Path, remedy: str = REMEDY) -> None:
    errors = sorted(_schema().iter_errors(values), key=lambda e: list(map(str, e.absolute_path)))
    if errors:
        where = ".".join(map(str, errors[0].absolute_path)) or "the whole"
        raise BundleError(f"{where}: {errors[0].message[:200]}", remedy, file)


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def read_bundle(folder: str | os.PathLike[str]) -> tuple[Bundle, dict[str, torch.Tensor]]:
    """Read a bundle and check it.

    Parameters
    ----------
    folder : path-like
        With the three files (and steps.safetensors, where steps have tensors), none a link that leads out of it.

    Returns
    -------
    bundle : Bundle
    weights : dict of str to torch.Tensor
        As stored (float16, mostly), on the CPU; all finite.

    Raises
    ------
    BundleError
        A file is missing, a link out of the folder, damaged or not what the schema says; weights that are not finite;
        steps that are unknown, out of range or do not fit their tensors.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError("no such model bundle", "Give a shipped model's name or a bundle's folder.", folder)
    content = {name: _content(folder, name) for name in FILES}
    try:
        values = json.loads(content[MODEL].decode("utf-8"), parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"not valid JSON ({error})", REMEDY, folder / MODEL) from error
    _check(values, folder / MODEL)
    try:
        weights = load_tensors(content[WEIGHTS])
    except (SafetensorError, KeyError, ValueError) as error:
        raise BundleError(f"not a readable safetensors file ({error})", REMEDY, folder / WEIGHTS) from error
    for key, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BundleError(f"weights of {key} are not finite", REMEDY, folder / WEIGHTS)
    named = any(step.get("tensors") for step in values.get("steps", ()) if isinstance(step, dict))
    stored = _content(folder, STEPS) if named else b""
    try:
        arrays = load_arrays(stored) if named else {}
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BundleError(f"not a readable safetensors file ({error})", REMEDY, folder / STEPS) from error
    try:
        steps = steps_from_json(values.get("steps", []), arrays, values["crop"]["size"])
    except SettingsError as error:
        raise BundleError(error.cause, error.remedy, folder / MODEL) from error
    digest = hashlib.sha256(content[WEIGHTS] + content[MODEL] + stored).hexdigest()[:16]
    return Bundle.from_json(values, folder.resolve(), digest, steps), weights


def _content(folder: Path, name: str) -> bytes:
    file = folder / name
    if not file.is_file():
        raise BundleError(f"the bundle has no {name}", REMEDY, folder)
    if file.resolve().parent != folder.resolve():
        raise BundleError("the file is a link that leads out of the bundle", REMEDY, file)
    if file.stat().st_size > {MODEL: LARGEST_JSON, STEPS: LARGEST_STEPS}.get(name, math.inf):
        raise BundleError("the file is too large for what it should hold", REMEDY, file)
    try:
        return file.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror})", "Check the file's permissions.", file) from error


def check_bundle(folder: str | os.PathLike[str], bundle: Bundle) -> dict[str, Any]:
    """Make sure that a bundle can be written to a folder, and give its model.json: before hours of training, too.

    Raises
    ------
    BundleError
        The content does not pass the schema, or the folder holds something else or is a file.
    """
    folder = Path(folder)
    values: dict[str, Any] = json.loads(json.dumps(bundle.to_json()))
    _check(values, folder / MODEL, "Choose what the description of a model allows.")
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / MODEL).is_file())):
        raise BundleError("holds something that is no bundle", "Choose another folder.", folder)
    return values


def write_bundle(
    folder: str | os.PathLike[str], bundle: Bundle, weights: Mapping[str, torch.Tensor], card: str
) -> Path:
    """Write a bundle, whole or not at all.

    Parameters
    ----------
    folder : path-like
        Replaced if it holds a bundle; anything else there is refused.
    bundle : Bundle
    weights : mapping of str to torch.Tensor
        Floating tensors are stored as float16.
    card : str
        The text of README.md.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    BundleError
        The content does not pass the schema, weights are not finite in float16, or the folder holds something else.
    """
    folder = Path(folder)
    values = check_bundle(folder, bundle)
    arrays = steps_to_json(bundle.steps)[1]
    try:
        steps_from_json(values.get("steps", []), arrays, bundle.crop.size)
    except SettingsError as error:
        raise BundleError(error.cause, error.remedy, folder) from error
    half: dict[str, torch.Tensor] = {}
    for key, tensor in weights.items():
        stored = tensor.detach().cpu()
        half[key] = (stored.half() if stored.is_floating_point() else stored).contiguous()
        if half[key].is_floating_point() and not bool(torch.isfinite(half[key]).all()):
            raise BundleError(f"weights of {key} are not finite", "Train again with a lower learning rate.", folder)
    with whole_folder(folder) as fresh:
        (fresh / WEIGHTS).write_bytes(save_tensors(half))
        (fresh / MODEL).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        if arrays:
            (fresh / STEPS).write_bytes(save_arrays(arrays))
        (fresh / CARD).write_text(card, encoding="utf-8")
    return folder
