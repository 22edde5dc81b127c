from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain.data import importers
from leukotrain.data.importers import (
    all_idb1,
    all_idb2,
    cnmc,
    draw_outlines,
    folders,
    pbc,
    raabin,
)
from leukotrain.data.manifest import Manifest
from leukotrain.data.sources import MATURE
from leukotrain.data.split import is_held_out
from leukotrain.data.splits import holdout

from .pictures import picture, read

NEUTROPHIL = "neutrophil_band|neutrophil_segmented"


def test_every_importer_has_rows():
    for name in importers.IMPORTERS:
        module = __import__(f"leukotrain.data.importers.{name}", fromlist=["rows"])
        assert callable(module.rows)


# C-NMC, PBC


def test_cnmc_tells_patient_and_label_from_the_name(tmp_path):
    picture(tmp_path / "fold_0/all/UID_11_2_3_all.bmp")
    picture(tmp_path / "fold_1/all/UID_11_9_1_all.bmp")
    picture(tmp_path / "fold_0/hem/UID_H14_1_1_hem.bmp")
    found = {row.image: (row.label, row.group) for row in cnmc.rows(tmp_path)}
    assert found == {
        "fold_0/all/UID_11_2_3_all.bmp": ("blast", "cnmc-11"),
        "fold_1/all/UID_11_9_1_all.bmp": ("blast", "cnmc-11"),
        "fold_0/hem/UID_H14_1_1_hem.bmp": ("lymphocyte", "cnmc-H14"),
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("1.bmp", "no patient"),
        ("UID_H5_1_1_all.bmp", "contradicts"),
        ("UID_5_1_1_hem.bmp", "contradicts"),
        ("hem/UID_5_1_1_all.bmp", "contradicts"),
    ],
)
def test_a_name_of_cnmc_that_says_no_patient_or_contradicts_itself_is_refused(tmp_path, name, words):
    picture(tmp_path / name)
    with pytest.raises(LeukoscopeError, match=words) as caught:
        cnmc.rows(tmp_path)
    assert Path(name).name in str(caught.value)


def test_the_shared_cnmc_is_read_as_its_manifest_lists_it(shared_data):
    with (shared_data / "manifest.csv").open(newline="") as stream:
        listed = {r["path"]: r for r in csv.DictReader(stream) if r["dataset"] == "cnmc"}
    rows = cnmc.rows(shared_data / "cnmc")
    assert {f"cnmc/{row.image}": row.group for row in rows} == {path: r["group"] for path, r in listed.items()}
    assert all(
        row.label == cnmc.LABELS[{"blast": "all", "normal": "hem"}[listed[f"cnmc/{row.image}"]["label"]]]
        for row in rows
    )
    assert all((row.split == "test") == is_held_out(row.group) for row in rows)
    Manifest(rows)


def test_pbc_tells_the_class_from_the_name(tmp_path):
    for name in ("basophil/BA_1.jpg", "neutrophil/NEUTROPHIL_2.jpg", "platelet/PLATELET_3.jpg"):
        picture(tmp_path / name)
    rows = pbc.rows(tmp_path)
    assert [(r.label, r.group) for r in rows] == [
        ("basophil", "BA_1"),
        (NEUTROPHIL, "NEUTROPHIL_2"),
        ("artefact", "PLATELET_3"),
    ]
    picture(tmp_path / "XX_1.jpg")
    with pytest.raises(SettingsError, match="'XX'"):
        pbc.rows(tmp_path)


def test_the_shared_pbc_is_read_as_its_manifest_lists_it(shared_data):
    with (shared_data / "manifest.csv").open(newline="") as stream:
        listed = {r["path"]: r for r in csv.DictReader(stream) if r["dataset"] == "pbc"}
    rows = pbc.rows(shared_data / "pbc")
    assert {f"pbc/{r.image}": (r.group, r.label) for r in rows} == {
        path: (r["group"], pbc.LABELS[r["label"]]) for path, r in listed.items()
    }


# Folder per class, Raabin

MAPPING = {"Blasts": "blast", "Neutro": "neutrophil", "Junk": ""}


