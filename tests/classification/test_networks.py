from __future__ import annotations

import copy
import math
import socket

import numpy as np
import pytest
import timm
import torch

from leukoscope.classification.networks import ARCHITECTURES, build, default_size, fold_norms, sketch
from leukoscope.classification.networks.__main__ import main
from leukoscope.errors import SettingsError

OWN = (
    "cnn",
    "cnn_rnn",
    "cnn_rnn_concat",
    "resnet31",
    "resnet31_500",
    "resnet31_rgb_1200",
    "tf_efficientnet_lite0_sized",
    "wpat",
)
FAST = ("tf_efficientnet_lite0", "mobilenetv2_100", "convnextv2_atto", "vit_small_patch16_224", "test_convnext")
HEAVY = tuple(name for name in ARCHITECTURES if name not in OWN + FAST)


def trainable(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", OWN + FAST)
def test_a_network_gives_logits_and_embeddings(name):
    torch.manual_seed(0)
    network = build(name, 3, 48).eval()
    images = torch.randn(2, 3, 48, 48)
    with torch.inference_mode():
        logits = network(images)
        features = network.forward_features(images)
        seen = network.forward_head(features, pre_logits=True)
        assert logits.shape == (2, 3)
        assert logits.dtype == torch.float32
        assert seen.shape == (2, network.head_hidden_size)
        assert torch.allclose(network.forward_head(features), logits, atol=1e-5)
        # the last layer makes logits of embeddings
        assert torch.allclose(network.get_classifier()(seen), logits, atol=1e-5)


@pytest.mark.parametrize("name", OWN)
def test_every_weight_of_an_own_network_learns(name):
    torch.manual_seed(0)
    network = build(name, 3, 48).train()
    network(torch.randn(4, 3, 48, 48)).square().sum().backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_network_fits_the_size_it_was_published_with(name):
    network = sketch(name, 4)
    assert next(network.parameters()).is_meta
    assert network(torch.empty(1, 3, default_size(name), default_size(name), device="meta")).shape == (1, 4)


@pytest.mark.parametrize("name", ["vit_small_patch16_224", "vit_base_patch16_224", "vgg19", "inception_v3", "wpat"])
def test_networks_see_crops_of_another_size(name):
    assert sketch(name, 3, 112)(torch.empty(2, 3, 112, 112, device="meta")).shape == (2, 3)


def test_maxvit_sees_crops_of_whole_windows_only():
    sketch("maxvit_tiny_tf_224", 3, 96)
    with pytest.raises(SettingsError, match="112 px") as error:
        sketch("maxvit_tiny_tf_224", 3, 112)
    assert "224 px" in error.value.remedy


@pytest.mark.parametrize(
    ("name", "size", "count"), [("resnet31_1200", 224, 15_509_330), ("resnet31_500", 100, 1_606_430)]
)
def test_resnet31_has_as_many_trainable_parameters_as_reported(name, size, count):
    assert default_size(name) == size
    assert trainable(sketch(name, 2, size)) == count


def test_resnet31_without_hidden_layer_has_as_many_parameters_as_reported():
    network = sketch("resnet31", 2, 100)
    statistics = sum(b.numel() for key, b in network.named_buffers() if "running" in key)
    assert trainable(network) + statistics == 463_170


def test_resnet31_has_31_convolutions_on_its_longest_way_and_beside():
    convolutions = [m for m in build("resnet31", 2).modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 31


@pytest.mark.parametrize("name", ["resnet31", "resnet31_500"])
def test_gray_networks_see_luminance_only(name):
    network = build(name, 2, 48).eval()
    color = torch.rand(1, 3, 48, 48)
    luminance = (color * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    with torch.inference_mode():
        assert torch.allclose(network(color), network(luminance.expand(-1, 3, -1, -1)), atol=1e-5)
        other = build(name.replace("resnet31", "resnet31_rgb"), 2, 48).eval()
        assert not torch.allclose(other(color), other(color.flip(1)), atol=1e-6)


def test_the_rnn_reads_rows_in_order():
    torch.manual_seed(0)
    network = build("cnn_rnn", 2, 32).eval()
    image = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        read = network.rnn(image.mean(1))[1][0]
        assert not torch.allclose(read, network.rnn(image.mean(1).flip(1))[1][0], atol=1e-4)


def test_a_sized_network_is_told_how_large_the_cell_is_and_nothing_else_by_that():
    network = build("tf_efficientnet_lite0_sized", 3, 112).eval()
    y, x = np.mgrid[:112, :112] - 55.5

    def size(radius, value, turn=0):
        cell = np.where(np.hypot(y * (1.3 if turn else 1 / 1.3), x) < radius, value, 1.0).astype(np.float32)
        with torch.no_grad():
            return network.forward_head(network.forward_features(torch.tensor(cell).expand(1, 3, -1, -1)), True)[0, -2:]

    small, large = size(25, 0.2), size(40, 0.2)
    assert large[0] - small[0] == pytest.approx(math.log(40 / 25) / 0.15, rel=0.02)
    assert large[1] == pytest.approx(float(large[0] ** 2))
    assert torch.equal(size(25, -0.9), small)
    assert size(25 * 1.3, 0.2, turn=1) == pytest.approx(small, rel=0.02)  # the same ellipse, lying


def test_in_training_a_sized_network_sees_nothing_but_the_size_of_some_cells():
    torch.manual_seed(0)
    network = build("tf_efficientnet_lite0_sized", 3, 64)
    maps = torch.rand(400, 1282, 2, 2)
    blind = (network.train().forward_head(maps, True)[:, :-2] == 0).all(1)
    assert 40 < int(blind.sum()) < 140
    assert not (network.eval().forward_head(maps, True)[:, :-2] == 0).all(1).any()
    seen = network.train().forward_head(maps, True)
    assert torch.allclose(seen[:, -2:], maps[:, -2:].mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "left"), [("tf_efficientnet_lite0", 0), ("tf_efficientnet_lite0_sized", 0), ("resnet18", 20)]
)
def test_folding_the_norms_changes_nothing_but_the_time(name, left):
    torch.manual_seed(0)
    network = build(name, 3, 64).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    folded = fold_norms(copy.deepcopy(network))
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(folded(x), network(x), atol=1e-4)
        assert folded(x).std() > 1e-3
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules()) == left


def test_weights_of_wpat_fit_every_size():
    small, large = (sketch("wpat", 3, size).state_dict() for size in (64, 224))
    assert {k: v.shape for k, v in small.items()} == {k: v.shape for k, v in large.items()}


def test_both_branches_of_wpat_are_heard():
    torch.manual_seed(0)
    network = build("wpat", 3, 64).eval()
    with torch.inference_mode():
        tokens = network.forward_features(torch.randn(2, 3, 64, 64))
        assert tokens.shape == (2, 1 + 8 * 8 + 4 * 4 + 2 * 2, 128)
        whole = network.forward_head(tokens)
        for part in (slice(0, 1), slice(1, 65), slice(65, 81), slice(81, 85)):
            other = tokens.clone()
            other[:, part] += 1 + torch.randn_like(other[:, part])
            assert not torch.allclose(network.forward_head(other), whole, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "hf-hub:timm/vit_small_patch16_224",
        "hf_hub:timm/resnet18",
        "local-dir:/tmp/model",
        "timm/resnet18",
        "../resnet18",
        "resnet18.a1_in1k",
        "resnet18\n",
        "ResNet18",
        "resnet_of_nobody",
        "resnet31_7",
        "",
        "a" * 1000,
    ],
)
def test_names_that_are_not_trusted_never_reach_timm(name, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("timm was asked")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(SettingsError, match="unknown architecture"):
        build(name, 3)
    with pytest.raises(SettingsError, match="unknown architecture"):
        sketch(name, 3)


def test_no_network_is_asked(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("convnextv2_atto", "vit_small_patch16_224", "wpat", "resnet18"):
        sketch(name, 2)


@pytest.mark.parametrize(
    ("name", "classes", "size"),
    [
        ("cnn", 0, 112),
        ("tf_efficientnet_lite0", 0, 112),
        ("cnn", 2, 8),
        ("resnet31", 2, 31),
        ("wpat", 2, 16),
        ("cnn", 2, -1),
    ],
)
def test_classes_and_sizes_that_cannot_be_are_refused(name, classes, size):
    with pytest.raises(SettingsError) as error:
        build(name, classes, size)
    assert error.value.remedy


def test_what_gives_no_logits_is_refused_before_it_is_used():
    with pytest.raises(SettingsError):
        sketch("inception_v3", 3, 32)  # too small for its convolutions


def test_the_table_names_every_network(capsys, monkeypatch):
    monkeypatch.setattr("leukoscope.classification.networks.__main__.ARCHITECTURES", ("cnn", "resnet31_500"))
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "| `resnet31_500` | 100 | 1,606,430 | 500 |"
