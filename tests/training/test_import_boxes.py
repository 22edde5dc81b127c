from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain.data.importers import (
    bccd,
    coco,
    voc,
)
from leukotrain.data.manifest import Manifest
from leukotrain.data.sources import MATURE

from .pictures import picture, read

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
    assert [(r.label, r.group) for r in rows] == [(MATURE, "F1"), ("artefact", "F1")]
    assert rows[0].mpp == pytest.approx(7.2 / 12)
    cut, mask = read(tmp_path / "w" / rows[0].image), read(tmp_path / "w" / rows[0].mask) > 0
    np.testing.assert_array_equal(cut, pixels[24:66, 14:46])
    assert mask.sum() == pytest.approx(math.pi * 10 * 15, rel=0.03)
    assert np.argwhere(mask).mean(axis=0) == pytest.approx((20.5, 15.5))
    Manifest(rows).check_files([tmp_path / "w"], scale=True)


@pytest.mark.parametrize(
    "box", [(20, 30, 20, 60), (40, 30, 20, 60), (-50, 0, 5, 40), (0, 0, "inf", "inf"), (200, 200, 260, 260)]
)
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
    np.testing.assert_array_equal(coco.decode_rle({"size": size, "counts": runs}, size), mask)
    np.testing.assert_array_equal(coco.decode_rle({"size": size, "counts": packed(runs)}, size), mask)


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
        ({"segmentation": {"size": [10**6, 10**6], "counts": [10**12]}}, "annotation 1 of f.png"),
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
    write_coco(tmp_path, [*box, {**box[0], "id": 1}])
    with pytest.raises(LeukoscopeError, match="several annotations have the id 1"):
        read_coco(tmp_path)
    write_coco(tmp_path, box)
    with pytest.raises(SettingsError, match="in no folder"):
        read_coco(tmp_path, group="folder")
    (tmp_path / "instances.json").write_text("[]")
    with pytest.raises(LeukoscopeError, match="cannot be read"):
        read_coco(tmp_path)
