from __future__ import annotations

import numpy as np
import pytest
import torch
from smears import BRIGHT, DARK, YELLOW, small_smear

from leukoscope.classification.preprocess import (
    AdaptiveSharpen,
    Alhe,
    Chain,
    GaussianBlur,
    Stain,
    StainNormalize,
    focus,
    groups_hash,
)
from leukoscope.errors import SettingsError
from leukotrain.data.cache import Crops
from leukotrain.data.manifest import Manifest, ManifestError, Row
from leukotrain.data.manifest import groups_hash as manifest_hash
from leukotrain.transforms import (
    Augmentation,
    StainJitter,
    Traditional,
    augment,
    blur_augment,
    check_fitted,
    fit_stain,
    fit_steps,
    plain,
    stain_augment,
    stain_of_groups,
    traditional,
)

SIZE, FINE = 48, 60


def cached(count: int = 12, seed: int = 0) -> Crops:
    """Round cells of a grainy stain."""
    rng = np.random.default_rng(seed)
    pixels = np.empty((count, FINE, FINE, 4), np.uint8)
    y, x = np.mgrid[:FINE, :FINE]
    for i in range(count):
        grain = rng.integers(-30, 30, (FINE, FINE, 1)) + np.array([130, 70, 150]) + 8 * (i % 3)
        pixels[i, ..., :3] = np.clip(grain, 0, 255)
        pixels[i, 10:20, 20:30, :3] = (200, 190, 220)
        pixels[i, ..., 3] = (np.hypot(y - 29.5, x - 29.5) < 20) * np.uint8(255)
    return Crops(pixels, np.full(count, 10, np.float32))


