from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from leukoscope.classification import CropSpec
from leukotrain.data.cache import load_crops
from leukotrain.data.manifest import Manifest, ManifestError, Row, groups_hash
from leukotrain.data.sources import split_of
from leukotrain.data.split import HELD_OUT_PATIENTS, is_held_out

ROW = Row("a.png", "a-mask.png", "blast", "patient-1", "cnmc", 0.05, "train")
MADE = replace(ROW, image="s.png", group="gan-1", synthetic=True, generator="g1", generator_groups=groups_hash(["x"]))


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.json"])
def test_a_manifest_survives_its_file(tmp_path, name):
    rows = [ROW, replace(ROW, image="b.png", label="myelocyte|promyelocyte", mpp=0.1), MADE]
    before = Manifest(rows)
    before.write(tmp_path / name)
    after = Manifest.read(tmp_path / name)
    assert after.rows == before.rows
    assert after.sha256 == before.sha256
    assert after.rows[1].allowed == ("myelocyte", "promyelocyte")


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.json"])
def test_an_unknown_scale_survives_its_file(tmp_path, name):
    Manifest([replace(ROW, mpp=math.nan)]).write(tmp_path / name)
    assert math.isnan(Manifest.read(tmp_path / name).rows[0].mpp)


def test_manifests_without_synthetic_cells_keep_their_seven_columns_and_so_their_hash():
    assert Manifest([ROW]).to_csv().splitlines()[0] == "image,mask,label,group,source,mpp,split"
    assert Manifest([ROW]).sha256 == "3d12268dffd018fa997de84a92d0672dd5a22517d569fd1922917fac9b8ab9d3"


def test_the_hash_follows_every_row():
    assert Manifest([ROW]).sha256 != Manifest([replace(ROW, label="lymphocyte")]).sha256
    assert Manifest([MADE]).sha256 != Manifest([replace(MADE, generator_groups=groups_hash(["y"]))]).sha256


def test_the_hash_of_groups_knows_no_order_and_no_repeats():
    assert groups_hash(["b", "a", "b"]) == groups_hash(["a", "b"]) != groups_hash(["a,b"])


def test_a_patient_in_two_splits_is_refused_and_both_rows_are_named():
    with pytest.raises(ManifestError, match="patient-1 is in more than one split") as caught:
        Manifest([ROW, replace(ROW, image="b.png", split="test")])
    assert "row 1 (a.png)" in str(caught.value)
    assert "row 2 (b.png)" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (replace(ROW, label="blast|unicorn"), "unicorn"),
        (replace(ROW, label="unidentified"), "unknown class"),
        (replace(ROW, mpp=200), "200 µm per pixel"),
        (replace(ROW, mpp=1e-6), "1e-06 µm per pixel"),
        (replace(ROW, split="holdout"), "holdout"),
        (replace(ROW, image="a.png"), "twice, in row 1"),
        (replace(ROW, group=""), "lacks"),
        (replace(ROW, mpp=0.0), "µm per pixel"),
        (replace(ROW, mpp=math.inf), "µm per pixel"),
        (replace(MADE, split="val"), "synthetic and in val"),
        (replace(MADE, split="test"), "synthetic and in test"),
        (replace(MADE, generator=""), "must name its generator"),
        (replace(MADE, generator_groups=""), "hash of the groups"),
        (replace(MADE, synthetic=False), "not marked synthetic"),
        (replace(ROW, image="../secret.png"), "leaves its root"),
        (replace(ROW, image="/etc/secret.png"), "leaves its root"),
        (replace(ROW, mask="b\\..\\..\\secret.png"), "leaves its root"),
        (replace(ROW, mask="C:secret.png"), "leaves its root"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_and_its_row_is_named(row, words):
    if row.image == "a.png" and row.mask == ROW.mask and "twice" not in words:
        row = replace(row, image="bad.png")
    with pytest.raises(ManifestError, match=words) as caught:
        Manifest([ROW, row])
    assert f"row 2 ({row.image})" in str(caught.value)


def test_a_manifest_without_cells_is_refused():
    with pytest.raises(ManifestError, match="no cells"):
        Manifest([])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([ROW, replace(ROW, image="b.png", label="lymphocyte")], "no real cells in val"),
        ([ROW, replace(ROW, image="b.png", group="2", split="val", label="lymphocyte")], r"row 1 \(a.png\).*one class"),
        ([replace(ROW, split="val"), MADE, replace(MADE, image="t.png", label="monocyte")], "no real cells in train"),
    ],
)
def test_one_class_or_a_missing_split_stops_training_before_it_starts(rows, words):
    with pytest.raises(ManifestError, match=words):
        Manifest(rows).check_classes()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_manifest_that_went_through_a_spreadsheet_is_the_same(tmp_path, mark, end, delimiter):
    before = Manifest([ROW, replace(MADE, mpp=math.nan)])
    text = before.to_csv().replace("true", "TRUE")
    if delimiter == ";":
        text = text.replace(",", ";").replace("0.05", "0,05")
    (tmp_path / "m.csv").write_text(mark + text.replace("\n", end), encoding="utf-8", newline="")
    assert Manifest.read(tmp_path / "m.csv").sha256 == before.sha256


