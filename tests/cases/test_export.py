"""The files that leave a case, byte by byte where others parse them."""

from __future__ import annotations

import csv
import io
import json
import re
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader

from leukoscope.cases import Case, FieldInfo
from leukoscope.cases import _log as log
from leukoscope.cases._export import guarded, write_csv
from leukoscope.cases._labels import Painter, draw
from leukoscope.cases._report import report_of
from leukoscope.cases._report_parts import Examples, Heading, Line, Picture, Report, Row, Table
from leukoscope.cases._report_pdf import write_pdf

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def same_time(monkeypatch):
    monkeypatch.setattr(log, "now", lambda: "2026-01-02T03:04:05.678+00:00")


@pytest.fixture
def same_case(same_time, same_case):
    """A case whose id and times are always the same, two of its cells corrected."""
    same_case.relabel(1, "monocyte", "mk, MD")
    same_case.relabel(2, "erythroblast", '=HYPERLINK("x")')
    return same_case


@pytest.mark.parametrize("name", ["cells.csv", "counts.csv", "cells.geojson"])
def test_files_are_as_they_were(same_case, name):
    written = same_case.export(geojson=True)[name].read_bytes()
    # A change on purpose: copy the new file over the old one, and say why in the commit.
    assert written == (GOLDEN / name).read_bytes()


def test_cells_csv_reads_back(same_case):
    file = same_case.export()["cells.csv"]
    raw = file.read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n") == 5
    table = pd.read_csv(file)
    assert list(table.columns) == list(same_case.cells.columns)
    assert table["reviewed_by"][0] == "mk, MD"
    assert table["reviewed_by"][1] == '\'=HYPERLINK("x")'  # no spreadsheet runs it
    assert table["probability"][3] == pytest.approx(0.45)  # unidentified: the highest there was
    np.testing.assert_allclose(table["entropy"], same_case.cells["entropy"], atol=1e-6)


@given(st.text())
@settings(deadline=None)
def test_no_text_starts_a_formula(text):
    safe = guarded(text)
    assert not re.match(r"[=+\-@\t\r]", safe)
    assert safe.endswith(text)


