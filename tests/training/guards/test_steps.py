"""Guards 5 to 7: statistics of held-out cells, and classes that are treated unlike the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from leukoscope.errors import SettingsError
from leukotrain import guards
from leukotrain.data.manifest import Manifest
from leukotrain.guards import GuardError

from .cohort import colors, scaler


def first_component(x):
    _, _, axes = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return axes[0] * np.sign(axes[0][0])


@pytest.mark.parametrize("fit", [scaler, first_component])
def test_guard_5_refuses_statistics_of_everything_and_typed_in_ones(cohort, fit):
    folder, rows = cohort
    x, splits = colors(folder, rows), [r.split for r in rows]
    train = x[np.array(splits) == "train"]
    guards.fitted_on_training(fit, x, splits, fit(train))
    for claimed in (fit(x), np.full_like(fit(train), 0.5), fit(train)[..., :2]):
        with pytest.raises(GuardError, match=r"guard 5"):
            guards.fitted_on_training(fit, x, splits, claimed)


def test_guard_6_refuses_statistics_by_class(cohort):
    folder, rows = cohort
    x, labels = colors(folder, rows), [r.label for r in rows]

    def by_class(values, names):
        out = values.copy()
        for name in set(names):
            at = np.array(names) == name
            out[at] -= values[at].mean(axis=0)
        return out

    guards.label_blind(lambda values, names: values - values.mean(axis=0), x, labels)
    with pytest.raises(GuardError, match=r"guard 6"):
        guards.label_blind(by_class, x, labels)
    with pytest.raises(SettingsError, match="too few"):
        guards.label_blind(by_class, x, ["blast"] * len(x))


def test_guard_6_refuses_an_augmentation_of_one_class(cohort):
    folder, rows = cohort
    x, labels = colors(folder, rows), [r.label for r in rows]
    jitter = lambda values, names: values + np.random.default_rng(0).normal(size=values.shape)  # noqa: E731
    guards.label_blind(jitter, x, labels)
    with pytest.raises(GuardError, match=r"guard 6"):
        guards.label_blind(
            lambda v, names: np.where((np.array(names) == "blast")[:, None], jitter(v, names), v), x, labels
        )


@pytest.mark.parametrize(
    ("treat", "suffix", "words"),
    [
        (lambda image: image.convert("L"), ".png", "blast in made is gray"),
        (lambda image: image.filter(ImageFilter.GaussianBlur(2)), ".png", "blast in made is blurred"),
        (lambda image: image, ".bmp", "blast in made has files of a format of its own"),
    ],
)
def test_guard_7_refuses_one_class_treated_alone(cohort, treat, suffix, words):
    folder, rows = cohort
    guards.treated_alike(Manifest(rows), [folder])
    changed = []
    for row in rows:
        if row.label == "blast":
            name = f"treated/{row.image}".replace(".png", suffix)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with Image.open(folder / row.image) as image:
                treat(image).save(folder / name)
            row = replace(row, image=name)
        changed.append(row)
    with pytest.raises(GuardError, match=f"guard 7 .*{words}"):
        guards.treated_alike(Manifest(changed), [folder])
