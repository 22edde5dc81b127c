"""The shipped model on cells of people it has never seen. Bounds are loose: the figures are in the model's card."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from leukoscope.classification import CLASSES, Classifier, load_model, model_names
from leukoscope.segmentation import get_segmenter
from leukotrain.data.sources import PBC
from leukotrain.data.split import is_held_out


@pytest.fixture(scope="module")
def blood() -> Classifier:
    return load_model("blood", device="cpu")


def held_out(folder, dataset: str, each: int):
    """A few cells of each label of a data set's held-out groups: images and labels."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["dataset"] == dataset and is_held_out(r["group"])]
    chosen = [
        r for label in sorted({r["label"] for r in rows}) for r in [r for r in rows if r["label"] == label][::7][:each]
    ]
    images = []
    for r in chosen:
        with Image.open(folder / r["path"]) as image:
            images.append(np.asarray(image.convert("RGB")))
    return images, [r["label"] for r in chosen]


def test_it_ships_whole(blood):
    assert "blood" in model_names()
    assert set(blood.classes) <= {c.id for c in CLASSES}
    assert blood.bundle.metrics
    training = blood.bundle.training
    unseen = {
        source: groups for source, groups in training["groups"].items() if source not in training["settings"]["also"]
    }
    assert set(unseen) == {"all_idb1", "bccd", "pbc"}
    assert not any(is_held_out(g) for groups in unseen.values() for g in groups)


def test_blasts_of_a_field_it_has_never_seen_are_called_so_and_a_healthy_donors_cells_are_not(blood, shared_data):
    segmenter, called = get_segmenter("spike"), {}
    for kind, name in (("blast", "Im006_1.jpg"), ("healthy", "Im081_0.jpg")):
        with Image.open(shared_data / "all_idb1" / name) as picture:
            field = np.asarray(picture.convert("RGB"))
        masks = segmenter.segment(field)
        images = [field] * len(masks)
        proba = blood.predict_proba(images, [masks.cells == i + 1 for i in range(len(masks))], masks.mpp)
        called[kind] = [label == "blast" for label in blood.labels(proba)]
    assert np.mean(called["blast"]) > 0.6
    assert sum(called["healthy"]) <= 1


def test_cells_of_a_healthy_donor_are_named_and_not_called_blast(blood, shared_data):
    images, labels = held_out(shared_data, "pbc", 5)
    given = blood.labels(blood.predict_proba(images))
    right = [name in PBC[label].split("|") for name, label in zip(given, labels, strict=True)]
    assert np.mean(right) > 0.6
    assert given.count("blast") <= 1
