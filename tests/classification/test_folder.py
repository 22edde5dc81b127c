"""A folder that is written whole or not at all, and what killed writers leave behind."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from leukoscope.classification._folder import whole_folder


def write(folder: Path, text: str) -> None:
    with whole_folder(folder) as fresh:
        (fresh / "model.json").write_text(text)


def test_a_new_folder_takes_the_place_of_the_old_one_when_it_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "m", "old")
    with pytest.raises(TypeError):
        write(tmp_path / "m", 0)  # type: ignore[arg-type]  # it fails in the middle
    assert (tmp_path / "m" / "model.json").read_text() == "old"
    write(tmp_path / "m", "new")
    assert (tmp_path / "m" / "model.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_what_a_killed_writer_left_is_swept_by_the_next_but_nobody_elses(tmp_path: Path) -> None:
    days_ago = time.time() - 3 * 86400
    for name in (".m-abcd1234", ".m-abcd_234-before", ".m-2-abcd1234", ".m-notes", "m-abcd1234"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text("")
        os.utime(tmp_path / name, (days_ago, days_ago))
    (tmp_path / ".m-young123").mkdir()
    write(tmp_path / "m", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"m", ".m-2-abcd1234", ".m-notes", "m-abcd1234", ".m-young123"}
