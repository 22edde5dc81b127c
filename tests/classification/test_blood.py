"""The shipped model on cells of people it has never seen. Bounds are loose: the figures are in the model's card."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from leukoscope.classification import CLASSES, Classifier, load_model, model_names
from leukotrain.data.sources import CNMC, PBC
from leukotrain.data.split import is_held_out
from leukotrain.metrics import auroc


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
    assert not any(is_held_out(g) for groups in blood.bundle.training["groups"].values() for g in groups)


def test_blasts_of_unseen_patients_look_more_like_blasts_than_healthy_cells_do(blood, shared_data):
    images, labels = held_out(shared_data, "cnmc", 25)
    truth = np.array([CNMC[label] == "blast" for label in labels])
    score = blood.predict_proba(images)[:, blood.classes.index("blast")]
    assert auroc(truth, score) > 0.7


def test_cells_of_a_healthy_donor_are_named_and_not_called_blast(blood, shared_data):
    images, labels = held_out(shared_data, "pbc", 5)
    given = blood.labels(blood.predict_proba(images))
    right = [name in PBC[label].split("|") for name, label in zip(given, labels, strict=True)]
    assert np.mean(right) > 0.6
    assert given.count("blast") <= 1
