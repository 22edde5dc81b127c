"""Principal components of the training crops: crops rebuilt from them, or their coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from .base import Crops, FittedOn, Image, Mask, Masks, Stage, Step

__all__ = ["PcaFeatures", "PcaReconstruct"]

BATCH: Final = 256  # crops at a time, where fewer components are asked for
COLUMNS: Final = 8192  # pixels at a time, summed in float64
NEGLIGIBLE: Final = 1e-12  # of the first component's variance: rounding, not a component

Floats = NDArray[np.float32]


def _empty() -> Floats:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class _Pca(Step):
    """What reconstruction and features share.

    Attributes
    ----------
    size : int
        Width and height of the crops.
    color : bool
        False: of the gray value (0.299 red, 0.587 green, 0.114 blue).
    stored : str
        "float16" or "float32": as which the components are kept. Rounded at once, so that a step gives the same
        before it is stored and after.
    components : float32 array (k, d)
        d = size² or 3·size²; orthonormal, largest variance first.
    center : float32 array (d,)
        The mean crop, 0..255.
    """

    size: int = 1
    color: bool = False
    stored: Literal["float16", "float32"] = "float16"
    components: Floats = field(default_factory=_empty, repr=False)
    center: Floats = field(default_factory=_empty, repr=False)

    def __post_init__(self) -> None:
        width = self.size**2 * (3 if self.color else 1)
        if self.components.ndim != 2 or self.components.shape[1] != width or not len(self.components):
            raise SettingsError(
                f"principal components are {self.components.shape}, not (k, {width})", "Fit the step again."
            )
        if self.center.shape != (width,):
            raise SettingsError(f"the mean crop is {self.center.shape}, not ({width},)", "Fit the step again.")

    @classmethod
    def fit(
        cls,
        crops: Crops,
        masks: Masks,
        groups: Sequence[str],
        *,
        components: int = 500,
        color: bool = False,
        stored: Literal["float16", "float32"] = "float16",
    ) -> Self:
        """Find the components in one pass over the crops, a batch at a time (Ross et al. 2008).

        Memory grows with the number of components, not of crops: at its peak about seven times the components in
        float32. `crops` may be a memory map. Masks are not looked at. Else as `Step.fit`.
        """
        fitted = FittedOn.of(crops, groups)
        size = crops[0].shape[0]
        if components < 1:
            raise SettingsError(f"{components} principal components", "Ask for at least one.")
        at_a_time = max(BATCH, components)
        center, basis, scale, seen = np.zeros(0, np.float32), _empty(), np.zeros(0), 0
        for start in range(0, len(crops), at_a_time):
            images = crops[start : start + at_a_time]
            if any(np.shape(image) != (size, size, 3) for image in images):
                raise SettingsError("crops of several sizes", "Give square crops of one size.")
            batch = _vectors(np.asarray(images), color)
            center, basis, scale, seen = _merge(center, basis, scale, seen, batch, components)
        if not len(basis):
            raise SettingsError("all training crops are alike: no principal component", "Give more crops.")
        return cls(fitted, size, color, stored, basis.astype(stored).astype(np.float32), center)

    @classmethod
    def load(cls, parameters: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], fitted: FittedOn | None) -> Self:
        """Make the step from what was stored; see `Step.load`."""
        if tensors.keys() != {"components", "center"}:
            raise SettingsError(
                f"{cls.name} has the tensors {sorted(tensors)}, not center and components", "Fit the step again."
            )
        found = str(tensors["components"].dtype), str(tensors["center"].dtype)
        if found != (parameters["stored"], "float32"):
            raise SettingsError(f"{cls.name} has components and center of {found}", "Fit the step again.")
        return cls(fitted, **parameters, components=tensors["components"].astype(np.float32), center=tensors["center"])

    def parameters(self) -> dict[str, Any]:
        """Give the parameters as plain JSON values."""
        return {"size": self.size, "color": self.color, "stored": self.stored}

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Give the components as they are stored, and the mean crop."""
        return {"components": self.components.astype(self.stored), "center": self.center}

    def check(self, size: int) -> None:
        """Refuse crops of another size; see `Step.check`."""
        if size != self.size:
            raise SettingsError(
                f"{self.name} was fitted on crops of {self.size} px, not {size}", "Fit it on crops of this size."
            )

    def features(self, images: Image) -> Floats:
        """Give the coordinates of crops.

        Parameters
        ----------
        images : uint8 array (h, w, 3) or (n, h, w, 3)

        Returns
        -------
        float32 array (k,) or (n, k)
        """
        self.check(images.shape[-2])
        vectors = _vectors(images if images.ndim == 4 else images[None], self.color)
        found = (vectors - self.center) @ self.components.T
        return np.asarray(found if images.ndim == 4 else found[0])

    def explained_variance(self, images: Image) -> float:
        """Give the share of the variance about the training mean that reconstruction keeps, on held-out crops.

        Parameters
        ----------
        images : uint8 array (n, h, w, 3)

        Returns
        -------
        float
            1 where nothing is lost.
        """
        lost = whole = 0.0
        for start in range(0, len(images), BATCH):
            apart = _vectors(images[start : start + BATCH], self.color) - self.center
            rest = apart - apart @ self.components.T @ self.components
            lost += float(np.sum(rest**2, dtype=np.float64))
            whole += float(np.sum(apart**2, dtype=np.float64))
        return 1 - lost / whole if whole else 1.0


