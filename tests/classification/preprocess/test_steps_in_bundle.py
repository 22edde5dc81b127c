"""Steps in a bundle: what was fitted comes back, and what does not fit is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from smears import YELLOW, small_smear

from leukoscope.classification import Bundle, CropSpec, load_model, read_bundle, standardize, write_bundle
from leukoscope.classification.networks import build
from leukoscope.classification.preprocess import (
    STEPS,
    Chain,
    GaussianBlur,
    Normalize,
    PcaFeatures,
    PcaReconstruct,
    StainNormalize,
    frame,
    steps_from_json,
)
from leukoscope.errors import BundleError, SettingsError

from .prepared import SPEC

CLASSES = ("blast", "lymphocyte")


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
