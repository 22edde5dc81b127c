"""The Review dock opens without a case, and lets go of one when it is closed."""

from __future__ import annotations

from typing import Any

from leukoscope.ui.commands import show_review

from ..conftest import close_for_good


def test_it_opens_without_a_case(viewer: Any) -> None:
    dock = show_review(viewer)
    for tab in dock.all:
        dock.show_tab(tab)
        tab.compute()
    assert not dock.sample.draw_button.isEnabled()


def test_a_dock_that_is_closed_no_longer_listens(viewer: Any, session: Any, qapp: Any) -> None:
    dock = show_review(viewer)
    assert dock._on_change in session.logged
    close_for_good(viewer, dock, qapp)
    assert dock._on_change not in session.logged
    session.relabel([1], "blast")
    viewer.layers.remove(session.overlay)
