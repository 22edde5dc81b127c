"""What all tests share: the real data where it is at hand, and a renderer of smears where it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real, labelled images; skips where it is absent."""
    folder = Path(os.environ.get("LEUKOSCOPE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"real data not found at {folder} (set LEUKOSCOPE_DATA)")
    return folder
