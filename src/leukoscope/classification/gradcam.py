"""Where in a cell a network sees a class: Grad-CAM, for every network that a bundle can name."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own custom
from numpy.typing import NDArray
from torch import nn

from ..errors import SettingsError
from .crops import CropSpec, resolve_mask, resolve_scale, window
from .networks.cnn import CNN, CNNRNN
from .networks.resnet31 import ResNet31
from .networks.sized import Sized
from .networks.wpat import WPAT

__all__ = ["gradcam", "onto_image"]

Heat = NDArray[np.float32]


def gradcam(network: nn.Module, batch: torch.Tensor, target: int) -> Heat:
    """Map where a crop speaks for a class.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode, as `networks.build` makes it.
    batch : float tensor (1, 3, size, size)
        One crop, normalized for the network.
    target : int
        The class, as its place among the outputs.

    Returns
    -------
    float32 array (size, size)
        0 to 1, the highest place 1; 0 everywhere when no place speaks for the class.

    Raises
    ------
    SettingsError
        The network has no map of the image to look at.

    Notes
    -----
    Each channel of the last map is weighed by the mean gradient of the class's logit, the weighed channels are
    added, what is negative is cut off, and the rest is scaled up to the crop [1]_. Such a map is coarse: of a crop of
    112 px, EfficientNet's last map has 4 by 4 places. Of vision transformers the map is that of the patches where
    they enter the last block: behind it, only the class token is read. Of WPAT it is the sum over the tokens of its
    three stages; what its second encoder adds is not shown, nor is what CNN-RNN's recurrent branch adds.

    References
    ----------
    .. [1] Selvaraju et al. 2017, Grad-CAM: visual explanations from deep networks via gradient-based localization.
    """
    model: Any = network
    seen: list[torch.Tensor] = []
    thread = threading.get_ident()

    def listen(_module: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        if threading.get_ident() == thread:  # an analysis may be asking the same network at this moment
            seen.append(output)

    taps = _taps(model)
    handles = [tap.register_forward_hook(listen) for tap in taps]
    try:
        with torch.enable_grad():
            features = model.forward_features(batch.detach().clone().requires_grad_())
            maps = seen if taps else [features]
            gradients = torch.autograd.grad(model.forward_head(features)[0, target], maps)
    finally:
        for handle in handles:
            handle.remove()
    size = batch.shape[-1]
    heat = torch.zeros((size, size), device=batch.device)
    for values, slopes in zip(maps, gradients, strict=True):
        a, g = (_as_map(model, t.detach()[0].float()) for t in (values, slopes))
        place = torch.relu((g.mean((1, 2), keepdim=True) * a).sum(0))
        heat += F.interpolate(place[None, None], (size, size), mode="bilinear", align_corners=False)[0, 0]
    top = float(heat.max())
    found: Heat = (heat / top if top > 0 and math.isfinite(top) else torch.zeros_like(heat)).cpu().numpy()
    return found


def _taps(network: Any) -> list[nn.Module]:
    """Give the modules whose outputs are the maps; none where that is what `forward_features` gives."""
    if isinstance(network, CNN | CNNRNN):
        return [network.convs]
    if isinstance(network, ResNet31):
        return [network.blocks]
    if isinstance(network, WPAT):
        return list(network.stages)
    blocks = getattr(network, "blocks", None)
    transformer = hasattr(network, "patch_embed") and hasattr(network, "num_prefix_tokens")
    if transformer and isinstance(blocks, nn.Sequential | nn.ModuleList) and hasattr(blocks[-1], "norm1"):
        last: Any = blocks[-1]
        return [last.norm1]
    return []


def _as_map(network: Any, values: torch.Tensor) -> torch.Tensor:
    """Turn (c, h, w), (h, w, c) or tokens (n, c) of one crop into (c, h, w)."""
    if isinstance(network, Sized):
        values = values[:-2]  # the cell's size is everywhere alike: it speaks for no place
    if values.ndim == 3:
        # timm's Swin and its like keep channels last, and say so
        return values.permute(2, 0, 1) if str(getattr(network, "output_fmt", "NCHW")).endswith("NHWC") else values
    if values.ndim == 2:
        for skipped in (int(getattr(network, "num_prefix_tokens", 0)), 0):  # some add the class token further on
            tokens = values[skipped:]
            grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
            rows, columns = grid if grid and math.prod(grid) == len(tokens) else (math.isqrt(len(tokens)),) * 2
            if len(tokens) and rows * columns == len(tokens):
                return tokens.T.reshape(-1, rows, columns)
    raise SettingsError(
        f"{type(network).__name__} keeps no map of the image that could be shown",
        "Choose a convolutional network, a vision transformer, or one of docs/networks.md.",
    )


def onto_image(
    heat: Heat, image: NDArray[np.uint8], mask: NDArray[np.bool_] | None, mpp: float | None, spec: CropSpec
) -> Heat:
    """Lay a map of a crop back onto the picture that the crop was cut from.

    Parameters
    ----------
    heat : float32 array (size, size)
    image, mask, mpp, spec
        As they were given to `crops.standardize`.

    Returns
    -------
    float32 array (h, w)
        Of the image's pixels; 0 where the crop does not reach.
    """
    mask = resolve_mask(image, mask, spec)
    top, left, step = window(mask, resolve_scale(image, mask, mpp, spec), spec.size, spec.mpp)
    height, width = image.shape[:2]
    y = (torch.arange(height, dtype=torch.float64) + 0.5 - top) / (spec.size * step)  # 0 to 1 over the crop
    x = (torch.arange(width, dtype=torch.float64) + 0.5 - left) / (spec.size * step)
    grid = torch.stack(torch.meshgrid(y * 2 - 1, x * 2 - 1, indexing="ij")[::-1], dim=-1).float()
    values = torch.from_numpy(np.ascontiguousarray(heat, np.float32))[None, None]
    laid = F.grid_sample(values, grid[None], mode="bilinear", padding_mode="border", align_corners=False)[0, 0]
    reached = ((y >= 0) & (y <= 1))[:, None] & ((x >= 0) & (x <= 1))[None]
    found: Heat = torch.where(reached, laid, torch.zeros_like(laid)).numpy()
    return found