def test_one_file_under_two_spellings_is_listed_twice():
    for other in ("./a.png", ".//a.png"):
        with pytest.raises(ManifestError, match="listed twice"):
            Manifest([ROW, replace(ROW, image=other)])


def test_text_that_is_no_manifest_is_refused(tmp_path):
    for name, text in (("m.csv", Manifest([ROW]).to_csv() + "x" * 200_000), ("m.json", "[" * 100_000)):
        (tmp_path / name).write_text(text)
        with pytest.raises(ManifestError, match=f"{name}: is no"):
            Manifest.read(tmp_path / name)


def test_a_file_of_other_columns_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text("image,label\na.png,blast\n")
    with pytest.raises(ManifestError, match="columns"):
        Manifest.read(tmp_path / "m.csv")
    with pytest.raises(ManifestError, match=r"cannot be read .*Check the path"):
        Manifest.read(tmp_path / "absent.csv")
    (tmp_path / "m.csv").write_bytes("é".encode("latin-1"))
    with pytest.raises(ManifestError, match=r"cannot be read .*UTF-8"):
        Manifest.read(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("b.png,,blast,g,s,much,train", r"row 2 \(b.png\) has 'much' µm"),
        ("b.png,,blast,g", r"row 2 \(b.png\) has too few"),
        ("b.png,,blast,g,s,0.1,train,true,more", r"row 2 \(b.png\) has too few or too many"),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, words):
    Manifest([ROW]).write(tmp_path / "m.csv")
    with (tmp_path / "m.csv").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(ManifestError, match=words):
        Manifest.read(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mpp": "0.1"}, r"row 2 \(b.png\) mpp"),
        ({"group": ""}, r"row 2 \(b.png\) group"),
        ({"unicorn": 1}, r"row 2 \(b.png\).*unicorn"),
        ({"split": "holdout"}, r"row 2 \(b.png\) split"),
    ],
)
def test_json_against_the_schema_is_refused_and_the_row_named(tmp_path, change, words):
    file = tmp_path / "m.json"
    Manifest([ROW, replace(ROW, image="b.png")]).write(file)
    value = json.loads(file.read_text())
    value["rows"][1] |= change
    file.write_text(json.dumps(value))
    with pytest.raises(ManifestError, match=words):
        Manifest.read(file)
    file.write_text("[1,")
    with pytest.raises(ManifestError, match="no JSON"):
        Manifest.read(file)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(tmp_path / name)
    Image.fromarray(np.ones((20, 30), np.uint8)).save(tmp_path / "a-mask.png")
    return tmp_path


def test_files_that_are_whole_pass_and_progress_is_told(folder):
    seen = []
    Manifest([ROW, replace(ROW, image="b.png")]).check_files([folder], True, lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]


