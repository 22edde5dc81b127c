"""Cell images in, class probabilities out."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..errors import BundleError, SettingsError
from ..segmentation.base import check_mpp
from .bundle import Bundle
from .crops import check_image
from .device import resolve_device
from .gradcam import gradcam, onto_image
from .outline import outline
from .preprocess import Chain, Normalize
from .taxonomy import UNIDENTIFIED

__all__ = ["Classifier"]

BATCH: Final = {"cpu": 64, "mps": 256, "cuda": 512}

Images = Sequence[NDArray[np.uint8]]
Scale = float | Sequence[float | None] | NDArray[np.floating[Any]] | None


class Classifier:
    """A trained network with all that is needed to ask it about cells.

    Parameters
    ----------
    bundle : Bundle
    network : torch.nn.Module
        In evaluation mode; moved to the device.
    device : str
        See `resolve_device`.

    Attributes
    ----------
    classes : tuple of str
        In the order of the probabilities' columns.
    mpp : float
        µm per pixel of the crops that the network sees.
    size : int
        Their width and height in pixels.
    threshold : float
        Below this probability of the likeliest class a cell is "unidentified".
    bundle : Bundle
    fingerprint : str
        Changes when the weights, model.json or the steps' tensors change.
    chain : Chain
        The bundle's steps, for the slide at hand.
    """

    def __init__(self, bundle: Bundle, network: nn.Module, device: str = "auto") -> None:
        self.bundle = bundle
        self.classes = bundle.classes
        self.mpp = bundle.crop.mpp
        self.size = bundle.crop.size
        self.threshold = bundle.threshold
        self.fingerprint = bundle.fingerprint
        self.device = resolve_device(device)
        self._network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self._normalize = Normalize(bundle.mean, bundle.std)
        self.chain = Chain(bundle.steps)

    def __repr__(self) -> str:
        return f"Classifier({self.bundle.name!r}, {len(self.classes)} classes, device={str(self.device)!r})"

    def for_slide(self, pixels: NDArray[np.uint8]) -> Classifier:
        """Give the classifier for one slide: steps that depend on it, as stain normalization, look at it first.

        Parameters
        ----------
        pixels : uint8 array (..., 3)
            Of the slide: its overview, or a field with some glass.

        Returns
        -------
        Classifier
            With the same network; this one itself where no step depends on the slide. `chain.reasons` says why a
            step does nothing on this slide.
        """
        chain = self.chain.for_slide(pixels)
        if chain is self.chain:
            return self
        one = copy.copy(self)
        one.chain = chain
        return one

    def predict_proba(
        self,
        images: Images,
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
        mpp: Scale = None,
        batch_size: int | None = None,
    ) -> NDArray[np.float32]:
        """Give the probability of each class for each cell.

        Parameters
        ----------
        images : sequence of uint8 arrays (h, w, 3)
            One cell each, in the middle; sizes may differ.
        masks : sequence of bool arrays (h, w), optional
            The cells' outlines. Without: a cell on exactly black surroundings counts as cut out already, of any
            other image the cell in the middle is outlined first, by the default segmenter.
        mpp : float or sequence of float, optional
            µm per pixel of the images. Without: see `CropSpec.assumed_mpp`.
        batch_size : int, optional
            Cells at a time; the default suits the device, and is halved when memory runs out.

        Returns
        -------
        float32 array (n, classes)
            Rows sum to 1.

        Raises
        ------
        SettingsError
            Images or masks of the wrong kind, not as many masks or scales as images, a scale that is none.
        BundleError
            The network gives what is no number.
        """
        crops = self.crops(images, masks, mpp)

        def head(batch: torch.Tensor) -> torch.Tensor:
            return torch.softmax(self._network(batch).float() / self.bundle.temperature, dim=1)

        return self._run(head, crops, batch_size, len(self.classes))

    def embed(
        self,
        images: Images,
        masks: Sequence[NDArray[np.bool_] | None] | None = None,
        mpp: Scale = None,
        batch_size: int | None = None,
    ) -> NDArray[np.float32]:
        """Give what the network's last layer sees of each cell; parameters as in `predict_proba`.

        Returns
        -------
        float32 array (n, d)
            Cells that look alike lie close together.
        """
        network: Any = self._network

        def features(batch: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = network.forward_head(network.forward_features(batch), pre_logits=True)
            return out.float()

        return self._run(features, self.crops(images, masks, mpp), batch_size, int(network.head_hidden_size))

    def explain(
        self,
        image: NDArray[np.uint8],
        mask: NDArray[np.bool_] | None = None,
        mpp: float | None = None,
        label: str | None = None,
    ) -> NDArray[np.float32]:
        """Map where a cell speaks for a class, by Grad-CAM; see `gradcam` for what such a map is and is not.

        Parameters
        ----------
        image, mask, mpp
            One cell, as in `predict_proba`.
        label : str, optional
            One of `classes`; without, the likeliest.

        Returns
        -------
        float32 array (h, w)
            On the image's pixels, 0 to 1; 0 beyond what the network sees, and everywhere if nothing speaks for it.

        Raises
        ------
        SettingsError
            As `predict_proba`; a class that the model does not know; a network without a map of the image.
        """
        if label is not None and label not in self.classes:
            raise SettingsError(f"the model knows no class {label!r}", f"Choose one of {', '.join(self.classes)}.")
        if mask is None and self.bundle.crop.masked:
            check_image(image)
            mask = outline(image, mpp)
        crop = self.crops([image], [mask], mpp)
        batch = self._normalize(torch.from_numpy(crop).to(self.device).permute(0, 3, 1, 2).float())
        if label is None:
            with torch.inference_mode():
                target = int(self._network(batch)[0].argmax())
        else:
            target = self.classes.index(label)
        heat = gradcam(self._network, batch, target)
        return onto_image(heat, self.chain.on_image(image), mask, mpp, self.bundle.crop)

    def labels(self, proba: NDArray[np.floating[Any]]) -> list[str]:
        """Name the likeliest class of each row, "unidentified" below the threshold."""
        proba = np.asarray(proba)
        if proba.ndim != 2 or proba.shape[1] != len(self.classes):
            raise SettingsError(
                f"probabilities are {proba.shape}, not (n, {len(self.classes)})", "Give what predict_proba returned."
            )
        return [
            self.classes[best] if row[best] >= self.threshold else UNIDENTIFIED
            for row, best in zip(proba, proba.argmax(axis=1) if len(proba) else [], strict=True)
        ]

    def crops(
        self, images: Images, masks: Sequence[NDArray[np.bool_] | None] | None = None, mpp: Scale = None
    ) -> NDArray[np.uint8]:
        """Make the crops that the network sees, uint8 (n, size, size, 3); parameters as in `predict_proba`."""
        if isinstance(images, np.ndarray) and images.ndim != 4:
            raise SettingsError("one image was given", "Give a list of images, one per cell.")
        count = len(images)
        if masks is not None and len(masks) != count:
            raise SettingsError(f"{len(masks)} masks for {count} images", "Give each image one mask, or none at all.")
        scales = _scales(mpp, count)
        out = np.empty((count, self.size, self.size, 3), np.uint8)

        def one(i: int) -> None:
            mask = None if masks is None else masks[i]
            check_image(images[i], mask)
            if mask is None and self.bundle.crop.masked:
                mask = outline(images[i], scales[i])
            out[i] = self.chain.crop(images[i], mask, scales[i], self.bundle.crop)

        with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
            list(pool.map(one, range(count)))
        return out

    def _run(
        self,
        function: Callable[[torch.Tensor], torch.Tensor],
        crops: NDArray[np.uint8],
        batch_size: int | None,
        columns: int,
    ) -> NDArray[np.float32]:
        size = batch_size if batch_size is not None else BATCH.get(self.device.type, 64)
        if size < 1:
            raise SettingsError(f"a batch of {size} cells", "Give a positive batch size.")
        out = np.empty((len(crops), columns), np.float32)
        start = 0
        while start < len(crops):
            try:
                out[start : start + size] = self._batch(function, crops[start : start + size])
            except RuntimeError as error:  # torch.OutOfMemoryError is one; MPS raises the plain kind
                if size == 1 or "out of memory" not in str(error).lower():
                    raise
                size //= 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            start += size
        if not np.isfinite(out).all():
            cause = f"{self.bundle.name} gives what is no number"
            raise BundleError(cause, "Its weights, temperature or normalization are damaged.", self.bundle.folder)
        return out

    def _batch(self, function: Callable[[torch.Tensor], torch.Tensor], crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        mixed = torch.autocast("cuda", dtype=torch.float16, enabled=self.device.type == "cuda")
        steady = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True)
        with torch.inference_mode(), mixed, steady:
            # Pixels lie in memory as (y, x, channel): permuted, that is the channels-last format.
            batch = torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2).float()
            values: NDArray[np.float32] = function(self._normalize(batch)).float().cpu().numpy()
        return values


def _scales(mpp: Scale, count: int) -> list[float | None]:
    """Give the µm per pixel of each image."""
    given: list[Any] = [mpp] * count if np.ndim(mpp) == 0 else list(mpp)  # type: ignore[arg-type]
    if len(given) != count:
        raise SettingsError(f"{len(given)} scales for {count} images", "Give one µm/px, or one for each image.")
    return [None if value is None else check_mpp(value) for value in given]
