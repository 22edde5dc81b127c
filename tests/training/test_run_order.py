from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from smears import BRIGHT, YELLOW, small_smear
from typer.testing import CliRunner

from leukoscope.classification import CropSpec, load_model
from leukoscope.classification.preprocess import Chain
from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain import _options as options
from leukotrain import space
from leukotrain.cli import app
from leukotrain.data.cache import FINER, load_crops
from leukotrain.data.manifest import Manifest, ManifestError, Row
from leukotrain.evaluate import predict
from leukotrain.run import classes_of, is_first_process, shares_of, train
from leukotrain.settings import Settings
from leukotrain.transforms import fit_stain, stain_of_groups

MPP = 0.25


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> tuple[Path, Manifest]:
    """Four slides of two looks; each cell a picture with glass around it, and its outline."""
    folder = tmp_path_factory.mktemp("cells")
    rows = []
    for slide in range(4):
        smear = small_smear(slide, 512, MPP, 10, (BRIGHT, YELLOW)[slide % 2])
        for cell in np.unique(smear.cells)[1:]:
            y, x = (int(values.mean()) for values in np.nonzero(smear.cells == cell))
            if not (48 <= y < 464 and 48 <= x < 464):
                continue
            part = np.s_[y - 48 : y + 48, x - 48 : x + 48]
            name, label = f"{slide}-{cell}", ("neutrophil", "lymphocyte")[len(rows) % 2]
            Image.fromarray(smear.rgb[part]).save(folder / f"{name}.png")
            Image.fromarray((smear.cells[part] == cell).astype(np.uint8) * 255).save(folder / f"{name}-mask.png")
            split = ("train", "train", "val", "test")[slide]
            rows.append(Row(f"{name}.png", f"{name}-mask.png", label, f"slide-{slide}", "mine", MPP, split))
    manifest = Manifest(rows)
    manifest.write(folder / "manifest.csv")
    return folder, manifest


def test_stain_is_normalized_in_training_as_at_inference(pictures, tmp_path):
    folder, manifest = pictures
    spec = CropSpec(size=40, mpp=0.4)
    read = lambda row: np.asarray(Image.open(folder / row.image))  # noqa: E731
    stains = stain_of_groups(fit_stain(manifest, read), manifest, read)
    assert any(step.source is not None for step in stains.values())
    before = load_crops(manifest, [folder], spec, tmp_path)
    crops = load_crops(manifest, [folder], spec, tmp_path, stains=stains)
    assert len(list(tmp_path.iterdir())) == 2  # kept apart
    assert np.abs(before.pixels.astype(int) - crops.pixels).max() > 0
    again = load_crops(manifest, [folder], spec, tmp_path, stains=stains)
    assert np.array_equal(crops.pixels, again.pixels)
    fine = replace(spec, size=round(40 * FINER), mpp=0.4 * 40 / round(40 * FINER))
    for i, row in enumerate(manifest):
        mask = np.asarray(Image.open(folder / row.mask)) > 0
        seen = Chain((stains[row.group],)).crop(read(row), mask, row.mpp, fine)
        assert np.array_equal(seen, crops.pixels[i, ..., :3])


def test_crops_that_will_not_fit_on_the_disk_are_not_begun(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda at: type("Usage", (), {"free": 10})())
    with pytest.raises(LeukoscopeError, match="the crops of mine take up to"):
        load_crops(pictures[1], [pictures[0]], CropSpec(size=40, mpp=0.4), tmp_path)


def test_a_model_with_steps_is_trained_shipped_and_asked(pictures, tmp_path):
    folder, manifest = pictures
    settings = Settings(
        architecture="mobilenetv2_050",
        sources=(),
        epochs=1,
        epoch_cells=8,
        batch=4,
        threads=1,
        device="cpu",
        shares=shares_of(manifest, "train"),
        val_shares=shares_of(manifest, "val"),
    )
    spec = CropSpec(size=32, mpp=0.5)
    steps = options.plan(["stain_normalize", "gaussian_blur:sigma=1", "alhe:tile=8,clip=1.5"])
    classes = classes_of(manifest)
    train(manifest, [folder], tmp_path / "work", tmp_path / "m", "mine", classes, spec, settings, steps, "fitted")
    model = load_model(tmp_path / "m", device="cpu")
    assert [step.name for step in model.bundle.steps] == ["stain_normalize", "gaussian_blur", "alhe"]
    assert model.bundle.fitted is not None
    assert model.classes == ("lymphocyte", "neutrophil")
    card = (tmp_path / "m" / "README.md").read_text()
    assert "| mine | its owner's | cells |" in card
    assert "C-NMC" not in card
    # evaluation looks at each slide first, as an analysis does
    rows = [row for row in manifest if row.split != "train"]
    proba = predict(model, rows, [folder])
    its = [i for i, row in enumerate(rows) if row.split == "test"]
    images = [np.asarray(Image.open(folder / rows[i].image)) for i in its]
    masks = [np.asarray(Image.open(folder / rows[i].mask)) > 0 for i in its]
    one = model.for_slide(np.concatenate([image.reshape(-1, 3) for image in images]))
    np.testing.assert_allclose(proba[its], one.predict_proba(images, masks, MPP), atol=1e-5)


