"""What each step does to crops of cells, and what all of them have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from smears import small_smear

from leukoscope.classification.preprocess import (
    STEPS,
    AdaptiveSharpen,
    Alhe,
    GaussianBlur,
    Normalize,
    PcaFeatures,
    PcaReconstruct,
    StainNormalize,
    focus,
    groups_hash,
)
from leukoscope.errors import SettingsError

from .prepared import apart

FEW = settings(max_examples=12, deadline=None)


# ---- what all steps have in common


def test_a_fit_records_the_groups_it_saw_and_not_the_order(cells, fitted):
    crops, covers, groups = cells
    assert fitted[1].fitted.groups_sha256 == groups_hash(["patient 2", "patient 1", "patient 0"])
    assert (fitted[1].fitted.groups, fitted[1].fitted.crops) == (3, len(crops))
    backwards = AdaptiveSharpen.fit(crops[::-1], covers[::-1], groups[::-1])
    assert backwards == fitted[1]
    assert AdaptiveSharpen.fit(crops[:5], covers[:5], ["other"] * 5).fitted != fitted[1].fitted


@pytest.mark.parametrize("name", sorted(STEPS))
def test_nothing_to_fit_on_is_refused(name):
    with pytest.raises(SettingsError, match="no crops"):
        STEPS[name].fit([], None, [])
    with pytest.raises(SettingsError, match="groups for"):
        STEPS[name].fit(np.zeros((2, 32, 32, 3), np.uint8), None, ["a"])


def test_a_batch_is_its_pictures_and_outside_the_cell_nothing_changes(cells, fitted):
    crops, covers, _ = cells
    for step in fitted[1:]:
        out = step(crops, covers)
        assert out.dtype == np.uint8
        assert np.array_equal(out[~covers], crops[~covers])
        assert apart(out[covers], crops[covers]) > 0
        assert np.array_equal(out[3], step(crops[3], covers[3]))
        nothing = np.zeros_like(covers[0])
        assert np.array_equal(step(crops[0], nothing), crops[0])


@pytest.mark.parametrize("wrong", [np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8), "cell"])
def test_what_is_no_picture_is_refused(wrong):
    for step in (GaussianBlur(), Alhe(), AdaptiveSharpen(), StainNormalize()):
        with pytest.raises(SettingsError, match="uint8"):
            step(wrong)
    with pytest.raises(SettingsError, match="mask"):
        GaussianBlur()(np.zeros((8, 8, 3), np.uint8), np.ones((4, 4), bool))


@FEW
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31), st.sampled_from([0, 60, 250]))
def test_any_picture_goes_through(height, width, seed, least):
    rng = np.random.default_rng(seed)
    image = rng.integers(least, 256, (height, width, 3), dtype=np.uint8)
    mask = rng.random((height, width)) < 0.5
    for step in (GaussianBlur(sigma=3), Alhe(tile=8), AdaptiveSharpen(target=10), StainNormalize().for_slide(image)):
        assert step(image, mask).shape == image.shape


# ---- blur and normalization


def test_blur_smooths_and_takes_nothing_from_outside_the_cell():
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, 16:] = 200
    assert len(np.unique(GaussianBlur(sigma=1)(image))) > 2
    mask = np.zeros((32, 32), bool)
    mask[:, 16:] = True
    assert np.array_equal(GaussianBlur(sigma=3)(image, mask), image)
    assert np.array_equal(GaussianBlur(sigma=0)(image), image)


def test_normalization_gives_mean_0_and_deviation_1_on_what_it_was_fitted_on(cells):
    crops, covers, groups = cells
    step = Normalize.fit(crops, covers, groups)
    out = step(torch.from_numpy(crops).permute(0, 3, 1, 2).float())
    assert out.mean(dim=(0, 2, 3)).abs().max() < 1e-3
    assert (out.std(dim=(0, 2, 3)) - 1).abs().max() < 1e-3
    assert step.fitted.groups_sha256 == groups_hash(groups)
    flat = Normalize.fit(np.full((2, 8, 8, 3), 7, np.uint8), None, ["a", "b"])
    assert min(flat.std) > 0


# ---- principal components


def test_with_enough_components_a_training_crop_comes_back(cells):
    crops, _, groups = cells
    errors = []
    for count in (1, 5, len(crops)):
        step = PcaReconstruct.fit(crops, None, groups, components=count, color=True, stored="float32")
        errors.append(apart(step(crops), crops))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.5
    assert step.explained_variance(crops) > 0.9999


def test_components_found_in_batches_are_those_of_all_at_once(monkeypatch):
    decomposition = pytest.importorskip("sklearn.decomposition")
    rng = np.random.default_rng(0)
    base = rng.normal(size=(6, 12 * 12))
    weights = rng.normal(size=(90, 6)) * [40, 25, 16, 10, 6, 4]
    gray = np.clip(128 + 0.8 * weights @ base, 0, 255).astype(np.uint8).reshape(90, 12, 12)
    crops = np.repeat(gray[..., None], 3, axis=-1)
    monkeypatch.setattr("leukoscope.classification.preprocess.pca.BATCH", 32)
    step = PcaFeatures.fit(crops, None, ["a"] * 90, components=20, stored="float32")
    oracle = decomposition.PCA(n_components=20).fit(gray.reshape(90, -1).astype(float))
    alike = np.abs(np.sum(step.components[:4] * oracle.components_[:4], axis=1))
    assert alike.min() > 0.99
    assert np.allclose(step.center, oracle.mean_, atol=0.01)
    assert np.allclose(step.components @ step.components.T, np.eye(20), atol=1e-3)
    assert step.features(crops).shape == (90, 20)
    assert np.allclose(step.features(crops)[7], step.features(crops[7]), atol=1e-2)


def test_held_out_crops_are_explained_less_than_those_fitted_on(cells):
    crops, _, groups = cells
    step = PcaReconstruct.fit(crops[:8], None, groups[:8], components=7)
    assert step.explained_variance(crops[8:]) < step.explained_variance(crops[:8]) <= 1
    with pytest.raises(SettingsError, match="64 px, not 32"):
        step(crops[0, ::2, ::2])


# ---- sharpening


def test_a_sharp_cell_stays_and_a_blurred_one_comes_closer(cells):
    crops, covers, groups = cells
    step = AdaptiveSharpen.fit(crops, covers, groups, percentile=30)
    sharp = 0
    for crop, cover in zip(crops, covers, strict=True):
        if focus(crop, cover) >= step.target:
            sharp += 1
            assert np.array_equal(step(crop, cover), crop)
        soft = GaussianBlur(sigma=1.2)(crop, cover)
        if focus(soft, cover) < step.target:
            assert focus(soft, cover) < focus(step(soft, cover), cover) <= step.target
    assert sharp >= 6


@FEW
@given(st.integers(0, 11), st.floats(0, 2.5), st.floats(0.02, 0.5), st.floats(0.1, 5))
def test_sharpening_never_goes_past_the_target(cells, which, sigma, target, amount):
    crops, covers, _ = cells
    crop, cover = crops[which % len(crops)], covers[which % len(crops)]
    soft = GaussianBlur(sigma=sigma)(crop, cover)
    before = focus(soft, cover)
    after = focus(AdaptiveSharpen(target=target, amount=amount)(soft, cover), cover)
    assert before <= after <= max(before, target)


def test_focus_does_not_depend_on_contrast(cells):
    crops, covers, _ = cells
    pale = (128 + crops[0].astype(float) / 2).astype(np.uint8)
    assert focus(pale, covers[0]) == pytest.approx(focus(crops[0], covers[0]), rel=0.05)
    assert focus(np.full((40, 40, 3), 99, np.uint8)) is None
    assert focus(crops[0], np.zeros_like(covers[0])) is None


# ---- ALHE


def test_equalization_leaves_glass_alone_and_stretches_cells(cells):
    rng = np.random.default_rng(0)
    glass = np.clip(rng.normal(235, 2, (96, 96, 3)), 0, 255).astype(np.uint8)
    step = Alhe(tile=24)
    assert np.array_equal(step(glass), glass)
    crops, covers, _ = cells
    out = step(crops, covers)
    before = [crop[cover].mean(axis=-1).std() for crop, cover in zip(crops, covers, strict=True)]
    after = [crop[cover].mean(axis=-1).std() for crop, cover in zip(out, covers, strict=True)]
    assert np.mean(after) > 1.05 * np.mean(before)


@FEW
@given(st.integers(0, 100), st.integers(0, 100))
def test_parts_of_a_slide_come_out_as_the_whole_does(y, x):
    tile, size = 16, 60
    rgb = small_smear(2, 256, 0.5, 6).rgb
    step = Alhe(tile=tile)
    whole = step(rgb)
    halo = 2 * tile
    top, left = max(0, y - halo), max(0, x - halo)
    part = step.part(rgb[top : y + size + halo, left : x + size + halo], None, (top, left))
    mine = part[y - top : y - top + size, x - left : x - left + size]
    assert np.array_equal(mine, whole[y : y + size, x : x + size])


def test_no_seam_shows_between_tiles():
    ramp = np.linspace(60, 200, 128)
    image = np.repeat(np.tile(ramp, (128, 1))[..., None], 3, axis=-1).astype(np.uint8)
    change = Alhe(tile=32)(image).astype(int)[..., 1] - image[..., 1]
    assert change.any()
    assert np.abs(np.diff(change, axis=1)).max() <= 3
    assert np.abs(np.diff(change, axis=0)).max() <= 1


def test_richer_tiles_are_stretched_less(cells):
    crops, covers, _ = cells
    little, much = (Alhe(tile=16, contrast=c)(crops, covers) for c in (1.0, 40.0))
    assert apart(much, crops) > 1.2 * apart(little, crops)
    assert np.array_equal(Alhe(strength=0)(crops, covers), crops)
