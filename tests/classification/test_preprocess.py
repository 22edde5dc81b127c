from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from smears import BRIGHT, DARK, YELLOW, small_smear

from leukoscope.classification import Bundle, CropSpec, load_model, read_bundle, standardize, write_bundle
from leukoscope.classification.networks import build
from leukoscope.classification.preprocess import (
    STEPS,
    AdaptiveSharpen,
    Alhe,
    Chain,
    GaussianBlur,
    Normalize,
    PcaFeatures,
    PcaReconstruct,
    Stain,
    StainNormalize,
    estimate_stain,
    focus,
    frame,
    groups_hash,
    steps_from_json,
)
from leukoscope.errors import BundleError, SettingsError

SPEC = CropSpec(size=64, mpp=0.2, balance="none")
CLASSES = ("blast", "lymphocyte")
FEW = settings(max_examples=12, deadline=None)


def apart(a, b) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@pytest.fixture(scope="module")
def cells():
    """Crops of drawn cells, their masks and the "patient" of each."""
    smear = small_smear(3, 512, 0.2, 12)
    pairs = [frame(smear.rgb, smear.cells == i, 0.2, SPEC) for i in np.unique(smear.cells)[1:]]
    crops, covers = (np.stack(part) for part in zip(*pairs, strict=True))
    return crops, covers, [f"patient {i % 3}" for i in range(len(crops))]


@pytest.fixture(scope="module")
def fitted(cells):
    slide = StainNormalize.fit([small_smear(1, 384, 0.25, 6).rgb], None, ["patient 0"])
    return (
        slide,
        AdaptiveSharpen.fit(*cells),
        Alhe.fit(*cells, tile=16),
        PcaReconstruct.fit(*cells, components=6, color=True),
        GaussianBlur(sigma=0.7),
    )


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


# ---- stain


@pytest.mark.parametrize(("one", "other"), [(BRIGHT, YELLOW), (DARK, BRIGHT), (YELLOW, DARK)])
def test_two_stains_of_one_smear_come_closer(one, other):
    step = StainNormalize.fit([small_smear(5, 384, 0.25, 6).rgb], None, ["reference"])
    pair = [small_smear(0, 384, 0.25, 6, look).rgb for look in (one, other)]
    slides = [step.for_slide(rgb) for rgb in pair]
    assert [s.reason for s in slides] == ["", ""]
    assert apart(*(s(rgb) for s, rgb in zip(slides, pair, strict=True))) < 0.3 * apart(*pair)
    assert np.array_equal(slides[0](pair[0]), step.for_slide(pair[0])(pair[0]))


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((64, 64, 3), np.uint8), "not black"),
        (np.full((64, 64, 3), 240, np.uint8), "stained"),
        (np.repeat(np.linspace(30, 240, 4096).reshape(64, 64, 1), 3, axis=-1).astype(np.uint8), "one color"),
    ],
)
def test_without_enough_stain_nothing_changes_and_the_reason_is_said(pixels, words):
    step = StainNormalize().for_slide(pixels)
    assert words in step.reason
    assert np.array_equal(step(pixels), pixels)
    with pytest.raises(SettingsError, match=words):
        StainNormalize.fit([pixels], None, ["a"])


def test_black_surroundings_stay_black():
    rgb = small_smear(0, 384, 0.25, 6, YELLOW).rgb.copy()
    rgb[:40] = 0
    out = StainNormalize().for_slide(rgb)(rgb)
    assert not out[:40].any()
    assert apart(out[40:], rgb[40:]) > 5
    assert estimate_stain(rgb)[0].white == pytest.approx(estimate_stain(rgb[40:])[0].white, abs=2)


def test_cells_cut_out_on_black_have_no_glass_to_go_by():
    smear = small_smear(0, 384, 0.25, 6)
    assert estimate_stain(smear.rgb)[0] is not None
    cells = np.where((smear.cells > 0)[..., None], smear.rgb, np.uint8(0))
    assert estimate_stain(cells) == (None, "no glass: the cells are cut out on black")


def test_dyes_are_those_of_the_target_whichever_comes_first():
    rgb = small_smear(0, 384, 0.25, 6, YELLOW).rgb
    target = estimate_stain(small_smear(5, 384, 0.25, 6).rgb)[0]
    swapped = replace(target, vectors=target.vectors[::-1], strength=target.strength[::-1])
    assert swapped.like(target) == target
    one, other = (StainNormalize(target=t).for_slide(rgb)(rgb) for t in (target, swapped))
    assert apart(one, other) < 0.1


def test_another_stain_and_a_field_without_white_cells_are_not_forced():
    rgb = small_smear(0, 384, 0.25, 6).rgb
    target = Stain((240.0, 240.0, 240.0), ((0.9, 0.1, 0.1), (0.1, 0.1, 0.9)), (1.0, 1.0))
    step = StainNormalize(target=target).for_slide(rgb)
    assert "unlike" in step.reason
    assert np.array_equal(step(rgb), rgb)
    # red cells only: however strong the target's azure, they do not turn into nuclei
    own = estimate_stain(rgb)[0]
    strong, stronger = (
        StainNormalize(target=replace(own, strength=(own.strength[0] * k, own.strength[1])), source=own)(rgb)
        for k in (2.0, 9.0)
    )
    assert np.array_equal(strong, stronger)


