"""What a model relies on: planted cues are found, absent ones are not, and a model without eyes for color is steady."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from leukoscope.classification import Bundle, CropSpec, load_model, write_bundle
from leukoscope.classification.networks import build
from leukotrain._look import CHANGES, eye, given_by_style, pictures_of
from leukotrain.cli import app
from leukotrain.data.cache import Crops
from leukotrain.data.manifest import Manifest, Row
from leukotrain.guards import GuardError
from leukotrain.probe import probe, some, source_probe, style_metrics, swap_metrics

SIZE = 32
CLASSES = ("blast", "lymphocyte")


def rows_of(count: int, label: str = "lymphocyte", sources: tuple[str, ...] = ("a", "b")) -> list[Row]:
    """Cells of each source, in groups of five, half of the groups held out."""
    return [
        Row(f"{s}-{label}-{i}.png", "", label, f"{s}-{label}-{i // 5}", s, 0.3, ("train", "test")[i // 5 % 2])
        for s in sources
        for i in range(count)
    ]


def disks(count: int) -> Crops:
    """Dark cells of several sizes on white."""
    y, x = np.mgrid[:40, :40]
    pixels = np.full((count, 40, 40, 4), 255, np.uint8)
    rng = np.random.default_rng(0)
    for i, crop in enumerate(pixels):
        body = np.hypot(y - 19.5, x - 19.5) < 8 + i % 9
        crop[body, :3] = rng.integers(110, 150, (int(body.sum()), 3))
        crop[~body, 3] = 0
    return Crops(pixels, np.full(count, 10, np.float32))


def test_a_planted_cue_is_found_and_chance_where_there_is_none():
    rows = rows_of(200)
    noise = np.random.default_rng(0).normal(size=(len(rows), 6))
    planted = noise.copy()
    planted[:, 2] += [6.0 * (row.source == "a") for row in rows]
    found, none = (source_probe("features", values, rows, "lymphocyte") for values in (planted, noise))
    assert found.value > 0.97
    assert found.low > 0.9
    assert none.low < 0.5 < none.high
    assert none.data == "lymphocyte: a, b"
    assert "chance 0.50" in none.name
    assert none.cells == sum(row.split == "test" for row in rows)
    assert not none.note


def test_a_probe_takes_two_sources_and_says_when_one_is_a_single_group():
    rows = rows_of(40)
    values = np.random.default_rng(0).normal(size=(len(rows), 3))
    one = [row.source == "a" for row in rows]
    assert source_probe("x", values[one], [row for row in rows if row.source == "a"], "blast") is None
    lone = [replace(row, group="b-0") if row.source == "b" and row.split == "test" else row for row in rows]
    assert "one group" in source_probe("x", values, lone, "blast").note


def test_cells_are_drawn_by_source_class_and_split_and_repeat():
    rows = rows_of(60) + rows_of(8, "blast") + [Row("s", "", "blast", "g", "a", 1, "train", True, "gan", "0")]
    chosen = some(rows, 10, 3)
    assert chosen == some(rows, 10, 3)
    assert chosen != some(rows, 10, 4)
    counts: dict[tuple[str, str, str], int] = {}
    for i in chosen:
        key = rows[i].source, rows[i].label, rows[i].split
        counts[key] = counts.get(key, 0) + 1
    assert counts["a", "lymphocyte", "test"] == counts["b", "lymphocyte", "train"] == 10
    assert counts["a", "blast", "test"] == 3
    assert not any(rows[i].synthetic for i in chosen)


def test_style_moves_what_looks_at_color_and_nothing_else():
    crops = disks(60)
    before = pictures_of(crops, SIZE)
    usual = float(np.median(before[..., 0].mean((1, 2))))

    def by_size(pictures):
        return ((pictures < 255).any(axis=3).mean((1, 2)) > 0.4).astype(int)

    def by_color(pictures):
        return (pictures[..., 0].mean((1, 2)) > usual).astype(int)

    given = given_by_style([by_size, by_color], crops, SIZE, seed=1)
    assert given.shape == (2, CHANGES, 2, 60)
    assert np.array_equal(given, given_by_style([by_size, by_color], crops, SIZE, seed=1))
    assert 0 < given[0].mean() < 1
    rows = rows_of(30)
    steady, moved = (style_metrics(given[m : m + 1], ["it"], rows, blast=0) for m in (0, 1))
    assert [m.value for m in steady] == [0] * 4
    assert all(m.high > 0 for m in steady)
    assert all(m.value > 0 for m in moved)
    assert {m.data for m in steady} == {"a", "b"}


def test_reliance_on_source_shows_as_a_gap():
    rows = rows_of(40) + rows_of(40, "blast")
    called = np.array([row.source == "a" for row in rows])
    proba = np.where(called[:, None], (0.9, 0.1), (0.2, 0.8))
    by_source = {(m.name, m.data): m for m in swap_metrics(rows, proba, CLASSES)}
    assert by_source["called blast, gap", "a less b, lymphocyte"].value == 1
    assert by_source["called blast", "a, lymphocyte"].value == 1
    assert by_source["called lymphocyte", "b, blast"].value == 1
    assert by_source["mean probability of blast", "b, lymphocyte"].value == pytest.approx(0.2)
    right = np.array([(0.9, 0.1) if row.label == "blast" else (0.1, 0.9) for row in rows])
    assert all(m.value == 0 for m in swap_metrics(rows, right, CLASSES) if m.name.endswith("gap"))


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """Two laboratories' cells, a manifest of them, and a bundle of chance weights."""
    folder = tmp_path_factory.mktemp("probe")
    crops, rows = disks(12), rows_of(12) + rows_of(12, "blast")
    for i, row in enumerate(rows):
        Image.fromarray(crops.pixels[i % 12, ..., :3]).save(folder / row.image)
    Image.fromarray(crops.pixels[8, ..., 3]).save(folder / "body.png")
    Manifest(replace(row, mask="body.png") for row in rows).write(folder / "manifest.csv")
    torch.manual_seed(1)
    training = {"manifest_sha256": "0" * 64, "groups": {"a": ["seen"]}, "history": [], "settings": {"seed": 1}}
    bundle = Bundle("toy", "cnn", CLASSES, CropSpec(size=SIZE, mpp=0.4), training)
    write_bundle(folder / "toy", bundle, build("cnn", 2, SIZE).state_dict(), "a card")
    return folder


