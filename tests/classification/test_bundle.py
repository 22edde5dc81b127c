from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from leukoscope.classification import Bundle, CropSpec, load_model, read_bundle, write_bundle
from leukoscope.classification.networks import build
from leukoscope.errors import BundleError

CLASSES = ("blast", "lymphocyte", "artefact")


@pytest.fixture(scope="session")
def network_weights():
    torch.manual_seed(0)
    return build("tf_efficientnet_lite0", len(CLASSES)).state_dict()


def bundle(**changes) -> Bundle:
    values = {
        "name": "tiny",
        "architecture": "tf_efficientnet_lite0",
        "classes": CLASSES,
        "crop": CropSpec(size=64, mpp=0.25),
        "training": {"manifest_sha256": "0" * 64, "groups": {"cnmc": ["cnmc-2"]}},
    }
    return Bundle(**{**values, **changes})


@pytest.fixture
def folder(tmp_path, network_weights):
    return write_bundle(tmp_path / "tiny", bundle(), network_weights, "# tiny\n")


def test_what_is_written_is_read(folder, network_weights):
    found, weights = read_bundle(folder)
    assert found == bundle()
    assert found.folder == folder.resolve()
    for key, tensor in network_weights.items():
        wanted = tensor.half() if tensor.is_floating_point() else tensor
        assert torch.equal(weights[key], wanted)
    assert (folder / "weights.safetensors").stat().st_size < 8_000_000


def test_the_fingerprint_follows_the_content(folder, network_weights):
    before = load_model(folder).fingerprint
    assert load_model(folder).fingerprint == before
    write_bundle(folder, bundle(temperature=2.0), network_weights, "# tiny\n")
    assert load_model(folder).fingerprint != before


def test_a_bundle_that_cannot_be_put_in_its_place_leaves_the_old_one(folder, network_weights, monkeypatch):
    before = load_model(folder).fingerprint
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target == folder and not self.name.endswith("-before"):
            raise OSError("no")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="no"):
        write_bundle(folder, bundle(temperature=2.0), network_weights, "# tiny\n")
    assert load_model(folder).fingerprint == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json", "README.md"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_model(folder)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"[" * 100_000, "JSON"),
        (b"[]", "the whole"),
        (b'{"temperature": NaN}', "NaN"),
        (b"{}", "required"),
    ],
)
def test_a_damaged_description_is_refused(folder, content, words):
    (folder / "model.json").write_bytes(content)
    with pytest.raises(BundleError, match=words):
        load_model(folder)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("classes", ["blast", "blast"], "classes"),
        ("classes", ["../blast", "other"], "classes"),
        ("classes", ["blast", "unidentified"], "classes"),
        ("architecture", "hf-hub:somebody/model", "architecture"),
        ("architecture", "vgg_of_nobody", "unknown architecture"),
        ("temperature", 0, "temperature"),
        ("threshold", 1.5, "threshold"),
        ("crop", {"size": 10**9}, "crop"),
        ("surprise", 1, "surprise"),
        ("classes", ["blast", "lymphocyte"], "do not fit"),
    ],
)
def test_a_description_that_cannot_be_is_refused(folder, key, value, words):
    file = folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    with pytest.raises(BundleError, match=words) as error:
        load_model(folder)
    assert error.value.remedy
    assert "\n" not in str(error.value)


def test_weights_that_are_cut_short_are_refused(folder):
    file = folder / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BundleError, match="safetensors"):
        load_model(folder)


def test_a_pickle_is_not_read(folder, network_weights):
    torch.save(network_weights, folder / "weights.safetensors")
    with pytest.raises(BundleError, match="safetensors"):
        load_model(folder)


def test_weights_that_are_not_finite_are_neither_written_nor_read(folder, network_weights):
    from safetensors.torch import load_file, save_file

    bad = {**network_weights, "classifier.bias": torch.tensor([0.0, float("nan"), 0.0])}
    with pytest.raises(BundleError, match=r"classifier\.bias"):
        write_bundle(folder, bundle(), bad, "# tiny\n")
    read_bundle(folder)  # the one that was there is whole
    weights = load_file(folder / "weights.safetensors")
    weights["classifier.bias"][1] = float("inf")
    save_file(weights, folder / "weights.safetensors")
    with pytest.raises(BundleError, match=r"classifier\.bias"):
        load_model(folder)


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    outside = tmp_path / "elsewhere"
    shutil.move(folder / "weights.safetensors", outside)
    try:
        (folder / "weights.safetensors").symlink_to(outside)
    except OSError:
        pytest.skip("no links on this system")
    with pytest.raises(BundleError, match="link"):
        load_model(folder)


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path, network_weights):
    (tmp_path / "precious.txt").write_text("keep")
    with pytest.raises(BundleError, match="no bundle"):
        write_bundle(tmp_path, bundle(), network_weights, "")
    assert (tmp_path / "precious.txt").read_text() == "keep"


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(BundleError, match="no such model"):
        load_model("no-such-model")