def test_the_command_line_trains_on_a_manifest_of_ones_own(pictures, tmp_path):
    command = ["fit", "--manifest", str(pictures[0] / "manifest.csv"), "--work", str(tmp_path), "--no-measure"]
    command += ["--architecture", "mobilenetv2_050", "--epochs", "1", "--epoch-cells", "8", "--batch", "4"]
    command += ["--steps", "gaussian_blur:sigma=1", "--augment", "traditional", "--balance", "class_weights"]
    command += ["--precision", "bf16-mixed", "--accumulate", "2", "--threads", "1", "--out", str(tmp_path / "model")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "train_loss" in done.stderr
    training = load_model(tmp_path / "model").bundle.training
    assert training["settings"]["balance"] == "class_weights"
    assert training["settings"]["augmentation"]["degrees"] == 30


@pytest.mark.parametrize(
    ("name", "size", "out", "words"),
    [
        ("Bad Name!", 32, "model", "name"),
        ("mine", 20, "model", r"crop\.size"),
        ("mine", 32, "busy", "no bundle"),
        ("mine", 32, "busy/file", "is a file"),
    ],
)
def test_what_no_bundle_can_be_is_told_before_training(pictures, tmp_path, monkeypatch, name, size, out, words):
    (tmp_path / "busy").mkdir()
    (tmp_path / "busy" / "file").write_text("of somebody")
    monkeypatch.setattr("leukotrain.run.load_crops", lambda *at, **how: pytest.fail("began"))
    settings, spec = Settings(architecture="cnn_rnn", sources=(), device="cpu"), CropSpec(size=size, mpp=0.5)
    with pytest.raises(LeukoscopeError, match=words):
        train(pictures[1], [pictures[0]], tmp_path, tmp_path / out, name, ("blast", "monocyte"), spec, settings)


@pytest.mark.parametrize(
    ("text", "words"),
    [("sepia", "no step"), ("alhe:tile", "no setting"), ("alhe:=2", "no setting"), ("../alhe", "no step")],
)
def test_steps_that_mean_nothing_are_refused(text, words):
    with pytest.raises(SettingsError, match=words):
        options.plan([text])


def test_steps_are_read_as_written():
    assert options.plan(["alhe:tile=28,clip=2.5", "pca_reconstruct:color=true,stored=float16"]) == [
        ("alhe", {"tile": 28, "clip": 2.5}),
        ("pca_reconstruct", {"color": True, "stored": "float16"}),
    ]
    with pytest.raises(SettingsError, match="no augmentation"):
        options.augmentation("tradition")


def test_an_impossible_plan_ends_before_crops_are_made(pictures, tmp_path):
    folder, manifest = pictures
    settings = Settings(architecture="cnn", sources=())
    spec, classes = CropSpec(size=32, mpp=0.5), classes_of(manifest)
    for steps, normalize, words in (
        ([("stain_normalize", {"tile": 3})], "half", "no such setting"),
        ([], "quarter", "normalization"),
    ):
        with pytest.raises(SettingsError, match=words):
            train(manifest, [folder], tmp_path / "w", tmp_path / "m", "m", classes, spec, settings, steps, normalize)
    assert not (tmp_path / "w").exists()


def test_classes_are_as_fine_as_the_labels():
    def rows(*labels: str) -> Manifest:
        return Manifest(Row(f"{i}.png", "", label, f"g{i}", "mine", 1, "train") for i, label in enumerate(labels))

    assert classes_of(rows("neutrophil", "blast")) == ("blast", "neutrophil")
    assert classes_of(rows("neutrophil", "neutrophil_band|blast")) == ("blast", "neutrophil_band")


def test_only_the_first_process_writes(monkeypatch):
    for name in ("RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert not is_first_process()
    monkeypatch.setenv("RANK", "0")
    assert is_first_process()


def test_damage_of_any_kind_names_its_row(pictures, monkeypatch):
    folder, manifest = pictures

    def stumble(file):
        raise KeyError("a decoder's own mistake")

    monkeypatch.setattr("leukoscope.slides._image.Image.open", stumble)
    with pytest.raises(ManifestError, match=r"row 1 \(.*damaged"):
        manifest.check_files([folder])
