"""Where the bundled sample smear is."""

from __future__ import annotations

from pathlib import Path

from leukoscope.errors import SlideError

__all__ = ["sample_path"]


def sample_path() -> Path:
    """Give the path of the bundled synthetic smear, a pyramidal OME-TIFF.

    Raises
    ------
    SlideError
        If this installation came without it.
    """
    package = Path(__file__).parent
    # in an installed wheel beside the code, in a source tree at the top
    for folder in (package / "sample_data", package.parents[1] / "sample_data"):
        for path in sorted(folder.glob("*.ome.tif*")):
            return path
    raise SlideError("the sample smear is missing", "Install leukoscope again, or run `make sample`.")
