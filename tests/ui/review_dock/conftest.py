"""The Review dock, open on the case of the small smear."""

from __future__ import annotations

from typing import Any

import pytest

from leukoscope.ui.commands import show_review

from ..conftest import in_own_window


@pytest.fixture
def dock(viewer: Any, session: Any) -> Any:
    return in_own_window(show_review(viewer), 520, 860)
