"""Grad-CAM: a map for every network, in the right place, on the right pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from leukoscope.classification import Bundle, Classifier, CropSpec
from leukoscope.classification.crops import frame
from leukoscope.classification.gradcam import gradcam, onto_image
from leukoscope.classification.networks import build
from leukoscope.classification.networks.own import OwnNetwork
from leukoscope.errors import SettingsError

from .test_crops import cell

CLASSES = ("blast", "lymphocyte", "artefact")


def test_how_large_a_cell_is_speaks_for_no_place():
    torch.manual_seed(0)
    network = build("tf_efficientnet_lite0_sized", 3, 64).eval()
    batch = torch.randn(1, 3, 64, 64)
    maps = []
    for weight in (0.0, 50.0):
        network.fc.weight.data[:, -2:] = weight
        maps.append([gradcam(network, batch, k) for k in range(3)])
    assert any(heat.any() for heat in maps[0])
    for without, by_size in zip(*maps, strict=True):
        assert np.allclose(without, by_size, atol=1e-5)


class Corners(OwnNetwork):
    """Says how dark the upper left quarter is for class 0, the lower right one for class 1."""

    def __init__(self) -> None:
        super().__init__(3, 2, 2)
        self.weight = nn.Parameter(torch.eye(3, 2))

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        dark = torch.relu(-nn.functional.avg_pool2d(x.mean(1, keepdim=True), 8)).repeat(1, 2, 1, 1)
        half = dark.shape[-1] // 2
        keep = torch.zeros_like(dark)
        keep[:, 0, :half, :half] = 1
        keep[:, 1, half:, half:] = 1
        return dark * keep

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        pooled = x.mean((2, 3))
        return pooled if pre_logits else pooled @ self.weight.T


def corners(**spec: object) -> Classifier:
    return Classifier(Bundle("t", "x", CLASSES, CropSpec(size=64, mpp=0.25, **spec), {}), Corners(), "cpu")


@pytest.mark.parametrize(
    "name",
    [
        "tf_efficientnet_lite0",
        "tf_efficientnet_lite0_sized",
        "mobilenetv2_050",
        "convnextv2_atto",
        "vit_tiny_patch16_224",
        "swin_tiny_patch4_window7_224",
        "resnet31",
        "cnn",
        "cnn_rnn",
        "wpat",
    ],
)
def test_every_kind_of_network_has_a_map(name):
    torch.manual_seed(0)
    network = build(name, 3, 64).eval()
    batch = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        before = network(batch)
    maps = [gradcam(network, batch, k) for k in range(3)]
    for heat in maps:
        assert heat.shape == (64, 64)
        assert heat.dtype == np.float32
        assert heat.min() >= 0
        assert heat.max() == pytest.approx(1) or not heat.any()
    assert any(heat.any() for heat in maps)
    with torch.inference_mode():
        assert torch.equal(network(batch), before)
    assert not any(m._forward_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters())


def test_a_map_lies_where_the_class_is_seen():
    torch.manual_seed(0)
    batch = -torch.ones(1, 3, 64, 64)
    first, second = (gradcam(Corners(), batch, k) for k in (0, 1))
    assert first[:24, :24].min() > 0.9
    assert not first[40:, 40:].any()
    assert second[40:, 40:].min() > 0.9
    assert not gradcam(Corners(), batch, 2).any()  # nothing speaks for it


@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.6])
def test_a_map_goes_back_to_the_pixels_it_is_of(mpp):
    spec = CropSpec(size=64, mpp=0.25)
    image, mask = cell(120, 14, (45, 70))
    _, cover = frame(image, mask, mpp, spec)
    laid = onto_image(cover.astype(np.float32), image, mask, mpp, spec)
    assert laid.shape == mask.shape
    both, either = ((laid > 0.5) & mask).sum(), ((laid > 0.5) | mask).sum()
    assert both / either > 0.85


def test_beyond_the_crop_there_is_no_heat():
    image, mask = cell(120, 6, (20, 20))
    laid = onto_image(np.ones((64, 64), np.float32), image, mask, 0.25, CropSpec(size=64, mpp=0.25))
    assert laid[:52, :52].min() == 1
    assert not laid[54:].any()
    assert not laid[:, 54:].any()


def test_a_classifier_explains_the_class_asked_for_and_else_the_likeliest():
    model = corners()
    image, mask = cell(60, 18)
    first, second = (model.explain(image, mask, 0.25, label) for label in CLASSES[:2])
    y, x = np.nonzero(first > 0.5)
    assert y.mean() < 30
    assert x.mean() < 30
    y, x = np.nonzero(second > 0.5)
    assert y.mean() > 30
    assert x.mean() > 30
    likeliest = CLASSES[int(model.predict_proba([image], [mask], 0.25)[0].argmax())]
    assert np.array_equal(model.explain(image, mask, 0.25), model.explain(image, mask, 0.25, likeliest))
    assert model.explain(image).shape == (60, 60)  # outlined first, its scale guessed


def test_what_cannot_be_explained_is_refused():
    image, mask = cell(60, 18)
    with pytest.raises(SettingsError, match="plasma_cell"):
        corners().explain(image, mask, 0.25, "plasma_cell")
    with pytest.raises(SettingsError, match="uint8"):
        corners().explain(image.astype(float), mask, 0.25)

    class Flat(Corners):
        def forward_features(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward_features(x).mean((2, 3))

        def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
            return x @ self.weight.T

    with pytest.raises(SettingsError, match="no map"):
        gradcam(Flat(), -torch.ones(1, 3, 64, 64), 0)
