"""What every step has: a name, a stage, parameters for JSON, tensors for safetensors, and whom it was fitted on."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from ..crops import check_image

__all__ = ["Crops", "FittedOn", "Image", "Mask", "Masks", "Pictures", "Stage", "Step", "groups_hash", "mask_of"]

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Stage = Literal["image", "crop", "vector"]


class Pictures(Protocol):
    """An array (n, h, w, ...), a list of arrays (h, w, ...), or what makes them when asked for an index or a slice."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...


Crops = Pictures
Masks = Pictures | None


def groups_hash(groups: Iterable[str]) -> str:
    """Hash a set of groups (patients, else fields), whatever their order and number of cells.

    Returns
    -------
    str
        64 hexadecimal digits of SHA-256.
    """
    return hashlib.sha256(json.dumps(sorted(set(groups))).encode()).hexdigest()


@dataclass(frozen=True)
class FittedOn:
    """Whom a step's parameters come from.

    Attributes
    ----------
    groups_sha256 : str
        `groups_hash` of the groups seen, so that a guard can tell them from those of the training split.
    groups, crops : int
        How many.
    """

    groups_sha256: str
    groups: int
    crops: int

    @classmethod
    def of(cls, crops: Crops, groups: Sequence[str]) -> FittedOn:
        """Record a fit; one group a crop.

        Raises
        ------
        SettingsError
            No crops, or not as many groups as crops.
        """
        if not len(crops):
            raise SettingsError("no crops to fit a step on", "Give the crops of the training split.")
        if len(groups) != len(crops):
            raise SettingsError(f"{len(groups)} groups for {len(crops)} crops", "Give the group of every crop.")
        return cls(groups_hash(groups), len(set(groups)), len(crops))

    def to_json(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Step(ABC):
    """A change of pixels that a model was trained with and therefore needs at inference.

    There is no place for labels in `fit`: no statistic can be one of a class. Outside the mask nothing changes.

    Attributes
    ----------
    name : str
        As in model.json.
    stage : str
        "image": on the picture as it came, before the cell is cut out. "crop": on the crop that the network sees.
        "vector": the crop becomes a vector, which no network for pictures takes.
    fitted : FittedOn or None
        None where nothing was fitted.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage] = "crop"
    fitted: FittedOn | None = None

    @classmethod
    def fit(cls, crops: Crops, masks: Masks, groups: Sequence[str]) -> Self:
        """Make the step from crops of the training split.

        Parameters
        ----------
        crops : uint8 array (n, h, w, 3), or a sequence of uint8 arrays (h, w, 3)
        masks : bool array (n, h, w), or a sequence of bool arrays (h, w), or None
        groups : sequence of str
            The patient, else the field, of each crop; kept as a hash.

        Raises
        ------
        SettingsError
            No crops, groups of another number, or too little to fit on.
        """
        FittedOn.of(crops, groups)
        return cls()

    @classmethod
    def load(cls, parameters: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], fitted: FittedOn | None) -> Self:
        """Make the step from what `parameters` and `tensors` gave; the schema has passed the parameters.

        Raises
        ------
        SettingsError
            Parameters that do not go together, or tensors that are not as they say.
        """
        if tensors:
            raise SettingsError(f"{cls.name} takes no tensor {min(tensors)}", "Remove it from the bundle.")
        return cls(**parameters, fitted=fitted)

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Give the parameters as plain JSON values."""

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Give what is too large for JSON."""
        return {}

    def check(self, size: int) -> None:  # noqa: B027 - most steps take any size
        """Refuse a size of crop, in pixels, that the step was not made for.

        Raises
        ------
        SettingsError
            With both sizes.
        """

    @abstractmethod
    def _one(self, image: Image, mask: Mask) -> Image:
        """Change one picture; the mask holds at least one pixel."""

    def __call__(self, image: Image, mask: Mask | None = None) -> Image:
        """Change one picture, or each of a batch alike.

        Parameters
        ----------
        image : uint8 array (h, w, 3) or (n, h, w, 3)
        mask : bool array (h, w) or (n, h, w), optional
            The cell; without, the whole picture.

        Returns
        -------
        uint8 array
            Of the same shape; outside the mask as it was.

        Raises
        ------
        SettingsError
            Not an 8-bit color image, or a mask of another shape.
        """
        if isinstance(image, np.ndarray) and image.ndim == 4:
            masks = [None] * len(image) if mask is None else mask
            if len(masks) != len(image):
                raise SettingsError(f"{len(masks)} masks for {len(image)} images", "Give each image one mask.")
            out = np.empty_like(image)
            for i, (one, its) in enumerate(zip(image, masks, strict=True)):
                out[i] = self(one, its)
            return out
        check_image(image, mask)
        if mask is None:
            return self._one(image, np.ones(image.shape[:2], bool))
        mask = mask.astype(bool, copy=False)
        return np.where(mask[..., None], self._one(image, mask), image) if mask.any() else image

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Step):
            return NotImplemented
        mine, theirs = self.tensors(), other.tensors()
        return (
            (self.parameters(), self.fitted) == (other.parameters(), other.fitted)
            and mine.keys() == theirs.keys()
            and all(np.array_equal(mine[key], theirs[key]) for key in mine)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.fitted))


def mask_of(masks: Masks, crops: Crops, i: int) -> Mask:
    """Give the i-th mask, the whole crop where there are none."""
    return np.ones(crops[i].shape[:2], bool) if masks is None else np.asarray(masks[i], bool)
