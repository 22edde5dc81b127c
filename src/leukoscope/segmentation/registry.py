"""Segmenters by name; each is imported when it is asked for."""

from __future__ import annotations

from ..errors import SettingsError
from .base import Segmenter

__all__ = ["get_segmenter", "segmenter_names"]

NAMES = ("spike", "spike-snn", "spike-rstdp", "watershed")


def segmenter_names() -> tuple[str, ...]:
    """Give the names of the segmenters that ship, the default one first."""
    return NAMES


def get_segmenter(name: str = "spike", device: str = "auto") -> Segmenter:
    """Give a segmenter by its name.

    Parameters
    ----------
    name : str
        One of `segmenter_names()`, or "sam:" and the path of a Segment Anything checkpoint, such as
        "sam:weights/sam_vit_b.pth".
    device : str
        "auto", "cpu", "cuda" or "mps"; for those that run a network.

    Returns
    -------
    Segmenter

    Raises
    ------
    SettingsError
        When there is no such segmenter, or its package or checkpoint is missing.
    """
    if name == "watershed":
        from .watershed import WatershedSegmenter

        return WatershedSegmenter()
    if name in ("spike", "spike-snn", "spike-rstdp"):
        from .spike import SpikeSegmenter

        return SpikeSegmenter(name.partition("-")[2] or None, device=device)
    if name == "spike-edges":
        raise SettingsError(
            "spike-edges is an overlay of edges, no segmenter", "See leukoscope.segmentation.spike_edges."
        )
    if name == "sam" or name.startswith("sam:"):
        from .sam import SamSegmenter

        return SamSegmenter(name.partition(":")[2], device=device)
    raise SettingsError(
        f"there is no segmenter {name!r}", f"Choose one of {', '.join(NAMES)}, or sam:CHECKPOINT with a local file."
    )