def test_a_source_may_be_called_anything(folder, tmp_path):
    rows = [replace(ROW, source="../Lab A/1 " + "x" * 300)]
    crops = load_crops(Manifest(rows), [folder], CropSpec(size=32, mpp=0.5), tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("crops-*.npz"))) == 1
    assert crops.pixels.shape[0] == 1


@pytest.mark.parametrize("replaced", ["a.png", "a-mask.png"])
def test_crops_are_made_anew_where_a_file_was_replaced(folder, tmp_path, replaced):
    done = []

    def crops():
        spec = CropSpec(size=32, mpp=0.5)
        return load_crops(Manifest([ROW]), [folder], spec, tmp_path / "cache", lambda *at: done.append(at))

    before = crops()
    assert np.array_equal(crops().pixels, before.pixels)
    assert len(done) == 1
    old = folder / replaced
    with Image.open(old) as image:
        other = np.asarray(image).copy()
    other[:, 10:] = 0
    Image.fromarray(other).save(old)
    os.utime(old, (0, 0))  # as an archive or a file manager keeps it
    assert not np.array_equal(crops().pixels, before.pixels)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_crops_that_do_not_say_what_they_were_made_from_are_made_anew(folder, tmp_path):
    made = load_crops(Manifest([ROW]), [folder], CropSpec(size=32, mpp=0.5), tmp_path / "cache")
    file = next((tmp_path / "cache").iterdir())
    np.savez(file, pixels=np.zeros_like(made.pixels), diameters=made.diameters)
    again = load_crops(Manifest([ROW]), [folder], CropSpec(size=32, mpp=0.5), tmp_path / "cache")
    assert np.array_equal(again.pixels, made.pixels)


def test_a_missing_picture_or_outline_is_named(folder):
    with pytest.raises(ManifestError, match=r"row 2 \(c.png\) names c.png"):
        Manifest([ROW, replace(ROW, image="c.png")]).check_files([folder])
    with pytest.raises(ManifestError, match=r"row 1 \(a.png\) names no.png"):
        Manifest([replace(ROW, mask="no.png")]).check_files([folder])


@pytest.mark.parametrize("keep", [0, 10, 0.6, 0.95])
def test_a_picture_cut_short_is_named(folder, keep):
    whole = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(ManifestError, match=r"row 2 \(b.png\) names b.png, which is damaged"):
        Manifest([ROW, replace(ROW, image="b.png")]).check_files([folder])


def test_an_outline_of_another_size_is_named(folder):
    Image.fromarray(np.ones((20, 29), np.uint8)).save(folder / "a-mask.png")
    with pytest.raises(ManifestError, match=r"row 1 \(a.png\) has an outline a-mask.png of 29×20"):
        Manifest([ROW]).check_files([folder])


def test_a_scale_is_asked_for_only_where_it_is_needed(folder):
    manifest = Manifest([replace(ROW, mpp=math.nan)])
    manifest.check_files([folder])
    with pytest.raises(ManifestError, match=r"row 1 \(a.png\) gives no µm per pixel"):
        manifest.check_files([folder], scale=True)


def test_a_link_out_of_the_data_folder_is_refused(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (folder / "b.png").rename(outside / "b.png")
    try:
        (folder / "b.png").symlink_to(outside / "b.png")
    except OSError:
        pytest.skip("no symbolic links here")
    manifest = Manifest([ROW, replace(ROW, image="b.png")])
    with pytest.raises(ManifestError, match=r"row 2 \(b.png\).*link out"):
        manifest.check_files([folder])
    manifest.check_files([folder, outside])


def test_held_out_groups_are_never_trained_on():
    groups = [
        *HELD_OUT_PATIENTS,
        "cnmc-51",
        "cnmc-2",
        *(f"Im{i:03d}" for i in range(1, 84)),
        *(f"x{i}" for i in range(200)),
    ]
    for group in groups:
        assert (split_of(group) == "test") == is_held_out(group)
    assert {split_of(g) for g in groups} == {"train", "val", "test"}