def test_a_folder_per_class_with_a_folder_per_patient(tmp_path):
    for name in ("Blasts/p1/a.png", "Blasts/p2/a.png", "Neutro/p1/b.png", "Junk/p3/c.png"):
        picture(tmp_path / name)
    rows = folders.rows(tmp_path, "mine", MAPPING, group="folder", mpp=0.1)
    assert [(r.image, r.label, r.group, r.mpp) for r in rows] == [
        ("Blasts/p1/a.png", "blast", "mine-p1", 0.1),
        ("Blasts/p2/a.png", "blast", "mine-p2", 0.1),
        ("Neutro/p1/b.png", NEUTROPHIL, "mine-p1", 0.1),
    ]


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        (r"/(p\d+)_", ["mine-p1", "mine-p1"]),
        ("image", ["mine-Blasts/p1_a", "mine-Blasts/p1_b"]),
        ("source", ["mine", "mine"]),
    ],
)
def test_the_caller_says_how_groups_are_told(tmp_path, group, expected):
    picture(tmp_path / "Blasts/p1_a.png")
    picture(tmp_path / "Blasts/p1_b.png")
    assert [r.group for r in folders.rows(tmp_path, "mine", MAPPING, group)] == expected


@pytest.mark.parametrize(
    ("files", "group", "words"),
    [
        (["Blasts/a.png"], "folder", "no patient"),
        (["a.png"], "image", "beside the classes"),
        (["Blasts/a.png"], r"(p\d+)", "finds no group in Blasts/a.png"),
        (["Blasts/a.png"], "patient", "no bracket"),
        (["Blasts/a.png"], "(", "no regular expression"),
        (["Blasts/a.png", "Odd/a.png", "Other/a.png"], "image", "'Odd', 'Other'"),
        ([], "image", "no pictures"),
    ],
)
def test_nothing_is_guessed_about_a_tree(tmp_path, files, group, words):
    for name in files:
        picture(tmp_path / name)
    with pytest.raises(LeukoscopeError, match=words):
        folders.rows(tmp_path, "mine", MAPPING, group)


def test_a_mapping_to_no_class_is_refused(tmp_path):
    picture(tmp_path / "Blasts/a.png")
    with pytest.raises(SettingsError, match="unicorn"):
        folders.rows(tmp_path, "mine", {"Blasts": "blast|unicorn"}, "image")


def test_raabin_by_its_published_layout(tmp_path):
    for name in ("Train/Neutrophil/s1_1.jpg", "TestA/Basophil/s2_1.jpg", "TestB/Monocyte/s1_1.jpg"):
        picture(tmp_path / name)
    rows = raabin.rows(tmp_path, group=r"/(s\d+)_")
    assert [(r.image, r.label, r.group, r.source, r.split) for r in rows] == [
        ("Train/Neutrophil/s1_1.jpg", NEUTROPHIL, "raabin-s1", "raabin", "train"),
        ("TestA/Basophil/s2_1.jpg", "basophil", "raabin-s2", "raabin", "test"),
        ("TestB/Monocyte/s1_1.jpg", "monocyte", "raabin-b-s1", "raabin-b", "test"),
    ]
    Manifest(rows)
    with pytest.raises(LeukoscopeError, match="TestA"):
        raabin.rows(tmp_path / "Train", group="image")


def test_outlines_are_drawn_for_cells_without_and_kept(tmp_path):
    pixels = np.full((60, 60, 3), 235, np.uint8)
    y, x = np.ogrid[:60, :60]
    pixels[(y - 30) ** 2 + (x - 30) ** 2 < 18**2] = (120, 60, 150)
    (tmp_path / "d/Blasts").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "d/Blasts/a.png")
    rows = folders.rows(tmp_path / "d", "mine", MAPPING, "image", 0.5)
    seen = []
    drawn = draw_outlines(rows, tmp_path / "d", tmp_path / "w", lambda *at: seen.append(at))
    assert seen == [(1, 1)]
    mask = read(tmp_path / "w" / drawn[0].mask) > 0
    assert mask[30, 30]
    assert not mask[2, 2]
    before = (tmp_path / "w" / drawn[0].mask).stat().st_mtime_ns
    assert draw_outlines(rows, tmp_path / "d", tmp_path / "w") == drawn
    assert (tmp_path / "w" / drawn[0].mask).stat().st_mtime_ns == before
    Image.fromarray(pixels[:50]).save(tmp_path / "d/Blasts/a.png")
    os.utime(tmp_path / "d/Blasts/a.png", ns=(before + 10**9, before + 10**9))
    draw_outlines(rows, tmp_path / "d", tmp_path / "w")
    assert len(read(tmp_path / "w" / drawn[0].mask)) == 50


# ALL-IDB


