"""Cells that come back from QuPath: what was changed there is taken over, and nothing else is harmed."""

from __future__ import annotations

import gzip
import io
import json
import uuid
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leukoscope.cases import Case
from leukoscope.cases import _geojson_read as geojson_read
from leukoscope.cases import _importing as importing
from leukoscope.errors import CaseError

GOLDEN = Path(__file__).parent / "golden"


def exported(case):
    return json.loads(case.export(csv=False, geojson=True)["cells.geojson"].read_text(encoding="utf-8"))


def written(case, content):
    file = case.path / "back.geojson"
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def classify(content, **labels):
    for number, label in labels.items():
        content["features"][int(number[1:]) - 1]["properties"]["classification"] = {"name": label, "color": [1, 2, 3]}
    return content


def test_a_file_that_nobody_changed_changes_nothing(same_case):
    same_case.relabel(1, "monocyte", "mk")
    events = same_case.events
    found = same_case.import_geojson(written(same_case, exported(same_case)), "al")
    assert (found.changed, found.unchanged, found.absent) == ({}, 4, 0)
    assert (found.unknown, found.ignored, found.added, found.events) == ({}, {}, (), ())
    assert same_case.events == events


def test_corrections_come_back_as_one_event_a_label(same_case):
    content = classify(exported(same_case), c1="monocyte", c2="blast", c4="monocyte")
    found = same_case.import_geojson(written(same_case, content), "al")
    assert found.changed == {1: "monocyte", 2: "blast", 4: "monocyte"}
    assert [(e.kind, e.label, e.cells, e.reviewer) for e in found.events] == [
        ("relabel", "monocyte", (1, 4), "al"),
        ("relabel", "blast", (2,), "al"),
    ]
    assert found.events[0].was == {1: "blast", 4: "unidentified"}
    assert found.events[0].detail["imported"]["file"] == "back.geojson"
    assert len(found.events[0].detail["imported"]["sha256"]) == 64
    assert same_case.labels([1, 2, 3, 4]) == {1: "monocyte", 2: "blast", 3: "blast", 4: "monocyte"}
    assert found.summary == "3 cells relabeled; 1 unchanged"
    again = same_case.import_geojson(written(same_case, exported(same_case)), "al")
    assert (again.changed, again.unchanged) == ({}, 4)
    same_case.undo()
    same_case.undo()
    assert same_case.counts() == {"blast": 2, "lymphocyte": 1, "unidentified": 1}


def test_what_qupath_writes_is_read(same_case):
    """As QuPath 0.5 writes it: cells inside an annotation, lists of names, NaN, 32-bit corners, metadata or none."""
    found = same_case.import_geojson(GOLDEN / "qupath.geojson", "al")
    assert found.changed == {1: "lymphocyte"}
    assert (found.unchanged, found.absent) == (1, 1)
    assert found.unknown == {"Tumor: Positive": 1}
    assert found.ignored == {importing.NEW: 3, importing.OUTLINE: 1}
    assert [(added.label, added.name, added.kind) for added in found.added] == [
        (None, None, "annotation"),
        ("blast", "blast", "detection"),
    ]
    assert found.added[1].outline.equals(shapely.box(500, 400, 520, 420))
    assert found.summary == (
        "1 cell relabeled; 1 unchanged; 1 of unknown class 'Tumor: Positive'; 3 no cell of this case; "
        "1 outline changed: outlines are not taken over; 1 not in the file"
    )


def test_what_was_corrected_here_since_the_export_is_not_taken_back(same_case):
    same_case.relabel(2, "monocyte", "mk")
    content = classify(exported(same_case), c3="lymphocyte")
    same_case.relabel([1, 2], "smudge", "mk")  # after the export, and the file says nothing else of them
    same_case.relabel(3, "monocyte", "mk")  # and here it does
    found = same_case.import_geojson(written(same_case, content), "al")
    assert (found.changed, found.unchanged) == ({}, 3)
    assert found.ignored == {importing.CONFLICT: 1}
    assert same_case.labels([1, 2, 3]) == {1: "smudge", 2: "smudge", 3: "monocyte"}
    for feature in content["features"]:  # a program that drops the metadata: the file is what counts
        del feature["properties"]["metadata"]
    found = same_case.import_geojson(written(same_case, content), "al")
    assert found.changed == {1: "blast", 2: "monocyte", 3: "lymphocyte"}


