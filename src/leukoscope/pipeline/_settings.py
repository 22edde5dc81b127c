"""The settings of one analysis: everything a block needs to know, in a form that travels and is kept."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """What an analysis was asked to do, resolved; picklable and JSON-able.

    Attributes
    ----------
    segmenter : str
        A name that `get_segmenter` takes.
    model : str or None
        A shipped name or a bundle's folder; None leaves every cell unidentified.
    device : str
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    profile : str
        Name of the counting profile.
    mpp : float
        µm per level-0 pixel.
    mpp_source : str
        Where `mpp` is from: "metadata", "red cells" or "given".
    block : int
        Side of a block, px of the working grid.
    calibration : str or None
        The segmenter's slide-wide calibration as JSON; None for a folder of fields, where each field has its own.
    version : str
        Fingerprints of slide and model. A process keeps both open between blocks, and must not take a file that was
        replaced, or a bundle that was trained anew in its folder, for the one it knows.
    """

    segmenter: str
    model: str | None
    device: str
    profile: str
    mpp: float
    mpp_source: str
    block: int
    calibration: str | None = None
    version: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give the settings as plain types, for the case."""
        return dataclasses.asdict(self)
