"""The steps there are, and how a bundle's model.json names them: nothing else can be loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import jsonschema
import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from .alhe import Alhe
from .base import FittedOn, Step
from .blur import GaussianBlur
from .chain import Chain
from .pca import PcaFeatures, PcaReconstruct
from .sharpen import AdaptiveSharpen
from .stain import StainNormalize

__all__ = ["STEPS", "steps_from_json", "steps_to_json"]

STEPS: Final[Mapping[str, type[Step]]] = {
    step.name: step for step in (GaussianBlur, PcaReconstruct, PcaFeatures, AdaptiveSharpen, Alhe, StainNormalize)
}
AGAIN: Final = "Use a bundle written by `leukotrain fit`, or fit the steps again."


@cache
def _schema() -> jsonschema.Draft202012Validator:
    text = files(__package__).joinpath("steps.schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def steps_to_json(steps: Sequence[Step]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Give the list for model.json, and the tensors to store beside it.

    Returns
    -------
    values : list of dict
        In order: name, parameters, tensors (their names), fitted.
    tensors : dict of str to array
        "0.components" is the first step's.
    """
    values: list[dict[str, Any]] = []
    tensors: dict[str, NDArray[Any]] = {}
    for i, step in enumerate(steps):
        its = step.tensors()
        tensors |= {f"{i}.{key}": np.ascontiguousarray(array) for key, array in its.items()}
        fitted = None if step.fitted is None else step.fitted.to_json()
        values.append({"name": step.name, "parameters": step.parameters(), "tensors": sorted(its), "fitted": fitted})
    return values, tensors


def steps_from_json(values: Any, tensors: Mapping[str, NDArray[Any]], size: int) -> tuple[Step, ...]:
    """Make steps from what `steps_to_json` gave.

    Parameters
    ----------
    values : JSON value
        Checked against the schema here.
    tensors : mapping of str to array
    size : int
        Of the bundle's crops, in pixels.

    Raises
    ------
    SettingsError
        An unknown step or parameter, a value out of range, tensors missing, left over, not finite or of another
        shape or type, or steps that do not go together.
    """
    errors = sorted(_schema().iter_errors(values), key=lambda e: list(map(str, e.absolute_path)))
    if errors:
        where = ".".join(["steps", *map(str, errors[0].absolute_path)])
        said = errors[0].message  # the value first, what is wrong with it last
        raise SettingsError(f"{where}: {said if len(said) < 200 else '…' + said[-160:]}", AGAIN)
    wanted = {f"{i}.{key}" for i, value in enumerate(values) for key in value["tensors"]}
    if wanted != tensors.keys():
        raise SettingsError(f"the steps' tensors do not fit them: first {min(wanted ^ tensors.keys())}", AGAIN)
    for key, array in tensors.items():
        if not np.isfinite(array).all():
            raise SettingsError(f"the steps' tensor {key} is not finite", AGAIN)
    steps = []
    for i, value in enumerate(values):
        its = {key: tensors[f"{i}.{key}"] for key in value["tensors"]}
        fitted = None if value["fitted"] is None else FittedOn(**value["fitted"])
        # JSON Schema takes 28.0 for an integer, array indexing does not
        parameters = {k: int(v) if k in ("size", "tile") else v for k, v in value["parameters"].items()}
        steps.append(STEPS[value["name"]].load(parameters, its, fitted))
    chain = Chain(tuple(steps))
    chain.check(size)
    return chain.steps
