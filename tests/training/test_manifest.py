from __future__ import annotations

from dataclasses import replace

import pytest

from leukotrain.data.manifest import Manifest, ManifestError, Row
from leukotrain.data.sources import split_of
from leukotrain.data.split import HELD_OUT_PATIENTS, is_held_out

ROW = Row("a.png", "a-mask.png", "blast", "patient-1", "cnmc", 0.05, "train")


def test_a_manifest_survives_its_file(tmp_path):
    rows = [ROW, replace(ROW, image="b.png", label="myelocyte|promyelocyte", mpp=0.1)]
    before = Manifest(rows)
    before.write(tmp_path / "manifest.csv")
    after = Manifest.read(tmp_path / "manifest.csv")
    assert after.rows == before.rows
    assert after.sha256 == before.sha256
    assert after.rows[1].allowed == ("myelocyte", "promyelocyte")


def test_the_hash_follows_every_row():
    assert Manifest([ROW]).sha256 != Manifest([replace(ROW, label="lymphocyte")]).sha256


def test_a_patient_in_two_splits_is_refused():
    with pytest.raises(ManifestError, match="patient-1 is in more than one split"):
        Manifest([ROW, replace(ROW, image="b.png", split="test")])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no cells"),
        ([replace(ROW, label="blast|unicorn")], "unicorn"),
        ([replace(ROW, split="holdout")], "holdout"),
        ([ROW, ROW], "twice"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(rows, words):
    with pytest.raises(ManifestError, match=words):
        Manifest(rows)


def test_a_file_of_other_columns_is_refused(tmp_path):
    (tmp_path / "m.csv").write_text("image,label\na.png,blast\n")
    with pytest.raises(ManifestError, match="columns"):
        Manifest.read(tmp_path / "m.csv")
    with pytest.raises(ManifestError, match="cannot be read"):
        Manifest.read(tmp_path / "absent.csv")


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
