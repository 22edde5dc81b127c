"""Where a spiking network may fire at all: near what is stained as a nucleus is.

Nuclei take up azure dye, which absorbs green and red and hardly any blue; red cells absorb blue as they absorb green.
So two sums of optical densities over a square micrometer tell where a white cell may be, at a cost of next to nothing.
Every masked nucleus of the training groups passes with half of its stain (`tests/training/test_segment.py`).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

__all__ = ["BLOCK_UM", "GATE_REACH_UM", "gate_blocks"]

BLOCK_UM = 2
REACH = 4  # blocks: white cells reach no farther from the stain of their nucleus
GATE_REACH_UM = BLOCK_UM * (REACH + 1)
GREEN_OVER_BLUE = 13  # density in steps of 1/128, as means over 1 µm²
AZURE = 13


def gate_blocks(density: Tensor, mpp: float) -> Tensor:
    """Give the blocks of 2 µm in which neurons may fire.

    Parameters
    ----------
    density : Tensor of float32, shape (B, 3, Y, X)
        Optical density of red, green and blue in steps of 1/128, whole numbers; Y and X multiples of 2 µm.
    mpp : float
        µm per pixel, a whole part of 1.

    Returns
    -------
    Tensor of bool, shape (B, 1, Y·mpp/2, X·mpp/2)
    """
    side = round(1 / mpp)
    red, green, blue = (functional.avg_pool2d(density, side, divisor_override=1)).unbind(1)  # whole numbers
    stained = green - blue >= GREEN_OVER_BLUE * side**2
    azure = 10 * red + 5 * green - 6 * blue >= 10 * AZURE * side**2
    nuclear = (stained & azure).float()[:, None]
    blocks = functional.max_pool2d(nuclear, BLOCK_UM)
    near: Tensor = functional.max_pool2d(blocks, 2 * REACH + 1, 1, REACH)
    return near.bool()