def test_all_idb1_as_published_is_read_like_the_shared_one(tmp_path, monkeypatch):
    picture(tmp_path / "p/im/Im001_1.jpg")
    picture(tmp_path / "p/im/Im040_0.jpg")
    (tmp_path / "p/xyc").mkdir()
    (tmp_path / "p/xyc/Im001_1.xyc").write_text("12\t7\n20 9\n\n")
    (tmp_path / "p/xyc/Im040_0.xyc").write_text("")
    seen = []

    def field_rows(data, work, segmenter):
        from leukotrain.data.sources import fields

        for image, points, kind, group in fields(data, "all_idb1"):
            with points.open(newline="") as stream:
                seen.append((image.name, kind, group, [tuple(p.values()) for p in csv.DictReader(stream)], segmenter))
        return []

    monkeypatch.setattr(all_idb1, "field_rows", field_rows)
    done = []
    all_idb1.rows(tmp_path / "p", tmp_path / "w", "watershed", lambda *at: done.append(at))
    assert seen == [
        ("Im001_1.jpg", "all", "Im001", [("12.0", "7.0", "blast"), ("20.0", "9.0", "blast")], "watershed"),
        ("Im040_0.jpg", "healthy", "Im040", [], "watershed"),
    ]
    assert done == [(1, 2), (2, 2)]
    (tmp_path / "p/xyc/Im040_0.xyc").unlink()
    with pytest.raises(LeukoscopeError, match="Im040_0"):
        all_idb1.rows(tmp_path / "p", tmp_path / "w")


def test_blasts_of_a_real_field_are_cut_from_either_layout(tmp_path, shared_data):
    name = "Im002_1"
    points = (shared_data / "all_idb1" / f"{name}.csv").read_text().splitlines()[1:]
    for layout in ("shared", "im"):
        (tmp_path / layout).mkdir()
        shutil.copy(shared_data / "all_idb1" / f"{name}.jpg", tmp_path / layout)
    shutil.copy(shared_data / "all_idb1" / f"{name}.csv", tmp_path / "shared")
    (tmp_path / "xyc").mkdir()
    blasts = [p.split(",")[:2] for p in points if p.endswith("blast")]
    (tmp_path / "xyc" / f"{name}.xyc").write_text("".join(f"{x} {y}\n" for x, y in blasts))
    first, second = (
        [r for r in all_idb1.rows(tmp_path / layout, tmp_path / f"w-{layout}", "watershed") if r.label == "blast"]
        for layout in ("shared", "im")
    )
    assert first
    assert first == second
    assert {r.group for r in first} == {"Im002"}


def test_crops_of_all_idb2_belong_to_their_fields_or_are_one_group(tmp_path):
    picture(tmp_path / "img/Im001_1.tif")
    picture(tmp_path / "img/Im200_0.tif")
    rows = all_idb2.rows(tmp_path, {"Im001_1": "Im007", "Im200_0": "Im060"})
    assert [(r.label, r.group) for r in rows] == [("blast", "Im007"), (f"{MATURE}|artefact", "Im060")]
    assert [r.split == "test" for r in rows] == [is_held_out("Im007"), is_held_out("Im060")]
    assert {r.group for r in all_idb2.rows(tmp_path, None)} == {"all_idb2"}
    with pytest.raises(SettingsError, match="Im200_0"):
        all_idb2.rows(tmp_path, {"Im001_1": "Im007"})


def test_the_shared_crops_of_all_idb2_share_their_groups_with_the_fields(tmp_path, shared_data, monkeypatch):
    from leukotrain.data import masks

    everything = masks._rows
    monkeypatch.setattr(masks, "_rows", lambda *args: everything(*args)[:2])
    rows = all_idb2.shared_rows(shared_data, tmp_path)
    assert [r.group for r in rows] == ["Im001", "Im002"]
    assert {r.label for r in rows} == {"blast"}
    Manifest(rows).check_files([tmp_path], scale=True)


def test_an_imported_set_can_be_split_and_written(tmp_path):
    for patient in range(12):
        for label in ("Blasts", "Neutro"):
            picture(tmp_path / f"d/{label}/p{patient}/a.png", seed=patient)
    rows = holdout(folders.rows(tmp_path / "d", "mine", MAPPING, "folder"))
    manifest = Manifest(rows)
    manifest.check_classes()
    manifest.check_files([tmp_path / "d"])
    manifest.write(tmp_path / "m.csv")
    assert len(Manifest.read(tmp_path / "m.csv")) == 24


def test_the_example_of_the_docs_runs(tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "training-data.md").read_text(encoding="utf-8")
    example = text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("leukoscope.classification.outline.outline", lambda image, mpp: image[..., 0] > 0)
    for patient in range(9):
        for number, label in enumerate(("Blasts", "Lymphos", "Neutros", "Junk")):
            picture(tmp_path / f"my-cells/{label}/p{patient}/a.png", seed=10 * patient + number)
    exec(example, {})
    assert len(Manifest.read(tmp_path / "my-work/manifest.csv")) == 27