def test_part_of_the_cells_and_cells_without_a_class(same_case):
    content = exported(same_case)
    content["features"] = content["features"][:2]
    del content["features"][0]["properties"]["classification"]
    content["features"][1]["properties"]["classification"] = None
    found = same_case.import_geojson(written(same_case, content["features"]), "al")
    assert (found.changed, found.absent, found.ignored) == ({}, 2, {importing.UNCLASSIFIED: 2})
    single = classify(exported(same_case), c1="Monocyte")["features"][0]
    assert same_case.import_geojson(written(same_case, single), "al").changed == {1: "monocyte"}


def test_a_file_without_cells_of_the_case(same_case, tmp_path, slide, settings):
    for content, new in ([], 0), ({"type": "FeatureCollection", "features": [{"id": 5}]}, 1):
        found = same_case.import_geojson(written(same_case, content), "al")
        assert (found.changed, found.unchanged, found.absent, sum(found.ignored.values())) == ({}, 0, 4, new)
    with Case.create(tmp_path / "empty.leuko", slide, settings) as empty:
        assert empty.import_geojson(written(empty, []), "al").summary == "0 cells relabeled; 0 unchanged"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not valid JSON"),
        ("no", "not valid JSON"),
        ("[" * 100_000, "too deeply nested"),
        ('{"a":' * 100_000, "too deeply nested"),
        ("9" * 5000, "not valid JSON"),
        ("7", "no list of features"),
        ('{"type": "FeatureCollection"}', "no list of features"),
        ('{"type": "FeatureCollection", "features": {}}', "no list of features"),
        ("[1]", "a feature is no object"),
        ('[{"properties": [1]}]', "properties are no object"),
        ('[{"properties": {"childObjects": "x"}}]', "childObjects are no list"),
        ('[{"properties": {"classification": 5}}]', "classification is no name"),
        ('[{"properties": {"classification": {"names": [5]}}}]', "classification is no name"),
        ('[{"properties": {"metadata": [5]}}]', "metadata are no object"),
        ('[{"geometry": 5}]', "geometry has no type"),
        ('[{"geometry": {"type": ["Polygon"]}}]', "geometry has no type"),
        ('[{"geometry": {"type": "Polygon"}}]', "an outline cannot be read"),
        ('[{"geometry": {"type": "Polygon", "coordinates": "x"}}]', "an outline cannot be read"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}]', "an outline cannot be read"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[[NaN,0],[1,1],[1,2],[NaN,0]]]}}]', "an outline cannot be"),
        (
            '[{"geometry": {"type": "Polygon", "coordinates": [[[1e999,0],[1,1],[1,2],[1e999,0]]]}}]',
            "an outline cannot",
        ),
        ('[{"id": "5ec07753-d478-5d78-84a7-bb7a1ce9f0ff"}]', "1 of its objects are cells of another case"),
        ('[{"id": "5ec07753-d478-5d78-84a7-bb7a1ce9f0c2"}, {"id": "5ec07753-d478-5d78-84a7-bb7a1ce9f0c2"}]', "1 twice"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_changes_nothing(same_case, content, words):
    good = json.dumps(classify(exported(same_case), c1="monocyte")["features"])
    for text in (content, content.replace("[", good[:-1] + ", ", 1) if content[:2] == "[{" else content):
        with pytest.raises(CaseError, match=words) as caught:
            same_case.import_geojson(written(same_case, text), "al")
        assert "\n" not in str(caught.value)
        assert caught.value.remedy
        assert len(str(caught.value)) < 500
    assert same_case.events == ()
    assert same_case.labels([1]) == {1: "blast"}


def test_files_that_cannot_be_read(same_case, tmp_path, monkeypatch):
    with pytest.raises(CaseError, match="does not exist"):
        same_case.import_geojson(tmp_path / "none.geojson", "al")
    with pytest.raises(CaseError, match="is no file"):
        same_case.import_geojson(tmp_path, "al")
    (tmp_path / "zipped.geojson").write_bytes(b"\x1f\x8b\x08\x00\xff\xff")
    with pytest.raises(CaseError, match="cannot be unpacked"):
        same_case.import_geojson(tmp_path / "zipped.geojson", "al")
    file = written(same_case, exported(same_case))
    monkeypatch.setattr(geojson_read, "_LARGEST", 100)
    with pytest.raises(CaseError, match="too large"):
        same_case.import_geojson(file, "al")


def zipped(*contents):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"objects{number}.geojson", content)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zipped])
def test_a_compressed_file_is_read_as_any_other(same_case, pack, monkeypatch):
    file = same_case.path / "back.geojson.gz"
    data = pack(json.dumps(classify(exported(same_case), c1="monocyte")).encode())
    for damaged in (data[: len(data) // 2], data[:40] + b"\xff" * 30 + data[70:]):
        file.write_bytes(damaged)
        with pytest.raises(CaseError, match=r"unpacked|cannot be read|is not valid JSON"):
            same_case.import_geojson(file)
    file.write_bytes(pack(b" " * 10**6))
    monkeypatch.setattr(geojson_read, "_LARGEST", 10**5)  # a bomb is not unpacked to its end
    with pytest.raises(CaseError, match="is too large"):
        same_case.import_geojson(file)
    file.write_bytes(data)
    assert same_case.import_geojson(file).changed == {1: "monocyte"}


def test_an_archive_of_several_files_is_refused(same_case):
    file = same_case.path / "back.zip"
    file.write_bytes(zipped("[]", "[]"))
    with pytest.raises(CaseError, match="2 files where one is looked for"):
        same_case.import_geojson(file)


def test_another_cases_cells_are_refused(same_case, tmp_path, slide, settings, make_cell, monkeypatch):
    file = written(same_case, classify(exported(same_case), c1="monocyte"))
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=8))
    with Case.create(tmp_path / "other.leuko", slide, settings) as other:
        other.add_block(other.begin_run(settings, 1), 0, [make_cell(100, 100)])
        with pytest.raises(CaseError, match="4 of its objects are cells of another case"):
            other.import_geojson(file, "al")
        assert other.events == ()