# ---- in the bundle


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return build("tf_efficientnet_lite0", len(CLASSES)).state_dict()


def bundle(*steps, **changes) -> Bundle:
    training = {"manifest_sha256": "0" * 64, "groups": {"cnmc": ["patient 0"]}}
    whole = Bundle("tiny", "tf_efficientnet_lite0", CLASSES, SPEC, training, steps=steps)
    return replace(whole, **changes)


@pytest.fixture
def folder(tmp_path, weights, fitted):
    return write_bundle(tmp_path / "tiny", bundle(*fitted), weights, "# tiny\n")


def test_what_was_fitted_comes_back_to_the_bit(folder, fitted, cells):
    crops, covers, _ = cells
    found, _ = read_bundle(folder)
    assert found == bundle(*fitted)
    for stored, step in zip(found.steps[1:], fitted[1:], strict=True):
        assert np.array_equal(stored(crops, covers), step(crops, covers))
    rgb = small_smear(0, 384, 0.25, 6, YELLOW).rgb
    assert np.array_equal(found.steps[0].for_slide(rgb)(rgb), fitted[0].for_slide(rgb)(rgb))


def test_the_classifier_runs_the_steps_in_their_order(folder, fitted):
    smear = small_smear(4, 384, 0.25, 5)
    masks = [smear.cells == i for i in np.unique(smear.cells)[1:3]]
    model = load_model(folder, "cpu")
    assert model.chain.looks_at_slide
    assert model.chain.reasons == ("stain_normalize: no slide was looked at",)
    on_slide = model.for_slide(smear.rgb)
    assert on_slide.chain.reasons == ()
    for one, slide in ((model, fitted[0]), (on_slide, fitted[0].for_slide(smear.rgb))):
        crop, cover = frame(slide(smear.rgb), masks[0], 0.25, SPEC)
        for step in fitted[1:]:
            crop = step(crop, cover)
        assert np.array_equal(one.crops([smear.rgb] * 2, masks, 0.25)[0], crop)
    assert np.allclose(on_slide.predict_proba([smear.rgb] * 2, masks, 0.25).sum(axis=1), 1, atol=1e-5)


def test_a_bundle_without_steps_makes_the_crops_it_always_made(tmp_path, weights, fitted):
    smear = small_smear(4, 384, 0.25, 5)
    mask = smear.cells == np.unique(smear.cells)[1]
    plain = load_model(write_bundle(tmp_path / "plain", bundle(), weights, "#\n"), "cpu")
    assert "steps" not in json.loads((tmp_path / "plain" / "model.json").read_text())
    assert not (tmp_path / "plain" / "steps.safetensors").exists()
    assert plain.for_slide(smear.rgb) is plain
    assert not plain.chain.looks_at_slide
    for spec in (SPEC, CropSpec(), CropSpec(masked=False)):
        wanted = standardize(smear.rgb, mask, 0.25, spec)
        assert np.array_equal(Chain().crop(smear.rgb, mask, 0.25, spec), wanted)
        assert np.array_equal(frame(smear.rgb, mask, 0.25, spec)[0], wanted)


def test_the_shipped_model_has_no_steps_and_loads():
    assert load_model("blood", "cpu").chain == Chain()


def test_the_fingerprint_follows_the_steps_tensors(tmp_path, weights, cells):
    crops, _, groups = cells
    marks = set()
    for i in range(2):
        step = PcaReconstruct.fit(crops[i : i + 6], None, groups[:6], components=3)
        marks.add(read_bundle(write_bundle(tmp_path / "tiny", bundle(step), weights, "#\n"))[0].fingerprint)
    assert len(marks) == 2


def test_normalization_keeps_whom_it_was_fitted_on(tmp_path, weights, cells):
    step = Normalize.fit(*cells)
    fitted = bundle(mean=step.mean, std=step.std, fitted=step.fitted)
    found, _ = read_bundle(write_bundle(tmp_path / "tiny", fitted, weights, "#\n"))
    assert Normalize(found.mean, found.std, found.fitted) == step


def test_steps_out_of_order_or_twice_are_refused(tmp_path, weights):
    for steps, words in (((GaussianBlur(), StainNormalize()), "order"), ((GaussianBlur(), GaussianBlur()), "twice")):
        with pytest.raises(SettingsError, match=words):
            Chain(steps)
        with pytest.raises(BundleError, match=words):
            write_bundle(tmp_path / "tiny", bundle(*steps), weights, "#\n")