def test_the_network_is_asked_as_at_inference(lab):
    model = load_model(lab / "toy", device="cpu")
    crops = disks(5)
    images, masks = list(crops.pixels[..., :3]), list(crops.pixels[..., 3] > 0)
    embedding, classes = eye(model)(model.crops(images, masks, 0.3))
    assert np.allclose(embedding, model.embed(images, masks, 0.3), atol=1e-4)
    assert np.array_equal(classes, model.predict_proba(images, masks, 0.3).argmax(axis=1))


def test_the_command_prints_tables_and_writes_json(lab, tmp_path):
    arguments = ["probe", str(lab / "toy"), "--manifest", str(lab / "manifest.csv"), "--work", str(tmp_path)]
    file = tmp_path / "probe.json"
    ran = CliRunner().invoke(app, [*arguments, "--cells", "6", "--json", str(file)], catch_exceptions=False)
    assert ran.exit_code == 0
    values = json.loads(file.read_text())
    assert list(values["figures"]) == ["Source probe", "Another style, the same cell", "One class, several sources"]
    for title in values["figures"]:
        assert f"### {title}" in ran.output
    probed = {m["data"] for m in values["figures"]["Source probe"]}
    assert probed == {"blast: a, b", "lymphocyte: a, b", "all classes: a, b"}
    assert {m["cells"] for m in values["figures"]["Another style, the same cell"]} == {4}


def test_groups_seen_in_training_are_refused(lab, tmp_path):
    rows = [
        replace(row, group="seen") if row.group == "a-blast-1" else row for row in Manifest.read(lab / "manifest.csv")
    ]
    with pytest.raises(GuardError, match="seen was trained on"):
        probe(load_model(lab / "toy", device="cpu"), Manifest(rows), (lab,), tmp_path)
