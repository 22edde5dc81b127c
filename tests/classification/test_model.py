from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from leukoscope.classification import Bundle, Classifier, CropSpec, load_model
from leukoscope.classification.networks import build
from leukoscope.errors import BundleError, SettingsError

from .test_crops import cell

CLASSES = ("blast", "lymphocyte", "artefact")


def classifier(threshold: float = 0.0) -> Classifier:
    torch.manual_seed(0)
    bundle = Bundle("tiny", "tf_efficientnet_lite0", CLASSES, CropSpec(size=64, mpp=0.25), {}, threshold=threshold)
    return Classifier(bundle, build("tf_efficientnet_lite0", len(CLASSES)), "cpu")


@pytest.fixture(scope="module")
def model() -> Classifier:
    return classifier()


def test_rows_are_probabilities_whatever_the_sizes(model):
    images, masks = zip(*(cell(size, size / 3) for size in (20, 60, 131)), strict=True)
    proba = model.predict_proba(list(images), list(masks), mpp=[0.5, 0.2, 0.1])
    assert proba.shape == (3, 3)
    assert proba.dtype == np.float32
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-5)


def test_no_cells_give_no_rows(model):
    assert model.predict_proba([]).shape == (0, 3)
    assert model.embed([]).shape[0] == 0
    assert model.labels(model.predict_proba([])) == []


def test_the_batch_size_changes_nothing(model):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 40, 3), dtype=np.uint8) for _ in range(7)]
    masks = [np.ones((40, 40), bool)] * 7
    whole = model.predict_proba(images, masks, mpp=0.3)
    assert np.allclose(whole, model.predict_proba(images, masks, mpp=0.3, batch_size=2), atol=1e-5)
    assert np.array_equal(whole, model.predict_proba(images, masks, mpp=0.3))


def test_embeddings_tell_different_cells_apart(model):
    image, mask = cell()
    other = 255 - image
    vectors = model.embed([image, image, other], [mask] * 3, mpp=0.1)
    assert vectors.shape[0] == 3
    assert np.allclose(vectors[0], vectors[1], atol=1e-5)
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


def test_tiny_and_empty_looking_pictures_are_classified(model):
    images = [np.zeros((1, 1, 3), np.uint8), np.full((2, 7, 3), 255, np.uint8), np.zeros((50, 50, 3), np.uint8)]
    assert np.isfinite(model.predict_proba(images)).all()


def test_memory_running_out_halves_the_batch(model, monkeypatch):
    sizes = []
    inner = model._network.forward

    def forward(batch):
        sizes.append(len(batch))
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(batch)

    monkeypatch.setattr(model._network, "forward", forward)
    images = [np.full((30, 30, 3), v, np.uint8) for v in range(100, 110)]
    proba = model.predict_proba(images, [np.ones((30, 30), bool)] * 10, mpp=0.3, batch_size=8)
    assert len(proba) == 10
    assert sizes[:2] == [8, 4]
    assert max(sizes[2:]) == 2


def test_another_failure_is_not_taken_for_full_memory(model, monkeypatch):
    def forward(batch):
        raise RuntimeError("something else")

    monkeypatch.setattr(model._network, "forward", forward)
    with pytest.raises(RuntimeError, match="something else"):
        model.predict_proba([cell()[0]], [cell()[1]], mpp=0.1)


def test_below_the_threshold_a_cell_is_unidentified():
    model = classifier(threshold=0.6)
    proba = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], np.float32)
    assert model.labels(proba) == ["blast", "unidentified", "artefact"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"masks": []}, "0 masks for 1 images"),
        ({"mpp": [0.1, 0.2]}, "2 scales for 1 images"),
        ({"mpp": -0.1}, "µm per pixel"),
        ({"batch_size": 0}, "batch"),
    ],
)
def test_what_does_not_fit_is_refused(model, arguments, words):
    image, mask = cell()
    with pytest.raises(SettingsError, match=words):
        model.predict_proba([image], **{"masks": [mask], **arguments})


@pytest.mark.parametrize("mpp", [0, -1, float("nan"), float("inf"), 1e-6, 1e6, "0.1", [1j], ["x"]])
@pytest.mark.parametrize("masked", [True, False])
def test_no_cell_is_measured_by_an_impossible_scale(model, masked, mpp):
    image, mask = cell()
    with pytest.raises(SettingsError, match="µm per pixel"):
        model.predict_proba([image], [mask] if masked else None, mpp=mpp)


def test_a_scale_may_be_any_number_of_numpy_s(model):
    image, mask = cell()
    expected = model.predict_proba([image], [mask], mpp=0.25)
    for mpp in (np.float32(0.25), np.array(0.25), np.array([0.25]), (0.25,)):
        assert np.array_equal(model.predict_proba([image], [mask], mpp=mpp), expected)


def test_weights_that_give_no_number_are_not_taken_for_an_unidentified_cell(model):
    broken = Classifier(replace(model.bundle, temperature=1e-320), build(model.bundle.architecture, 3), "cpu")
    with pytest.raises(BundleError, match="no number"):
        broken.predict_proba([cell()[0]], mpp=0.1)


def test_a_name_too_long_for_the_disk_is_no_model():
    with pytest.raises(BundleError, match="no such model"):
        load_model("x" * 5000)


def test_a_single_picture_instead_of_a_list_is_refused(model):
    with pytest.raises(SettingsError, match="list"):
        model.predict_proba(cell()[0])


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(SettingsError, match="auto"):
        Classifier(Bundle("t", "x", CLASSES, CropSpec(), {}), torch.nn.Identity(), "abacus")
