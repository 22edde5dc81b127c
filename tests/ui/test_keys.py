"""Keys that the user sets: those that are valid work at once, here and there; others are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leukoscope.classification.taxonomy import TAXONOMY, CellClass
from leukoscope.errors import SettingsError
from leukoscope.ui import session_of
from leukoscope.ui.commands import show_counts, show_gallery
from leukoscope.ui.keys import ALIKE_KEY, RESERVED, alike_key, checked_keys
from leukoscope.ui.settings import UserSettings, plugin_settings, remember


def test_without_a_choice_the_keys_are_the_taxonomys() -> None:
    assert checked_keys({}, TAXONOMY) == TAXONOMY.by_key()


def test_keys_can_be_exchanged_and_left_out() -> None:
    keys = checked_keys({"blast": "L", "lymphocyte": "b ", "smudge": ""}, TAXONOMY)
    assert keys["l"] == "blast"
    assert keys["b"] == "lymphocyte"
    assert "smudge" not in keys.values()


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"blast": "l"}, "Blast and Lymphocyte"),
        ({"blast": "3"}, "not a letter"),
        ({"blast": "é"}, "not a letter"),
        ({"blast": "bb"}, "not a letter"),
        ({"blast": "f"}, "Blast and More like this"),
        ({"more_like_this": "7"}, "More like this: not a letter"),
        *(({"blast": key.upper()}, why) for key, why in RESERVED.items()),
    ],
)
def test_keys_that_would_mislead_are_refused(chosen: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        checked_keys(chosen, TAXONOMY)


def test_a_laboratorys_own_class_keeps_its_key() -> None:
    own = TAXONOMY.with_classes([CellClass("hairy_cell", "Hairy cell", "#123456", "h")])
    assert checked_keys({"blast": "j"}, own)["h"] == "hairy_cell"


def test_a_laboratorys_class_goes_before_more_like_this() -> None:
    own = TAXONOMY.with_classes([CellClass("hairy_cell", "Hairy cell", "#123456", ALIKE_KEY)])
    assert alike_key(TAXONOMY) == ALIKE_KEY
    assert alike_key(own) == ""


def test_no_reserved_letter_is_a_key_of_the_taxonomy() -> None:
    assert not set(RESERVED) & set(TAXONOMY.by_key())


def test_a_key_changed_in_preferences_works_at_once(viewer: Any, case_dir: Path, notes: list[str]) -> None:
    keys = plugin_settings().keys
    session = session_of(viewer)
    session.open(case_dir)
    gallery, counts = show_gallery(viewer), show_counts(viewer)
    try:
        keys.blast = "j"
        assert gallery.grid.keys["j"] == "blast"
        assert gallery.chips.chips["blast"].key == "j"
        assert "J" in {str(combo) for combo in session.cells.keymap}
        assert "B" not in {str(combo) for combo in session.cells.keymap}
        assert next(row for row in counts.model.rows if row.label == "blast").key == "j"
        keys.blast = "l"
        assert "Blast and Lymphocyte" in notes[-1]
        assert gallery.grid.keys["b"] == "blast"
        keys.blast = "b"
        keys.more_like_this = "h"
        assert gallery.grid.alike_key == "h"
        assert gallery.more.text() == "More like this (H)"
        assert "H: more like this" in counts.keys.text()
        assert {"H", "B"} <= {str(combo) for combo in session.cells.keymap}
        keys.more_like_this = ""
        assert gallery.more.text() == "More like this"
    finally:
        keys.blast, keys.more_like_this = "b", "f"
    assert session.keys == TAXONOMY.by_key()


def test_what_the_user_left_is_there_again(viewer: Any) -> None:
    remember(thumbnail=140, sort="size", by_class=False)
    try:
        controls = show_gallery(viewer).controls
        assert controls.zoom.value() == 140
        assert controls.order == {"by": "size", "backward": False, "by_class": False}
    finally:
        own = UserSettings()
        remember(thumbnail=own.thumbnail, sort=own.sort, by_class=own.by_class)
