from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo
from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.slides import open_slide
from leukotrain.data.importers import (
    cases,
    qupath,
)
from leukotrain.data.manifest import Manifest

from .pictures import picture, read

CLASSES = ("blast", "lymphocyte")


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


def test_features_are_found_however_qupath_wrapped_them(tmp_path):
    picture(tmp_path / "s.png", 80, 90)
    one = feature(shapely.box(20, 10, 50, 40), {"name": "Blast"})
    inner = feature(shapely.box(5, 45, 25, 70), {"names": ["Blast"]})
    outer = one | {"properties": {**one["properties"], "childObjects": [inner]}}
    nowhere = {"type": "Feature", "geometry": None, "properties": {}}
    file = tmp_path / "s.geojson"
    for value, count in (
        ({"type": "FeatureCollection", "features": [one, nowhere]}, 1),
        ([one], 1),
        (one, 1),
        (outer, 2),
    ):
        for mark in ("", "\ufeff"):
            file.write_text(mark + json.dumps(value), encoding="utf-8")
            rows = qupath.rows(file, tmp_path / "s.png", tmp_path / "w", {"Blast": "blast"}, mpp=0.25)
            assert [row.label for row in rows] == ["blast"] * count


def test_no_cell_is_written_outside_the_work_folder(tmp_path):
    picture(tmp_path / "s.png", 80, 90)
    (tmp_path / "s.geojson").write_text(json.dumps(feature(shapely.box(20, 10, 50, 40), None)))
    mapping = {"(unclassified)": "blast"}
    with pytest.raises(LeukoscopeError, match="leads out"):
        qupath.rows(tmp_path / "s.geojson", tmp_path / "s.png", tmp_path / "w", mapping, source="../out", mpp=0.25)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text", ["{", "{}", '[{"geometry": 3}]', '[{"geometry": {"type": "Polygon"}}]', "3", "[" * 100_000]
)
def test_geojson_that_is_not_is_refused(tmp_path, text):
    picture(tmp_path / "s.png")
    (tmp_path / "s.geojson").write_text(text)
    with pytest.raises(LeukoscopeError, match=r"s\.geojson"):
        qupath.rows(tmp_path / "s.geojson", tmp_path / "s.png", tmp_path / "w", {})


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
    assert [r.label for r in rows] == ["neutrophil_band|neutrophil_segmented"] * 2
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
