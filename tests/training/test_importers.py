from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo
from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.slides import open_slide
from leukotrain.data import importers
from leukotrain.data.importers import (
    all_idb1,
    all_idb2,
    bccd,
    cases,
    cnmc,
    coco,
    draw_outlines,
    folders,
    pbc,
    qupath,
    raabin,
    voc,
)
from leukotrain.data.manifest import Manifest
from leukotrain.data.sources import NOT_BLAST
from leukotrain.data.split import is_held_out
from leukotrain.data.splits import holdout

NEUTROPHIL = "neutrophil_band|neutrophil_segmented"


def picture(file: Path, height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    return pixels


def read(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


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


# VOC, BCCD

VOC = """<annotation><object><name>{}</name>
<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>
</object><object><name>RBC</name><bndbox><xmin>0</xmin><ymin>0</ymin><xmax>10</xmax><ymax>14</ymax></bndbox></object>
</annotation>"""


def voc_field(folder, name="F1", label="WBC", box=(20, 30, 40, 60)):
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    (folder / "Annotations" / f"{name}.xml").write_text(VOC.format(label, *box))
    return picture(folder / "JPEGImages" / f"{name}.png", 80, 100)


def test_boxes_become_cells_with_elliptic_outlines(tmp_path):
    pixels = voc_field(tmp_path / "b")
    rows = bccd.rows(tmp_path / "b", tmp_path / "w")
    assert [(r.label, r.group) for r in rows] == [(NOT_BLAST, "F1"), ("artefact", "F1")]
    assert rows[0].mpp == pytest.approx(7.2 / 12)
    cut, mask = read(tmp_path / "w" / rows[0].image), read(tmp_path / "w" / rows[0].mask) > 0
    np.testing.assert_array_equal(cut, pixels[24:66, 14:46])
    assert mask.sum() == pytest.approx(math.pi * 10 * 15, rel=0.03)
    assert np.argwhere(mask).mean(axis=0) == pytest.approx((20.5, 15.5))
    Manifest(rows).check_files([tmp_path / "w"], scale=True)


@pytest.mark.parametrize("box", [(20, 30, 20, 60), (40, 30, 20, 60), (-50, 0, 5, 40), (200, 200, 260, 260)])
def test_boxes_that_hold_no_cell_are_left_out(tmp_path, box):
    voc_field(tmp_path / "b", box=box)
    rows = voc.rows(tmp_path / "b", tmp_path / "w", "mine", {"WBC": "blast", "RBC": ""}, "image")
    assert rows == []


def test_bad_annotations_are_refused(tmp_path):
    call = lambda: voc.rows(tmp_path, tmp_path / "w", "mine", {"RBC": "artefact", "WBC": "blast"}, "image")  # noqa: E731
    with pytest.raises(LeukoscopeError, match="no Annotations"):
        call()
    with pytest.raises(LeukoscopeError, match="neither Annotations"):
        bccd.rows(tmp_path / "absent", tmp_path)
    voc_field(tmp_path, label="Odd")
    with pytest.raises(SettingsError, match="'Odd'"):
        call()
    (tmp_path / "JPEGImages/F1.png").unlink()
    voc_field(tmp_path, "F2")
    (tmp_path / "Annotations/F1.xml").write_text(VOC.format("WBC", 1, 1, 20, 20))
    with pytest.raises(LeukoscopeError, match="has no picture"):
        call()
    for text, words in (
        ("<annotation>", "cannot be read"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a/>', "entities"),
        (VOC.format("WBC", "left", 1, 2, 3), "cannot be read"),
    ):
        (tmp_path / "Annotations/F1.xml").write_text(text)
        with pytest.raises(LeukoscopeError, match=words):
            call()


# COCO


def write_coco(folder, annotations, file_name="f.png", category="Blast"):
    pixels = picture(folder / "f.png", 60, 70)
    value = {
        "images": [{"id": 4, "file_name": file_name, "height": 60, "width": 70}],
        "categories": [{"id": 7, "name": category}],
        "annotations": [{"id": i, "image_id": 4, "category_id": 7, **a} for i, a in enumerate(annotations, 1)],
    }
    (folder / "instances.json").write_text(json.dumps(value))
    return pixels


def read_coco(folder, mapping=None, group="image"):
    return coco.rows(folder / "instances.json", folder, folder / "w", "mine", mapping or {"Blast": "blast"}, group, 0.2)


def runs_of(mask):
    flat = mask.T.ravel().astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [flat[-1] ^ 1]])))
    return np.diff(np.concatenate([[0], edges])).tolist()