def test_cells_of_an_earlier_analysis_are_refused(same_case, settings, make_cell):
    file = written(same_case, classify(exported(same_case), c1="monocyte"))
    run = same_case.begin_run(replace(settings, model="other"), 1)
    same_case.add_block(run, 0, [make_cell(100, 100)])
    same_case.finish_run(run, "completed")
    with pytest.raises(CaseError, match=r"an earlier analysis\. Export this case anew"):
        same_case.import_geojson(file, "al")


def test_a_signed_case_or_one_that_others_write_takes_nothing_in(same_case):
    file = written(same_case, classify(exported(same_case), c1="monocyte"))
    with (
        Case(type(same_case._store)(same_case.path, readonly=True)) as other,
        pytest.raises(CaseError, match="reading"),
    ):
        other.import_geojson(file, "al")
    same_case.relabel(4, "blast", "mk")
    same_case.sign("mk")
    with pytest.raises(CaseError, match="signed by mk"):
        same_case.import_geojson(file, "al")


def test_an_import_is_whole_or_not_at_all(same_case, monkeypatch):
    file = written(same_case, classify(exported(same_case), c1="monocyte", c2="blast"))
    real, calls = importing.by_label, []

    def second_fails(labels):
        calls.append(labels)
        return {**real(labels), "no such class": [3]}

    with monkeypatch.context() as patch:
        patch.setattr(importing, "by_label", second_fails)
        with pytest.raises(CaseError, match="no such class"):
            same_case.import_geojson(file, "al")
    assert calls
    assert same_case.events == ()


def test_names_that_would_break_a_line_are_shown_as_text(same_case):
    name = "two\nlines \ud800" + "x" * 500
    found = same_case.import_geojson(written(same_case, classify(exported(same_case), c1=name)), "al")
    ((shown, count),) = found.unknown.items()
    assert count == 1
    assert shown.isprintable()
    assert len(shown) <= 80
    found.summary.encode("utf-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLACES = [
    *[("type",), ("features",), ("features", 0), ("features", 0, "id"), ("features", 0, "geometry")],
    *[("features", 0, "geometry", "type"), ("features", 0, "geometry", "coordinates")],
    *[("features", 0, "geometry", "coordinates", 0, 1), ("features", 0, "geometry", "coordinates", 0, 1, 0)],
    *[("features", 0, "properties"), ("features", 0, "properties", "classification")],
    *[("features", 0, "properties", "classification", "name"), ("features", 0, "properties", "metadata")],
    *[("features", 0, "properties", "metadata", "source"), ("features", 0, "properties", "childObjects")],
]


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON), min_size=1, max_size=2))
def test_whatever_stands_in_a_file_it_is_taken_in_or_refused(same_case, changes):
    content = classify(exported(same_case), c2="monocyte")
    for place, value in changes:
        target = content
        try:
            for step in place[:-1]:
                target = target[step]
            target[place[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue
    before, labels = same_case.events, same_case.labels(range(1, 5))
    try:
        found = same_case.import_geojson(written(same_case, content), "al")
    except CaseError:
        assert same_case.events == before
        assert same_case.labels(range(1, 5)) == labels
        return
    assert found.changed.items() <= {2: "monocyte"}.items()
    assert same_case.labels(range(1, 5)) == labels | found.changed
    if found.changed:
        same_case.undo()