def test_a_network_takes_no_vectors(tmp_path, weights, cells):
    step = PcaFeatures.fit(*cells, components=3)
    stored = write_bundle(tmp_path / "tiny", bundle(step), weights, "#\n")
    assert read_bundle(stored)[0].steps == (step,)
    with pytest.raises(BundleError, match="vectors"):
        load_model(stored)


BLUR = {"name": "gaussian_blur", "parameters": {"sigma": 1.0}, "tensors": [], "fitted": None}
STAIN = {
    "name": "stain_normalize",
    "parameters": {"white": [240, 240, 240], "vectors": [[0.6, 0.7, 0.3], [0.6, 0.7, 0.3]], "strength": [1, 1]},
    "tensors": [],
    "fitted": None,
}


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("gaussian_blur", "not of type"),
        ([{"name": "os.system", "parameters": {}, "tensors": [], "fitted": None}], "os.system"),
        ([BLUR | {"module": "evil"}], "module"),
        ([BLUR | {"name": "normalize"}], "normalize"),
        ([BLUR | {"parameters": {"sigma": -1}}], "sigma"),
        ([BLUR | {"parameters": {"sigma": 1e9}}], "sigma"),
        ([BLUR | {"parameters": {"sigma": "1"}}], "sigma"),
        ([BLUR | {"parameters": {"sigma": 1, "source": None}}], "source"),
        ([BLUR | {"parameters": {}}], "sigma"),
        ([BLUR | {"fitted": {"groups_sha256": "x", "groups": 1, "crops": 1}}], "fitted"),
        ([BLUR | {"tensors": ["components"]}], "steps.safetensors"),
        ([BLUR] * 9, "too long"),
        ([BLUR, STAIN], "order|alike"),
        ([STAIN], "alike"),
        ([{}], "name"),
        ([7], "not of type"),
    ],
)
def test_hostile_steps_are_refused(tmp_path, weights, steps, words):
    folder = write_bundle(tmp_path / "tiny", bundle(), weights, "#\n")
    file = folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "steps": steps}))
    with pytest.raises(BundleError, match=words) as error:
        load_model(folder)
    assert error.value.remedy
    assert "\n" not in str(error.value)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
JSON = st.recursive(SCALARS, lambda x: st.lists(x, max_size=4) | st.dictionaries(st.text(max_size=8), x, max_size=4))
NAMED = st.fixed_dictionaries(
    {
        "name": st.sampled_from(sorted(STEPS)),
        "parameters": st.dictionaries(
            st.sampled_from(["sigma", "tile", "clip", "flat", "size", "white", "vectors", "strength"]), JSON
        ),
        "tensors": st.lists(st.sampled_from(["components", "center", "x"]), max_size=2),
        "fitted": JSON,
    }
)


@settings(max_examples=80, deadline=None)
@given(JSON | st.lists(NAMED, min_size=1, max_size=2))
def test_any_json_ends_in_steps_or_in_a_cause_and_a_remedy(values):
    refused = None
    try:
        steps_from_json(values, {}, 64)
    except SettingsError as error:
        refused = error
    assert refused is None or (refused.cause and refused.remedy)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("3.center"), "do not fit"),
        (lambda t: t.update(extra=np.zeros(1, np.float32)), "do not fit"),
        (lambda t: t.update({"3.center": np.zeros(7, np.float32)}), "mean crop"),
        (lambda t: t.update({"3.components": t["3.components"][:, :-1].copy()}), "principal components"),
        (lambda t: t.update({"3.components": t["3.components"].astype(np.float64)}), "float64"),
        (lambda t: t["3.center"].fill(math.nan), "not finite"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(folder, change, words):
    from safetensors.numpy import load_file, save_file

    tensors = {key: np.array(value) for key, value in load_file(folder / "steps.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "steps.safetensors")
    with pytest.raises(BundleError, match=words):
        load_model(folder)


def test_a_whole_number_may_be_written_with_a_point(folder, fitted, cells):
    file = folder / "model.json"
    file.write_text(file.read_text().replace('"tile": 16', '"tile": 16.0'))
    stored = read_bundle(folder)[0].steps[2]
    assert np.array_equal(stored(cells[0]), fitted[2](cells[0]))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn, torch.int64, torch.bool])
def test_tensors_of_another_type_are_refused(folder, kind):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "steps.safetensors")
    tensors["3.center"] = tensors["3.center"].to(kind)
    save_file(tensors, folder / "steps.safetensors")
    with pytest.raises(BundleError, match=r"components and center of|safetensors"):
        load_model(folder)


def test_damaged_or_missing_tensors_and_another_crop_size_are_refused(folder):
    file = folder / "model.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps({**values, "crop": {**values["crop"], "size": 96}}))
    with pytest.raises(BundleError, match="64 px, not 96"):
        load_model(folder)
    file.write_text(json.dumps(values))
    tensors = folder / "steps.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-10])
    with pytest.raises(BundleError, match="safetensors"):
        load_model(folder)
    tensors.unlink()
    with pytest.raises(BundleError, match=r"no steps\.safetensors"):
        load_model(folder)
