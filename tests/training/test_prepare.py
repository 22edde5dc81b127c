"""The manifest of the work folder follows the rules and the data; cells are cut again only where they must be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from leukoscope.errors import LeukoscopeError
from leukotrain import prepare as preparing
from leukotrain.cli._common import asked
from leukotrain.data import kept, sources
from leukotrain.data.manifest import Manifest, Row
from leukotrain.data.sources import MATURE, split_of

from .pictures import picture

DATA = """path,dataset,kind,label,group,mask,points,note
cnmc/a.png,cnmc,cell,blast,cnmc-1,,,
cnmc/b.png,cnmc,cell,normal,cnmc-H14,,,
pbc/LY_1.png,pbc,cell,LY,LY_1,,,
all_idb1/Im040_0.png,all_idb1,field,healthy,Im040,,all_idb1/Im040_0.csv,
bccd/B1.png,bccd,field,,B1,,bccd/B1.csv,
"""
OLDER = "|".join(name for name in sources.CLASSES if name != "blast")  # what a healthy cell was up to version 3


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("cnmc/a", "cnmc/b", "pbc/LY_1", "all_idb1/Im040_0", "bccd/B1"):
        picture(folder / f"{name}.png")
    for name in ("all_idb1/Im040_0", "bccd/B1"):
        (folder / f"{name}.csv").write_text("x,y,label\n")
    (folder / "manifest.csv").write_text(DATA)
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture(autouse=True)
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for what takes minutes; give the list of what was done."""
    done: list[str] = []

    def cutting(folder: str, source: str, group: str):
        def cut(data: Path, work: Path) -> list[Row]:
            done.append(source)
            rows = []
            for label in ("smudge", MATURE):
                name = f"{folder}/{group}-{label[:6]}"
                for end in ("", "-mask"):
                    picture(work / f"{name}{end}.png")
                # More digits than a manifest has: the list must not depend on who reads it first.
                rows.append(Row(f"{name}.png", f"{name}-mask.png", label, group, source, 1 / 7, split_of(group)))
            return rows

        return cut

    def outline(image):
        done.append("pbc")
        return image[..., 0] > 100

    monkeypatch.setattr(preparing, "field_rows", cutting("fields", "all_idb1", "Im040"))
    monkeypatch.setattr(preparing, "negative_rows", cutting("bccd", "bccd", "B1"))
    monkeypatch.setattr(sources, "outline", outline)
    monkeypatch.setattr(sources, "classical", lambda image: (outline(image),))
    return done


def test_cells_are_cut_once_and_every_run_gives_the_same_manifest(data, work, done):
    first = preparing.prepare(data, work)
    assert done == ["pbc", "all_idb1", "bccd"]
    assert [row.label for row in first] == ["blast", "lymphocyte", "lymphocyte", "smudge", MATURE, "smudge", MATURE]
    written = (work / "manifest.csv").stat().st_mtime_ns
    lines: list[str] = []
    again = preparing.prepare(data, work, lines.append)
    assert again.rows[3:] == first.rows[3:]
    assert {row.mpp for row in again.rows[3:]} == {0.142857}
    assert done == ["pbc", "all_idb1", "bccd"]
    assert lines == []
    assert (work / "manifest.csv").stat().st_mtime_ns == written
    assert not list(work.rglob("*.partial"))


def test_other_rules_of_labels_and_splits_cut_nothing(data, work, done, monkeypatch):
    preparing.prepare(data, work)
    done.clear()
    monkeypatch.setattr(kept, "MATURE", "lymphocyte|monocyte")
    monkeypatch.setattr(kept, "split_of", lambda group: "val")
    monkeypatch.setitem(sources.CNMC, "normal", "lymphocyte|monocyte")
    lines: list[str] = []
    found = preparing.prepare(data, work, lines.append)
    assert done == []
    assert [row.label for row in found if row.source == "all_idb1"] == ["smudge", "lymphocyte|monocyte"]
    assert {row.split for row in found if row.source == "bccd"} == {"val"}
    assert found.rows[1].label == "lymphocyte|monocyte"
    assert len(lines) == 1
    assert "manifest-before.csv" in lines[0]
    assert MATURE in (work / "manifest-before.csv").read_text()
    assert preparing.prepare(data, work).sha256 == found.sha256