def packed(runs):
    """COCO's compression, from the definition: differences to the run before last, five bits a character."""
    out = ""
    for i, run in enumerate(runs):
        value, more = run - (runs[i - 2] if i > 2 else 0), True
        while more:
            bits, value = value & 0x1F, value >> 5
            more = not (value in (0, -1) and bool(bits & 0x10) == (value == -1))
            out += chr((bits | 0x20 if more else bits) + 48)
    return out


@given(st.lists(st.integers(0, 1), min_size=1, max_size=120).map(lambda bits: np.array(bits, bool)), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_run_lengths_draw_what_was_packed(bits, height):
    mask = np.resize(bits, (height, len(bits)))
    runs = runs_of(mask)
    size = list(mask.shape)
    np.testing.assert_array_equal(coco.decode_rle({"size": size, "counts": runs}), mask)
    np.testing.assert_array_equal(coco.decode_rle({"size": size, "counts": packed(runs)}), mask)


def test_polygons_run_lengths_and_boxes_of_one_cell_agree(tmp_path):
    square = np.zeros((60, 70), bool)
    square[10:40, 20:50] = True
    annotations = [
        {"segmentation": [[20, 10, 50, 10, 50, 40, 20, 40]], "bbox": [0, 0, 0, 0]},
        {"segmentation": {"size": [60, 70], "counts": runs_of(square)}},
        {"segmentation": {"size": [60, 70], "counts": packed(runs_of(square))}},
        {"segmentation": [], "bbox": [20, 10, 30, 30]},
        {"segmentation": [], "bbox": [20, 10, 3, 3]},
        {"iscrowd": 1},
    ]
    pixels = write_coco(tmp_path, annotations)
    rows = read_coco(tmp_path)
    assert len(rows) == 4
    for row in rows:
        np.testing.assert_array_equal(read(tmp_path / "w" / row.image), pixels[4:46, 14:56])
    masks = [read(tmp_path / "w" / row.mask) > 0 for row in rows]
    for mask in masks[:3]:
        np.testing.assert_array_equal(mask, square[4:46, 14:56])
    assert masks[3].sum() == pytest.approx(math.pi * 15**2, rel=0.03)
    Manifest(rows).check_files([tmp_path / "w"], scale=True)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ({"segmentation": [[1, 2, 3]]}, "annotation 1 of f.png"),
        ({"segmentation": {"size": [60, 70], "counts": [5]}}, "annotation 1 of f.png"),
        ({"segmentation": {"size": [6, 7], "counts": [42]}}, "annotation 1 of f.png"),
        ({}, "annotation 1 of f.png"),
        ({"image_id": 99}, "refers to what is not there"),
        ({"category_id": "x"}, "cannot be read"),
    ],
)
def test_bad_annotations_of_coco_are_named(tmp_path, annotation, words):
    write_coco(tmp_path, [annotation])
    with pytest.raises(LeukoscopeError, match=words):
        read_coco(tmp_path)


def test_coco_that_is_not_is_refused(tmp_path):
    box = [{"bbox": [5, 5, 20, 20]}]
    write_coco(tmp_path, box, file_name="../f.png")
    with pytest.raises(LeukoscopeError, match="outside"):
        read_coco(tmp_path)
    write_coco(tmp_path, box, file_name="g.png")
    with pytest.raises(LeukoscopeError, match=r"g\.png"):
        read_coco(tmp_path)
    write_coco(tmp_path, box, category="Odd")
    with pytest.raises(SettingsError, match="'Odd'"):
        read_coco(tmp_path)
    write_coco(tmp_path, box)
    with pytest.raises(SettingsError, match="in no folder"):
        read_coco(tmp_path, group="folder")
    (tmp_path / "instances.json").write_text("[]")
    with pytest.raises(LeukoscopeError, match="cannot be read"):
        read_coco(tmp_path)


# QuPath, cases


def feature(shape, classification):
    properties = {"objectType": "detection"} | ({"classification": classification} if classification else {})
    return {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shape)), "properties": properties}


