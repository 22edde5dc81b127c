"""How the probe shows finished crops to a network, and the same crops in another style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from leukoscope.classification import Classifier, read_bundle
from leukoscope.classification.networks import build
from leukoscope.classification.preprocess import Chain, Normalize, StainNormalize
from leukoscope.errors import SettingsError
from leukoscope.slides import read_picture

from .baselines import frozen_features
from .data.cache import Crops, load_crops
from .data.manifest import Manifest, find
from .transforms import Augmentation, augment, plain, stain_of_groups

__all__ = ["CHANGES", "crops_of", "eye", "frozen", "given_by_style", "pictures_of"]

Pictures = NDArray[np.uint8]
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.integer[Any]]

# The project's own changes of color, contrast, focus and grain, and none of size, place and outline. STILL draws the
# same random numbers: its crops are turned alike, so that a pair of crops differs in style alone.
STYLE: Final = Augmentation(scale=0, unscaled=0, shift=0, erode=0)
STILL: Final = replace(STYLE, density=0, offset=0, mix=0, blur=0, noise=0)
CHANGES: Final = 3  # of style, each cell
BATCH: Final = 128


def crops_of(model: Classifier, manifest: Manifest, roots: Sequence[Path], work: Path, chosen: Sequence[int]) -> Crops:
    """Give the crops of some rows as the model is trained on them, its stain normalization done where it has one."""
    step = next((step for step in model.bundle.steps if isinstance(step, StainNormalize)), None)
    read = lambda row: read_picture(find(row.image, roots))  # noqa: E731
    stains = None if step is None else stain_of_groups(step, manifest, read)
    crops = load_crops(manifest, roots, model.bundle.crop, work, stains=stains)
    return Crops(crops.pixels[chosen], crops.diameters[chosen])


def pictures_of(crops: Crops, size: int, chain: Chain | None = None) -> Pictures:
    """Give crops as the network sees them at inference, uint8 (n, size, size, 3)."""
    return np.concatenate([_rounded(plain(crop, size, chain)) for crop in _batches(crops.pixels)])


def _batches(values: NDArray[Any]) -> list[torch.Tensor]:
    return [torch.from_numpy(values[k : k + BATCH]) for k in range(0, len(values), BATCH)]


def _rounded(batch: torch.Tensor) -> Pictures:
    return (batch + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def frozen(pictures: Pictures) -> NDArray[np.float32]:
    """Give the frozen ImageNet features of pictures; all of each is shown, white around the cell as it is."""
    shown = np.concatenate([pictures, np.full_like(pictures[..., :1], 255)], axis=3)
    return frozen_features(Crops(shown, np.zeros(len(shown), np.float32)), range(len(shown)), pictures.shape[1])


def eye(model: Classifier) -> Callable[[Pictures], tuple[Floats, Ints]]:
    """Give what asks a model's network about finished pictures: embeddings (n, d), as `embed` has, and classes (n,).

    Raises
    ------
    SettingsError
        The model was not read from a folder.
    """
    bundle = model.bundle
    if bundle.folder is None:
        raise SettingsError("the model was not read from a folder", "Write it with write_bundle, then load it.")
    network: Any = build(bundle.architecture, len(bundle.classes), bundle.crop.size)
    network.load_state_dict(read_bundle(bundle.folder)[1])
    network.to(model.device).eval()
    normalize = Normalize(bundle.mean, bundle.std)

    def look(pictures: Pictures) -> tuple[Floats, Ints]:
        embeddings, classes = [], []
        for part in _batches(pictures):
            with torch.inference_mode():
                maps = network.forward_features(normalize(part.to(model.device).permute(0, 3, 1, 2).float()))
                embeddings.append(network.forward_head(maps, pre_logits=True).float().cpu().numpy())
                classes.append(network.forward_head(maps).argmax(dim=1).cpu().numpy())
        return np.concatenate(embeddings), np.concatenate(classes)

    return look


def given_by_style(
    methods: Sequence[Callable[[Pictures], Ints]], crops: Crops, size: int, seed: int, chain: Chain | None = None
) -> Ints:
    """Ask methods for the class of crops, as they are and in another style.

    Parameters
    ----------
    methods : sequence of callable
        Each takes pictures, uint8 (n, size, size, 3), and gives classes, int (n,).
    crops : Crops
    size : int
    seed : int
    chain : Chain, optional
        The model's steps.

    Returns
    -------
    int array (methods, changes, 2, n)
        Of each pair first the crop in its own style, then in another; both are turned and mirrored alike.
    """
    given = np.empty((len(methods), CHANGES, 2, len(crops.pixels)), np.int64)
    pixels, diameters = _batches(crops.pixels), _batches(crops.diameters)
    for change in range(CHANGES):
        for k, how in enumerate((STILL, STYLE)):
            generator = torch.Generator().manual_seed(seed * CHANGES + change)
            parts = zip(pixels, diameters, strict=True)
            pictures = np.concatenate([_rounded(augment(p, d, size, how, generator, chain)) for p, d in parts])
            given[:, change, k] = [method(pictures) for method in methods]
    return given