def manifest(count: int = 12) -> Manifest:
    """Three quarters of the cells are of "train", one of them synthetic."""
    split = ["train"] * (count * 3 // 4) + ["val", "test", "test"]
    rows = [
        Row(f"{i}.png", "", ("blast", "lymphocyte")[i % 2], f"{split[i]} {i // 2}", "cnmc", 0.1, split[i])
        for i in range(count)
    ]
    first = rows[0]
    rows[0] = Row(
        first.image, "", first.label, "made", "gan", 0.1, "train", synthetic=True, generator="g", generator_groups="h"
    )
    return Manifest(rows)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


PLAN = [("adaptive_sharpen", {}), ("alhe", {"tile": 16}), ("pca_reconstruct", {"components": 4, "color": True})]


@pytest.fixture(scope="module")
def fitted():
    return fit_steps(manifest(), cached(), SIZE, PLAN)


# ---- fitting


def test_only_real_training_cells_are_seen(fitted):
    chain, normalize = fitted
    data, crops = manifest(), cached()
    touched = Crops(crops.pixels.copy(), crops.diameters)
    rng = np.random.default_rng(1)
    for i, row in enumerate(data):
        if row.split != "train" or row.synthetic:
            touched.pixels[i] = rng.integers(0, 256, touched.pixels[i].shape)
    assert fit_steps(data, touched, SIZE, PLAN) == (chain, normalize)
    touched.pixels[3] = touched.pixels[-1]
    assert fit_steps(data, touched, SIZE, PLAN) != (chain, normalize)
    seen = {row.group for row in data if row.split == "train" and not row.synthetic}
    assert (
        {step.fitted.groups_sha256 for step in chain.steps} == {groups_hash(seen)} == {normalize.fitted.groups_sha256}
    )


def test_groups_are_hashed_as_generators_hash_theirs():
    assert groups_hash(["b", "a", "b"]) == manifest_hash(["a", "b"])
    assert groups_hash(["a\nb"]) != groups_hash(["a", "b"])


def test_labels_make_no_difference(fitted):
    rows = [Row(r.image, "", "monocyte", r.group, r.source, r.mpp, r.split) for r in manifest()]
    rows[0] = manifest().rows[0]
    assert fit_steps(Manifest(rows), cached(), SIZE, PLAN) == fitted


def test_each_step_is_fitted_on_what_the_one_before_leaves():
    data, crops = manifest(), cached()
    alone, _ = fit_steps(data, crops, SIZE, [("adaptive_sharpen", {})])
    after, _ = fit_steps(data, crops, SIZE, [GaussianBlur(sigma=1.5), ("adaptive_sharpen", {})])
    assert after.steps[1].target < 0.9 * alone.steps[0].target


def test_a_step_that_saw_a_test_group_is_refused():
    data, crops = manifest(), cached()
    pixels = crops.pixels[..., :3]
    leaky = AdaptiveSharpen.fit(pixels, None, [row.group for row in data])
    with pytest.raises(ManifestError, match="groups that are not"):
        fit_steps(data, crops, SIZE, [leaky])
    with pytest.raises(ManifestError, match="groups that are not"):
        check_fitted([None, leaky.fitted], data)
    check_fitted([None], data)


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([("sharpest", {})], "no step"),
        ([("alhe", {"tiles": 3})], "no such setting"),
        ([("stain_normalize", {})], "pictures"),
        ([GaussianBlur(), StainNormalize()], "order"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan, words):
    with pytest.raises(SettingsError, match=words):
        fit_steps(manifest(), cached(), SIZE, plan)


def test_training_and_inference_run_the_same_steps(fitted):
    chain, _ = fitted
    pixels = torch.from_numpy(cached().pixels)
    before = plain(pixels, SIZE)
    crops = (before + 0.5).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    covers = (before != 255).any(dim=1).numpy()
    wanted = torch.from_numpy(chain.on_crop(crops, covers)).permute(0, 3, 1, 2).float()
    assert torch.equal(plain(pixels, SIZE, chain), wanted)
    assert torch.equal(plain(pixels, SIZE, Chain()), before)
    for make in (
        lambda c: augment(pixels, torch.full((12,), 10.0), SIZE, Augmentation(), generator(), c),
        lambda c: traditional(pixels, SIZE, Traditional(), generator(), c),
    ):
        assert make(None).shape == make(chain).shape == (12, 3, SIZE, SIZE)
        assert not torch.equal(make(None), make(chain))
        assert torch.equal(make(chain), make(chain))


def test_the_stain_comes_from_training_pictures_and_each_group_is_seen_by_itself():
    data = manifest()
    looks = dict(zip(sorted({row.group for row in data}), [YELLOW, BRIGHT, DARK] * 4, strict=False))
    asked = []

    def read(row):
        asked.append(row)
        return small_smear(2, 256, 0.25, 4, looks[row.group]).rgb

    step = fit_stain(data, read)
    assert {row.split for row in asked} == {"train"}
    assert not any(row.synthetic for row in asked)
    check_fitted([step.fitted], data)
    steps = stain_of_groups(step, data, read, most=1)
    assert steps.keys() == looks.keys()
    one, other = data.rows[-1], next(row for row in data if looks[row.group] != looks[data.rows[-1].group])
    before = np.abs(read(one).astype(float) - read(other)).mean()
    after = np.abs(steps[one.group](read(one)).astype(float) - steps[other.group](read(other))).mean()
    assert after < 0.3 * before
    assert fit_steps(data, cached(), SIZE, [step, ("alhe", {"tile": 16})])[0].steps[0] == step


# ---- augmentation


def test_traditional_augmentation_stays_within_its_bounds():
    pixels = torch.from_numpy(cached().pixels)
    still = Traditional(flip=0, degrees=0, shift=0, zoom=0)
    assert torch.allclose(traditional(pixels, SIZE, still, generator()), plain(pixels, SIZE), atol=0.01)
    area = (plain(pixels, SIZE) != 255).any(dim=1).sum(dim=(1, 2)).float()
    zoomed = (traditional(pixels, SIZE, Traditional(degrees=0, shift=0), generator()) != 255).any(dim=1)
    ratio = zoomed.sum(dim=(1, 2)) / area
    assert 0.55 < ratio.min() < 0.95
    assert 1.05 < ratio.max() < 1.5
    moved = (traditional(pixels, SIZE, Traditional(zoom=0), generator()) != 255).any(dim=1)
    at = torch.arange(SIZE).float() - (SIZE - 1) / 2
    centers = (moved.sum(dim=1) * at).sum(dim=1) / moved.sum(dim=(1, 2))
    assert 1 < centers.abs().max() <= 0.1 * SIZE + 1


def test_odd_stains_are_further_off_than_usual_ones():
    pixels = torch.full((64, 20, 20, 4), 140, dtype=torch.uint8)
    pixels[..., 3] = 255

    def spread(odd: float) -> float:
        how = Augmentation(odd=odd, blur=0, noise=0)
        density = -torch.log((augment(pixels, torch.full((64,), 10.0), 16, how, generator()) + 1) / 256)
        return float(density.mean((2, 3)).std())

    assert 2 < spread(1.0) / spread(0.0) < 4
    assert spread(0.0) < spread(0.5) < spread(1.0)


def test_flips_mirror_and_happen_as_often_as_said():
    pixels = torch.from_numpy(cached().pixels)
    always = Traditional(flip=1, degrees=0, shift=0, zoom=0)
    assert torch.allclose(traditional(pixels, SIZE, always, generator()), plain(pixels, SIZE).flip(-1), atol=0.01)


def test_the_generator_decides_and_torchs_own_is_put_back():
    pixels = torch.from_numpy(cached().pixels)
    how = Traditional(blur=2, stain=StainJitter())
    state = torch.random.get_rng_state()
    one, again, other = (traditional(pixels, SIZE, how, generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(state, torch.random.get_rng_state())
    assert one.min() >= 0
    assert one.max() <= 255


def test_blur_is_alike_for_every_class():
    pixels = torch.from_numpy(cached(2).pixels)
    rgb, cover = pixels[..., :3].permute(0, 3, 1, 2).float(), pixels[..., 3].bool()[:, None]
    many, covers = rgb.repeat(150, 1, 1, 1), cover.repeat(150, 1, 1, 1)
    soft = blur_augment(many, covers, 2.0, generator())
    assert torch.equal(soft[~covers.expand_as(soft)], many[~covers.expand_as(soft)])
    sharpness = np.array(
        [
            focus(np.ascontiguousarray(crop.permute(1, 2, 0).byte().numpy()), mask[0].numpy())
            for crop, mask in zip(soft, covers, strict=True)
        ]
    )
    # even crops are of one class, odd ones of the other; they differ in their grain only
    one, other = sharpness[::2], sharpness[1::2]
    assert np.allclose(np.percentile(one, [10, 50, 90]), np.percentile(other, [10, 50, 90]), rtol=0.25)
    assert one.max() > 2 * one.min()


def test_blur_is_the_bundles_own():
    crop = np.ascontiguousarray(cached(1).pixels[0, ..., :3])
    cover = cached(1).pixels[0, ..., 3] > 0
    drawn = float(2 * torch.rand(1, generator=generator(5)))
    tensors = torch.from_numpy(crop).permute(2, 0, 1)[None].float(), torch.from_numpy(cover)[None, None]
    soft = (blur_augment(*tensors, 2.0, generator(5))[0] + 0.5).byte().permute(1, 2, 0).numpy()
    assert np.array_equal(soft, GaussianBlur(sigma=drawn)(crop, cover))


def test_stain_changes_along_the_dyes_and_within_the_cell():
    pixels = torch.from_numpy(cached().pixels)
    rgb, cover = pixels[..., :3].permute(0, 3, 1, 2).float(), pixels[..., 3].bool()[:, None]
    none = StainJitter(amount=0, offset=0, light=0)
    assert torch.allclose(stain_augment(rgb, cover, none, generator()), rgb, atol=0.01)
    dyes = Stain((255.0, 255.0, 255.0), ((0.6, 0.7, 0.3), (0.2, 0.9, 0.3)), (1.0, 1.0))
    out = stain_augment(rgb, cover, StainJitter(light=0, stain=dyes), generator())
    assert torch.equal(out[~cover.expand_as(out)], rgb[~cover.expand_as(rgb)])
    where = cover.expand_as(out) & (out > 1) & (out < 254)
    change = torch.where(where, torch.log((rgb + 1) / (out + 1)), 0)
    third = torch.from_numpy(dyes.basis()).float().inverse()[:, 2]
    whole = where.all(dim=1)
    assert torch.einsum("nchw,c->nhw", change, third)[whole].abs().max() < 1e-3
    assert change.abs().mean() > 0.02


def test_an_image_step_is_no_step_on_crops():
    pixels = torch.from_numpy(cached().pixels)
    assert torch.equal(plain(pixels, SIZE, Chain((StainNormalize(),))), plain(pixels, SIZE))
    assert not torch.equal(plain(pixels, SIZE, Chain((Alhe(tile=16),))), plain(pixels, SIZE))