def test_outlines_of_qupath_become_cells(tmp_path):
    pixels = picture(tmp_path / "s.png", 80, 90)
    ring = shapely.box(20, 10, 50, 40).difference(shapely.box(30, 20, 40, 30))
    features = [
        feature(ring, {"name": "Blast", "color": [1, 2, 3]}),
        feature(shapely.box(60, 50, 80, 70), {"names": ["Mono", "Sure"]}),
        feature(shapely.box(0, 0, 30, 30), None),
        feature(shapely.Point(3, 3), {"name": "Marker"}),
        feature(shapely.box(300, 300, 330, 330), {"name": "Blast"}),
    ]
    (tmp_path / "s.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    mapping = {"Blast": "blast", "Mono: Sure": "monocyte", "(unclassified)": ""}
    rows = qupath.rows(tmp_path / "s.geojson", tmp_path / "s.png", tmp_path / "w", mapping, mpp=0.25)
    assert [(r.label, r.mpp) for r in rows] == [("blast", 0.25), ("monocyte", 0.25)]
    with open_slide(tmp_path / "s.png") as slide:
        assert {r.group for r in rows} == {qupath.group_of(slide.fingerprint)}
    np.testing.assert_array_equal(read(tmp_path / "w" / rows[0].image), pixels[4:46, 14:56])
    mask = read(tmp_path / "w" / rows[0].mask) > 0
    expected = np.zeros((42, 42), bool)
    expected[6:36, 6:36] = True
    expected[16:26, 16:26] = False
    assert np.mean(mask != expected) < 0.03  # the hole's rim goes to the hole
    Manifest(rows).check_files([tmp_path / "w"], scale=True)
    with pytest.raises(SettingsError, match="unclassified"):
        qupath.rows(
            tmp_path / "s.geojson", tmp_path / "s.png", tmp_path / "w", {"Blast": "blast", "Mono: Sure": "monocyte"}
        )


@pytest.mark.parametrize("text", ["{", "{}", '[{"geometry": null}]', '[{"geometry": {"type": "Polygon"}}]', "3"])
def test_geojson_that_is_not_is_refused(tmp_path, text):
    picture(tmp_path / "s.png")
    (tmp_path / "s.geojson").write_text(text)
    with pytest.raises(LeukoscopeError, match=r"s\.geojson"):
        qupath.rows(tmp_path / "s.geojson", tmp_path / "s.png", tmp_path / "w", {})


CLASSES = ("blast", "lymphocyte")


@pytest.fixture
def slide_and_case(tmp_path):
    picture(tmp_path / "smear.png", 100, 200)
    run_settings = RunSettings("watershed", "blood", classes=CLASSES)
    with open_slide(tmp_path / "smear.png", mpp=0.25) as slide:
        info = SlideInfo.from_slide(slide)
    with Case.create(tmp_path / "smear.leuko", info, run_settings) as case:
        run = case.begin_run(run_settings, 1)
        probabilities = dict(zip(CLASSES, (0.9, 0.1), strict=True))
        boxes = [shapely.box(x, 20, x + 30, 50) for x in (10, 60, 110, 160)]
        case.add_block(
            run, 0, [CellRow(b, None, *b.centroid.coords[0], 56.0, None, 0.9, probabilities, "blast") for b in boxes]
        )
        case.finish_run(run, "completed")
        yield tmp_path, case


def test_only_reviewed_cells_are_taken_and_their_group_is_the_slide(slide_and_case):
    folder, case = slide_and_case
    assert cases.rows(folder / "smear.leuko", folder / "w") == []
    case.relabel([1, 3], "neutrophil", reviewer="mk")
    case.relabel([2], "unidentified", reviewer="mk")
    rows = cases.rows(folder / "smear.leuko", folder / "w")
    assert [r.label for r in rows] == [NEUTROPHIL] * 2
    assert {(r.group, r.source, r.split, r.mpp) for r in rows} == {
        (f"slide-{case.slide.fingerprint}", "cases", "train", 0.25)
    }
    np.testing.assert_array_equal(read(folder / "w" / rows[0].image), read(folder / "smear.png")[14:56, 4:46])
    assert read(folder / "w" / rows[0].mask).astype(bool).sum() == 900
    Manifest(rows).check_files([folder / "w"], scale=True)


def test_a_case_is_never_cut_from_another_slide(slide_and_case):
    folder, case = slide_and_case
    case.relabel([1], "lymphocyte", reviewer="mk")
    picture(folder / "other.png", 100, 200, seed=1)
    with pytest.raises(LeukoscopeError, match="not the slide"):
        cases.rows(folder / "smear.leuko", folder / "w", slide=folder / "other.png")
    with pytest.raises(LeukoscopeError):
        cases.rows(folder / "absent.leuko", folder / "w")


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
    assert [(r.label, r.group) for r in rows] == [("blast", "Im007"), (NOT_BLAST, "Im060")]
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
