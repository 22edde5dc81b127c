"""`spike-edges`: the edge coder of the reference script, as an overlay. It learns nothing and segments nothing."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from .coding import gabor_kernel

__all__ = ["spike_edges"]

ANGLES = (67.5, 112.5, 157.5, 202.5)
BINS = 15


def spike_edges(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Show where the first spikes of a Gabor code fall: the strongest fifteenth of an image's edges.

    Four Gabor filters of 5 px, point-wise inhibition, 15 latency bins of equal count, the first bin kept and blurred
    over 9 px. The bins are the image's own, so by construction one fifteenth of whatever responds is marked, on an
    empty tile too: an illustration of rank-order coding, not a segmentation.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (Y, X, 3)

    Returns
    -------
    ndarray of float32, shape (Y, X)
        Edge density, 0..1.
    """
    gray = torch.from_numpy(rgb.astype(np.float32).mean(axis=2) / 255)[None, None]
    kernels = torch.stack([gabor_kernel(5, a) for a in ANGLES])[:, None].float()
    response = functional.conv2d(functional.pad(gray, (2, 2, 2, 2), mode="replicate"), kernels)[0].abs().numpy()
    winner = response == response.max(axis=0)
    response = np.where(winner & (response > 1e-6), response, 0)
    strong = np.sort(response[response > 0])[::-1]
    if not strong.size:
        return np.zeros(rgb.shape[:2], np.float32)
    first = (response >= strong[max(0, strong.size // BINS - 1)]).any(axis=0)
    blurred: NDArray[np.float32] = ndimage.gaussian_filter(first.astype(np.float32), 1.5, truncate=8 / 3)
    return blurred