def test_the_cells_of_an_older_version_are_taken_over_with_the_labels_of_now(data, work, done):
    expected = preparing.prepare(data, work)
    for file in work.rglob("cells.json"):
        file.unlink()
    (work / "pbc-masks" / "made-from.txt").unlink()
    Manifest([replace(r, label=OLDER) if r.label == MATURE else r for r in expected]).write(work / "manifest.csv")
    (work / "crops-bccd-1.npz").touch()
    done.clear()
    assert preparing.prepare(data, work).sha256 == expected.sha256
    assert done == []
    assert (work / "crops-bccd-1.npz").exists()
    assert (work / "fields" / "cells.json").is_file()


def test_the_cells_of_a_version_before_smudges_were_marked_are_cut_anew(data, work, done):
    before = preparing.prepare(data, work)
    for file in work.rglob("cells.json"):
        file.unlink()
    Manifest([row for row in before if row.label != "smudge"]).write(work / "manifest.csv")
    done.clear()
    assert preparing.prepare(data, work).sha256 == before.sha256
    assert done == ["all_idb1", "bccd"]


def _point(data: Path, work: Path) -> None:
    (data / "all_idb1/Im040_0.csv").write_text("x,y,label\n3,4,blast\n")


def _picture(data: Path, work: Path) -> None:
    picture(data / "all_idb1/Im040_0.png", 64, 64)


def _label(data: Path, work: Path) -> None:
    (data / "manifest.csv").write_text(DATA.replace("healthy", "all"))


def _file_gone(data: Path, work: Path) -> None:
    (work / "fields/Im040-smudge-mask.png").unlink()


def _damaged(data: Path, work: Path) -> None:
    (work / "fields/cells.json").write_text('{"made_from": "x", "cells": [1]}')


@pytest.mark.parametrize("change", [_point, _picture, _label, _file_gone, _damaged])
def test_what_changed_is_cut_anew_with_its_crops_and_nothing_else(data, work, done, change):
    preparing.prepare(data, work)
    done.clear()
    for name in ("all_idb1", "bccd", "pbc"):
        (work / f"crops-{name}-0.npz").touch()
    change(data, work)
    preparing.prepare(data, work)
    assert done == ["all_idb1"]
    assert sorted(file.name for file in work.glob("crops-*")) == ["crops-bccd-0.npz", "crops-pbc-0.npz"]


def test_another_segmenter_outlines_all_anew(data, work, done, monkeypatch):
    preparing.prepare(data, work)
    done.clear()
    monkeypatch.setattr(kept, "_segmenter", lambda: "another")
    preparing.prepare(data, work)
    assert done == ["pbc", "all_idb1", "bccd"]


@pytest.mark.parametrize("text", ["", "nonsense", "image,mask\n1,2\n"])
def test_a_manifest_that_cannot_be_read_is_put_aside(data, work, text):
    work.mkdir()
    (work / "manifest.csv").write_text(text)
    assert len(preparing.prepare(data, work)) == 7
    assert (work / "manifest-before.csv").read_text() == text


def test_ones_own_manifest_is_never_touched(data, work, tmp_path):
    found = preparing.prepare(data, work)
    own = tmp_path / "own" / "manifest.csv"
    own.parent.mkdir()
    Manifest([replace(row, label="monocyte") if row.label == MATURE else row for row in found]).write(own)
    text = own.read_text()
    cells, _ = asked(data, work, own, [work, data])
    assert {row.label for row in cells} == {"blast", "lymphocyte", "smudge", "monocyte"}
    preparing.prepare(data, work)
    assert own.read_text() == text
    assert sorted(p.name for p in own.parent.iterdir()) == ["manifest.csv"]


@pytest.mark.parametrize(
    ("text", "words"), [(None, "no data set here"), ("a,b\n1,2\n", "has no column"), ("\xff", "has no column")]
)
def test_a_folder_without_data_sets_is_refused_and_nothing_is_written(data, work, text, words):
    file = data / "manifest.csv"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(LeukoscopeError, match=words):
        preparing.prepare(data, work)
    assert not work.exists()
