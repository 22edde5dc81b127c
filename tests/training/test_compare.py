from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from leukoscope.classification import CropSpec, load_model
from leukoscope.errors import SettingsError
from leukotrain import _options as options
from leukotrain import compare as comparing
from leukotrain._arms import EVERY_STEP, QUICK, Arm, arms_of, crops_for, labeled, restricted
from leukotrain.cli import app
from leukotrain.compare import BASELINES, Result, compare
from leukotrain.compare_table import caption, markdown
from leukotrain.data.manifest import Manifest, ManifestError, Row
from leukotrain.guards import GuardError
from leukotrain.initial import encoder_groups
from leukotrain.metrics import Metric
from leukotrain.run import shares_of
from leukotrain.settings import Settings

CLASSES = ("blast", "lymphocyte")
SPEC = CropSpec(size=32, mpp=0.5)
TINY = ("mobilenetv2_050", "cnn_rnn")


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> tuple[Path, Manifest]:
    """Plain cells and striped ones, of two sources, six patients each."""
    folder, rng, rows = tmp_path_factory.mktemp("cells"), np.random.default_rng(0), []
    y, x = np.mgrid[:48, :48]
    inside = np.hypot(y - 24, x - 24) < 18
    for source in ("mine", "theirs"):
        for patient in range(6):
            for i in range(4):
                image = np.full((48, 48, 3), 250, np.uint8)
                blotches = np.kron(rng.integers(90, 220, (6, 6, 3)), np.ones((8, 8, 1), int))  # no two alike
                image[inside] = blotches[inside]
                if patient % 2:
                    image[20:28, 12:36] = 30
                name = f"{source}-{patient}-{i}"
                Image.fromarray(image).save(folder / f"{name}.png")
                Image.fromarray(inside.astype(np.uint8) * 255).save(folder / f"{name}-mask.png")
                split = ("train", "val", "test")[patient // 2]
                group = f"{source}-{patient}"
                rows.append(
                    Row(f"{name}.png", f"{name}-mask.png", CLASSES[1 - patient % 2], group, source, 0.25, split)
                )
    manifest = Manifest(rows)
    manifest.write(folder / "manifest.csv")
    return folder, manifest


@pytest.fixture(autouse=True)
def untrained_baselines(monkeypatch):
    """The trivial methods take seconds, and have their own tests."""
    found = [Metric("AUROC, blast: cell's diameter", "mine", 0.5, 0.4, 0.6, 8, 2, "baseline")]
    monkeypatch.setattr("leukotrain.baselines.baseline_metrics", lambda *_: found)


def settings_for(manifest: Manifest) -> Settings:
    shares = {"shares": shares_of(manifest, "train"), "val_shares": shares_of(manifest, "val")}
    return Settings(epochs=1, epoch_cells=8, batch=4, threads=1, device="cpu", **shares)


def test_arms_are_compared_once_and_one_that_fails_stops_no_other(cells, tmp_path, monkeypatch):
    folder, manifest = cells
    mine = restricted(manifest, "mine")
    settings, asked = settings_for(mine), []
    real = comparing.train

    def train(*args, **more):
        asked.append(args[7].architecture)
        if args[7].architecture == "cnn_rnn" and len(asked) == 2:
            raise RuntimeError("not enough\nmemory")
        return real(*args, **more)

    monkeypatch.setattr(comparing, "train", train)
    arms = arms_of([*TINY, "nonsense"])
    first = list(compare(arms, mine, [folder], tmp_path, CLASSES, SPEC, settings))
    assert asked == list(TINY)
    assert [bool(r.error) for r in first] == [False, True, True, False]
    assert first[1].error == "RuntimeError: not enough memory"
    assert "unknown architecture" in first[2].error
    done = first[0]
    assert (done.weights, done.size, done.epochs) == ("random", 32, 1)
    assert done.parameters > 100_000
    assert done.seconds > 0
    assert done.rate > 0
    assert {m["data"] for m in done.metrics} == {"mine"}  # nothing of the other source
    assert {"AUROC, blast", "sensitivity, blast", "macro-F1"} <= {m["name"] for m in done.metrics}
    assert not list(tmp_path.rglob("*.safetensors"))  # neither bundles nor checkpoints are kept

    again = list(compare(arms, mine, [folder], tmp_path, CLASSES, SPEC, settings))
    assert asked == [*TINY, "cnn_rnn"]  # what is done is read, what failed is tried again
    assert again[0] == done
    assert not again[1].error
    other = replace(settings, epochs=2)
    list(compare(arms[:1], mine, [folder], tmp_path, CLASSES, SPEC, other))
    assert asked[3:] == ["mobilenetv2_050"]  # other settings are another comparison


def test_a_killed_arm_goes_on_from_its_checkpoint(cells, tmp_path):
    folder, manifest = cells
    settings = replace(settings_for(manifest), epochs=2)
    seen = []

    def killed(at):
        if at.epoch == 1:
            raise KeyboardInterrupt

    arm = [Arm("mobilenetv2_050")]
    with pytest.raises(KeyboardInterrupt):
        list(compare(arm, manifest, [folder], tmp_path, CLASSES, SPEC, settings, progress=killed))
    found = compare(arm, manifest, [folder], tmp_path, CLASSES, SPEC, settings, keep=True, progress=seen.append)
    done = next(found)
    assert {at.epoch for at in seen} == {1}
    assert done.epochs == 2
    bundle = next((tmp_path / "compare").glob("*/model.json")).parent
    assert load_model(bundle, device="cpu").classes == CLASSES
    assert not list(tmp_path.glob("compare-*"))


def test_the_command_line_compares_steps_and_prints_the_table(cells, tmp_path):
    out = tmp_path / "found.json"
    command = ["compare", "--manifest", str(cells[0] / "manifest.csv"), "--work", str(tmp_path), "--source", "mine"]
    command += ["--architecture", "mobilenetv2_050", "--steps", "gaussian_blur:sigma=1+normalize", "--device", "cpu"]
    command += ["--epochs", "1", "--epoch-cells", "8", "--batch", "4", "--threads", "1", "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "| mobilenetv2_050 | 0 | random | 112 | mine | " in done.stdout
    assert "| mobilenetv2_050, gaussian_blur:sigma=1+normalize | 0 | random | 112 | mine | " in done.stdout
    assert "1 epochs of 8 cells" not in done.stdout
    assert "1 epoch of 8 cells" in done.stdout
    values = json.loads(out.read_text())
    assert [arm["name"] for arm in values["arms"]][-1] == BASELINES
    assert out.with_suffix(".md").read_text() in done.stdout + "\n"
    picture = out.with_suffix(".svg").read_text()
    assert "mobilenetv2_050, gaussian_blur:sigma=1+normalize (random)" in picture
    assert "mine: AUROC, blast" in picture


def test_arms_are_read_as_written():
    arms = arms_of(["cnn", "wpat"], ["alhe:tile=28,clip=2"], [0, 1])
    assert [(a.name, a.seed) for a in arms[:4]] == [
        ("cnn", 0), ("cnn", 1), ("cnn, alhe:tile=28,clip=2", 0), ("cnn, alhe:tile=28,clip=2", 1),
    ]  # fmt: skip
    assert [a.steps for a in arms_of(["cnn"], ["each", "alhe"])] == ["", *EVERY_STEP]
    assert "pca_features" not in EVERY_STEP
    assert options.arm_plan("stain_normalize+gaussian_blur:sigma=1e+0+normalize") == (
        [("stain_normalize", {}), ("gaussian_blur", {"sigma": 1.0})],
        "fitted",
    )
    assert options.arm_plan("") == ([], "half")
    for text in ("sepia", "alhe:tile", "alhe+", "alhe++normalize"):
        with pytest.raises(SettingsError):
            arms_of(["cnn"], [text])
    with pytest.raises(SettingsError, match="nothing to compare"):
        arms_of([])


def test_a_share_of_the_labels_is_of_every_label_and_within_every_larger_share(cells):
    _, manifest = cells
    kept = [{row.image for row in labeled(manifest, share) if row.split == "train"} for share in (0.01, 0.3, 0.8, 1)]
    assert [len(images) for images in kept] == [4, 4, 12, 16]
    assert all(few < many or few == many for few, many in pairwise(kept))
    few = labeled(manifest, 0.3)
    assert {(r.source, r.label) for r in few if r.split == "train"} == {(r.source, r.label) for r in manifest}
    assert [r for r in few if r.split != "train"] == [r for r in manifest if r.split != "train"]
    for share in (0, 1.5, float("nan")):
        with pytest.raises(SettingsError, match="above 0 and at most 1"):
            labeled(manifest, share)


def test_what_pretraining_adds_is_compared_by_share_of_the_labels(cells, tmp_path):
    pretraining = ["--manifest", str(cells[0] / "manifest.csv"), "--work", str(tmp_path), "--threads", "1"]
    pretraining += ["--size", "96", "--epochs", "1", "--batch", "8", "--device", "cpu"]
    done = CliRunner().invoke(app, ["pretrain", *pretraining, "--out", str(tmp_path / "encoder")])
    assert done.exit_code == 0, done.output
    encoder = tmp_path / "encoder" / "encoder.safetensors"
    assert str(encoder) in done.stdout
    assert set(encoder_groups(encoder)) == {row.group for row in cells[1] if row.split != "test"}

    command = ["compare", "--manifest", str(cells[0] / "manifest.csv"), "--work", str(tmp_path), "--source", "mine"]
    command += ["--architecture", "convnextv2_atto", "--labels", "0.5", "--weights", str(encoder), "--device", "cpu"]
    command += ["--epochs", "1", "--epoch-cells", "4", "--batch", "4", "--threads", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "| convnextv2_atto, 0.5 of the labels | 0 | random | 112 | mine | " in done.stdout
    assert "| convnextv2_atto, 0.5 of the labels | 0 | encoder.safetensors | 112 | mine | " in done.stdout

    moved = Manifest(
        [replace(row, split={"train": "test", "test": "train"}.get(row.split, row.split)) for row in cells[1]]
    )
    moved.write(cells[0] / "moved.csv")
    command[2] = str(cells[0] / "moved.csv")
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, GuardError)
    assert "was trained on and is to be measured on" in str(refused.exception)


def test_first_weights_are_named():
    weights = {name: Arm(name).weights for name in QUICK}
    assert weights["tf_efficientnet_lite0"] == "ImageNet"
    assert weights["wpat"] == "ImageNet (backbone)"
    assert weights["resnet31"] == "random"
    assert Arm("wpat", random=True).sources == ()


def test_crops_are_the_same_for_all_but_who_cannot_see_them():
    spec = CropSpec(size=112, mpp=0.15)
    assert crops_for(Arm("vgg19"), 2, spec) == spec
    assert crops_for(Arm("vgg19", "alhe+balance"), 2, replace(spec, balance="none")) == spec
    wide = crops_for(Arm("maxvit_tiny_tf_224"), 2, spec)
    assert wide.size == 128
    assert wide.size * wide.mpp == pytest.approx(112 * 0.15)
    with pytest.raises(SettingsError, match="unknown architecture"):
        crops_for(Arm("nonsense"), 2, spec)


def test_a_source_that_is_not_there_is_refused(cells):
    assert {row.source for row in restricted(cells[1], "theirs")} == {"theirs"}
    assert restricted(cells[1], None) is cells[1]
    with pytest.raises(ManifestError, match="There are: mine, theirs"):
        restricted(cells[1], "yours")


def test_the_table_is_as_it_was():
    def metric(name: str, value: float | None, data: str = "C-NMC") -> dict[str, object]:
        return Metric(name, data, value, value and value - 0.1, value and value + 0.1, 9, 3).to_json()

    model = (metric("AUROC, blast", 0.8), metric("balanced accuracy", 0.6), metric("macro-F1", 0.7, "PBC"))
    trivial = (metric("macro-F1: frozen features", 0.5), metric("AUROC, blast: cell's diameter", 0.9))
    results = [
        Result("cnn", 0, "random", 112, 23068034, 2, 61.4, 172.3, model),
        Result("vgg19", 0, "random", error="no memory | none"),
        Result(BASELINES, size=112, metrics=trivial),
    ]
    assert markdown(results).splitlines() == [
        "| arm | seed | first weights | crop, px | data | AUROC | average precision | balanced accuracy | sensitivity "
        "| specificity | macro-F1 | ECE | parameters | training, s | cells / s |",
        "|" + "---|" * 15,
        "| cnn | 0 | random | 112 | C-NMC | 0.800 (0.700–0.900) |  | 0.600 (0.500–0.700) |  |  |  |  "
        "| 23,068,034 | 61 | 172 |",
        "| cnn | 0 | random | 112 | PBC |  |  |  |  |  | 0.700 (0.600–0.800) |  | 23,068,034 | 61 | 172 |",
        "| vgg19 | 0 | random |  | not measured: no memory / none |  |  |  |  |  |  |  |  |  |  |",
        "| frozen features |  | ImageNet, frozen | 112 | C-NMC |  |  |  |  |  | 0.500 (0.400–0.600) |  |  |  |  |",
        "| cell's diameter |  |  | 112 | C-NMC | 0.900 (0.800–1.000) |  |  |  |  |  |  |  |  |  |",
    ]  # fmt: skip


def test_the_caption_says_what_was_reduced_and_what_validation_lacks(cells):
    mine = restricted(cells[1], "mine")
    told = caption(mine, settings_for(mine), 112)
    assert "Trained on 8 cells of 2 groups, validated on 8 cells of 2 groups, measured on 8 cells of 2 groups" in told
    assert "Reduced: the usual training is 12 epochs of 5120 cells" in told
    assert ", style augmentation;" in told
    assert ", no augmentation;" in caption(mine, replace(settings_for(mine), augmentation=None), 112)
    assert "of one class" not in told
    blasts = Manifest([row for row in mine if row.split != "val" or row.label == "blast"])
    assert "All validation cells are of one class (blast)" in caption(blasts, settings_for(mine), 112)
    assert "Reduced" not in caption(mine, Settings(), 112)