def test_any_text_survives_csv(tmp_path):
    texts = ['a "quoted" word', "two\r\nlines", "a,b;c", "µ–é", ""]
    write_csv(pd.DataFrame({"n": range(5), "t": texts}), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
        assert [row[1] for row in csv.reader(file)][1:] == texts


def test_geojson_is_what_qupath_reads(same_case):
    file = same_case.export(csv=False, geojson=True)["cells.geojson"]
    features = json.loads(file.read_text(encoding="utf-8"))["features"]
    assert [f["properties"]["classification"]["name"] for f in features] == list(same_case.cells["label"])
    assert [f["properties"]["objectType"] for f in features] == ["cell", "detection", "cell", "cell"]
    assert all(uuid.UUID(f["id"]) == same_case.uuid(i) for i, f in enumerate(features, start=1))
    assert shapely.geometry.shape(features[0]["geometry"]).equals(same_case.outlines([1])[1][0])
    assert "nucleusGeometry" in features[0]
    assert "nucleusGeometry" not in features[1]
    assert features[2]["properties"]["measurements"]["Probability"] == 0.8


def test_uuids_are_the_same_in_every_export(same_case):
    first = [same_case.uuid(i) for i in (1, 2, 3)]
    same_case.relabel(3, "smudge", "mk")
    assert [same_case.uuid(i) for i in (1, 2, 3)] == first
    assert len(set(first)) == 3


def test_labels_zarr_is_a_pyramid_of_ids(same_case):
    folder = same_case.export(csv=False, labels=True)["labels.zarr"]
    group = zarr.open_group(folder, mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    levels = [group[d["path"]] for d in ome["multiscales"][0]["datasets"]]
    assert [level.shape for level in levels] == [(600, 800), (150, 200)]
    assert levels[0].dtype == np.int32
    for lazy, stored, scale in zip(same_case.label_levels(), levels, (1, 4), strict=True):
        np.testing.assert_array_equal(lazy.compute(), stored[:])
        for cell, (outline, _) in same_case.outlines().items():
            assert abs((stored[:] == cell).sum() * scale**2 - outline.area) <= 4 * outline.length
    assert levels[0][100, 100] == 1
    assert levels[1][25, 50] == 2
    named = {entry["label-value"]: entry["class"] for entry in ome["image-label"]["properties"]}
    assert named == {1: "monocyte", 2: "erythroblast", 3: "blast", 4: "unidentified"}
    scale = ome["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    assert scale == [{"type": "scale", "scale": [1.0, 1.0]}, {"type": "translation", "translation": [0.375, 0.375]}]


def test_labels_zarr_holds_to_ome_zarr(same_case):
    models = pytest.importorskip("ome_zarr_models.v05")
    folder = same_case.export(csv=False, labels=True)["labels.zarr"]
    models.ImageLabel.from_zarr(zarr.open_group(folder, mode="r"))


def test_empty_chunks_are_not_written(tmp_path, slide, settings, make_cell):
    wide = replace(slide, shapes=((20_000, 30_000),), downsamples=(1.0,))
    with Case.create(tmp_path / "a.leuko", wide, settings) as case:
        case.add_block(case.begin_run(settings, 1), 0, [make_cell(5000, 5000), make_cell(20_480, 10_240)])
        folder = case.export(csv=False, labels=True)["labels.zarr"]
        chunks = {f.relative_to(folder / "0" / "c").as_posix() for f in (folder / "0" / "c").rglob("*") if f.is_file()}
        assert chunks == {"4/4", "10/20", "9/19", "9/20", "10/19"}
        assert case.export(csv=False, labels=True)["labels.zarr"] == folder  # over the old one


SHAPES = st.tuples(*[st.floats(-20, 80) for _ in range(2)], st.floats(0.5, 30), st.integers(3, 12), st.floats(0, 7))


def polygon(x, y, radius, corners, turn):
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    return shapely.Polygon(np.column_stack([x + radius * np.cos(angles), y + 0.6 * radius * np.sin(angles)]))


@settings(deadline=None, max_examples=60)
@given(SHAPES, SHAPES, st.floats(0.5, 4), st.integers(0, 20), st.integers(0, 20))
def test_a_pixel_is_a_cells_if_its_center_is(outer, hole, scale, y0, x0):
    shape = polygon(*outer).difference(polygon(*hole))
    image = np.zeros((40, 50), dtype=np.int32)
    draw(image, np.array([shape], dtype=object), np.array([3]), (y0, x0), scale)
    y, x = np.mgrid[:40, :50]
    at = (x + x0 + 0.5) * scale, (y + y0 + 0.5) * scale
    unsure = shapely.distance(shapely.boundary(shape), shapely.points(*at)) < 1e-6
    np.testing.assert_array_equal((image == 3)[~unsure], shapely.contains_xy(shape, *at)[~unsure])


@settings(deadline=None, max_examples=30)
@given(st.lists(SHAPES, min_size=1, max_size=6), st.integers(5, 40), st.integers(5, 40))
def test_windows_fit_together_and_the_lowest_id_wins(shapes, height, width):
    outlines = {i: polygon(*s) for i, s in enumerate(shapes, start=1)}
    painter = Painter(outlines, ((60, 60),), (1.0,))
    whole = painter.paint(0, 0, 0, 60, 60)
    parts = np.block(
        [
            [painter.paint(0, y, x, min(height, 60 - y), min(width, 60 - x)) for x in range(0, 60, width)]
            for y in range(0, 60, height)
        ]
    )
    np.testing.assert_array_equal(whole, parts)
    one_by_one = np.zeros_like(whole)
    for i in sorted(outlines, reverse=True):
        alone = Painter({i: outlines[i]}, ((60, 60),), (1.0,)).paint(0, 0, 0, 60, 60)
        one_by_one[alone > 0] = i
    np.testing.assert_array_equal(whole, one_by_one)


def test_a_study_of_fields_says_what_is_in_each(tmp_path, slide, settings, make_cell):
    fields = (FieldInfo("left", 0, 0, 600, 400), FieldInfo("right", 0, 400, 600, 400))
    with Case.create(tmp_path / "a.leuko", replace(slide, fields=fields), settings) as case:
        smudge = replace(make_cell(700, 10), label="smudge")
        case.add_block(case.begin_run(settings, 1), 0, [make_cell(10, 10), make_cell(410, 10, 0.1), smudge])
        table = pd.read_csv(case.export()["fields.csv"])
    assert list(table.columns) == ["field", "x", "y", "width", "height", "cells", "counted", "blasts"]
    assert table[["field", "cells", "counted", "blasts"]].to_numpy().tolist() == [["left", 1, 1, 1], ["right", 2, 1, 0]]


def test_report_says_all_and_needs_nothing_else(same_case):
    picture = np.full((150, 200, 3), 240, dtype=np.uint8)
    same_case.export(csv=False)
    page = same_case.export(csv=False, report=True, overview=picture)["report.html"].read_text(encoding="utf-8")
    assert "research use only" in page
    assert same_case.differential().verdict in page
    assert "below the confidence threshold" in page
    assert page.count("data:image/jpeg") == 1
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "Not a whole analysis" not in page


def test_the_pdf_says_what_the_page_says(same_case, tmp_path):
    picture = np.full((150, 200, 3), 240, dtype=np.uint8)
    file = same_case.export(csv=False, pdf=True, overview=picture, folder=tmp_path / "to")["report.pdf"]
    assert [entry.name for entry in file.parent.iterdir()] == ["report.pdf"]
    reader = PdfReader(file)
    said = _words(sheet.extract_text() for sheet in reader.pages)
    parts = report_of(same_case, overview=picture).parts
    lines = [part.text for part in parts if isinstance(part, Line) and not part.text.startswith("Written")]
    tables = [part for part in parts if isinstance(part, Table)]
    cells = [text for table in tables for texts in (table.head, *(row.texts for row in table.rows)) for text in texts]
    for text in lines + cells:
        assert _words([text]) in said, text
    assert sum(len(sheet.images) for sheet in reader.pages) == 1
    assert reader.metadata.title == f"{same_case.slide.name} – Leukoscope"


def _words(texts):
    return "".join("".join(texts).split())  # lines are broken anywhere


def test_each_page_of_the_pdf_is_marked_for_research_use(tmp_path):
    tall = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(tall).save(buffer, "JPEG")
    some = tuple(Picture(buffer.getvalue(), f"cell {i}") for i in range(6))
    parts = [Examples(f"class {i} <&> Łž µ–≥ Ж", "#aa0000", some) for i in range(30)]
    long = Table((Row(("options", "x" * 8000)),), prose=1)
    report = Report("<b>&", (Heading("A & B"), *parts, Line("w", "warning"), long), "foot <&>")
    reader = PdfReader(write_pdf(report, tmp_path / "r.pdf"))
    assert len(reader.pages) > 3
    for number, sheet in enumerate(reader.pages, start=1):
        text = sheet.extract_text()
        assert "For research use only. Not for diagnosis." in text
        assert f"{number} of {len(reader.pages)}" in text
        assert "foot <&>" in text
    everything = "".join(sheet.extract_text() for sheet in reader.pages)
    assert "class 29 <&> Łž µ–≥ Ж" in everything
    assert everything.count("x") >= 8000


def test_report_of_an_empty_or_partial_case(tmp_path, slide, settings):
    odd = replace(slide, name="<b>&")
    with Case.create(tmp_path / "a.leuko", odd, settings) as case:
        page = case.export(report=True)["report.html"].read_text(encoding="utf-8")
        assert "<b>&" not in page
        assert "no cells" in page
        assert "Not a whole analysis" in page
        sheet = PdfReader(case.export(csv=False, pdf=True)["report.pdf"]).pages[0].extract_text()
        assert "<b>&" in sheet
        assert "Not a whole analysis" in sheet
        assert pd.read_csv(case.path / "cells.csv").empty
        assert case.export(csv=False, geojson=True, labels=True)


def test_exports_go_where_they_are_told(same_case, tmp_path):
    files = same_case.export(geojson=True, folder=tmp_path / "new" / "place")
    assert [f.relative_to(tmp_path / "new" / "place").name for f in files.values()] == [
        *("cells.csv", "counts.csv", "cells.geojson"),
    ]