@dataclass(frozen=True, eq=False)
class PcaReconstruct(_Pca):
    """Crops rebuilt from their principal components; gray where the components are."""

    name: ClassVar[str] = "pca_reconstruct"

    def _one(self, image: Image, mask: Mask) -> Image:
        vector = self.center + self.features(image) @ self.components
        pixels = np.clip(vector + 0.5, 0, 255).astype(np.uint8).reshape(self.size, self.size, -1)
        return np.ascontiguousarray(np.broadcast_to(pixels, (self.size, self.size, 3)))


@dataclass(frozen=True, eq=False)
class PcaFeatures(_Pca):
    """Crops as their principal coordinates, for classifiers of vectors: call `features`."""

    name: ClassVar[str] = "pca_features"
    stage: ClassVar[Stage] = "vector"

    def _one(self, image: Image, mask: Mask) -> Image:
        raise SettingsError("pca_features makes no picture", "Call its features(), or use pca_reconstruct.")


def _vectors(images: Image, color: bool) -> Floats:
    """Give crops as float32 rows (n, d)."""
    if color:
        return images.reshape(len(images), -1).astype(np.float32)
    gray = np.empty(images.shape[:3], np.float32)
    for i, image in enumerate(images):  # one by one: all in float32 at once would be three times what is asked for
        gray[i] = image @ np.array([0.299, 0.587, 0.114], np.float32)
    return gray.reshape(len(images), -1)


def _merge(
    center: Floats, basis: Floats, scale: NDArray[np.float64], seen: int, batch: Floats, most: int
) -> tuple[Floats, Floats, NDArray[np.float64], int]:
    """Update mean, components and singular values by a batch, which is overwritten.

    The stack of scaled old components, centered batch and the shift of the mean has the scatter matrix of all crops
    seen. Its right singular vectors come from the small matrix of its rows' products, summed in float64.
    """
    count = len(batch)
    mean = batch.mean(axis=0, dtype=np.float64)
    batch -= mean.astype(np.float32)
    stack = batch
    if seen:
        shift = np.sqrt(seen * count / (seen + count)) * (center - mean)
        stack = np.concatenate([basis, batch, shift[None].astype(np.float32)])
        stack[: len(basis)] *= scale[:, None].astype(np.float32)
    products = np.zeros((len(stack), len(stack)))
    for at in range(0, stack.shape[1], COLUMNS):
        part = stack[:, at : at + COLUMNS].astype(np.float64)
        products += part @ part.T
    values, vectors = np.linalg.eigh(products)
    order = np.argsort(values)[::-1][:most]
    order = order[values[order] > NEGLIGIBLE * max(float(values[-1]), 1e-30)]
    order = order[values[order] > 1e-6]
    scale = np.sqrt(values[order])
    basis = (vectors[:, order] / scale).T.astype(np.float32) @ stack
    # a component's sign is free: fixed, so that the same crops give the same components on every machine
    signs = np.sign(basis[np.arange(len(basis)), np.abs(basis).argmax(axis=1)])
    total = seen + count
    center = mean.astype(np.float32) if not seen else ((center * seen + mean * count) / total).astype(np.float32)
    return center, basis * signs[:, None].astype(np.float32), scale, total
