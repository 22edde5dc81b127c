"""napari's sample data: the bundled smear."""

from __future__ import annotations

from leukoscope.sample import sample_path
from leukoscope.slides import open_slide

from .layers import LayerData, slide_layer

__all__ = ["sample_smear"]


def sample_smear() -> list[LayerData]:
    """Open the synthetic smear that comes with Leukoscope.

    Raises
    ------
    SlideError
        If this installation came without it.
    """
    return [slide_layer(open_slide(sample_path()))]
