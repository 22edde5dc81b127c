"""Guards 1 to 4: copies, generators, synthetic cells and groups in more than one split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from leukotrain import guards
from leukotrain.data.manifest import Manifest, ManifestError
from leukotrain.data.splits import assign, leave_one_group_out
from leukotrain.guards import GuardError

from .cohort import colors, groups_of, made, save


def nearest(x, y, train, test):
    """The accuracy of the nearest neighbor."""
    apart = ((x[test][:, None] - x[train][None]) ** 2).sum(axis=2)
    return float(np.mean(y[train][apart.argmin(axis=1)] == y[test]))


def test_a_random_split_looks_high_the_grouped_one_low_and_guard_4_tells_them_apart(cohort):
    folder, rows = cohort
    x, y = colors(folder, rows), np.array([r.label for r in rows])
    groups = [r.group for r in rows]
    by_image = np.random.default_rng(0).integers(0, 4, len(rows)) == 0
    assert nearest(x, y, ~by_image, by_image) > 0.9
    grouped = np.mean([nearest(x, y, ~left, left) for _, left in leave_one_group_out(groups)])
    assert grouped < 0.7
    with pytest.raises(GuardError, match=r"guard 4 \(whole groups.*group s0"):
        guards.whole_groups(groups, by_image.tolist())
    guards.whole_groups(groups, assign(y, groups, (0.75, 0.25)).tolist())
    splits = np.where(by_image, "test", "train")
    with pytest.raises(ManifestError, match="more than one split"):
        Manifest(replace(r, split=str(s)) for r, s in zip(rows, splits, strict=True))


@pytest.mark.parametrize(
    "augment",
    [
        lambda image: image,
        lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda image: image.transpose(Image.Transpose.ROTATE_90),
        lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        lambda image: image.filter(ImageFilter.GaussianBlur(0.7)),
    ],
)
@pytest.mark.parametrize("split", ["val", "test"])
def test_guard_1_finds_a_copy_that_was_augmented_before_the_split(cohort, augment, split):
    folder, rows = cohort
    manifest = Manifest(rows)
    guards.no_copies(manifest, [folder])
    source = next(r for r in rows if r.split == "train")
    with Image.open(folder / source.image) as image:
        augment(image).save(folder / "copy.png")
    # The copy forgot whose it is: a group of its own, so guard 4 cannot see it.
    leaky = Manifest([*rows, replace(source, image="copy.png", group="copy", split=split)])
    with pytest.raises(GuardError, match=rf"guard 1 .*copy.png\) in {split} is a copy of .*{source.image}"):
        guards.no_copies(leaky, [folder])


def test_guard_1_passes_over_bare_background(cohort):
    folder, rows = cohort
    for name in ("bare1.png", "bare2.png"):
        save(folder, name, np.full((48, 48, 3), 235, np.uint8))
    bare = [replace(rows[0], image=f"bare{i}.png", group=f"bare{i}", split=s) for i, s in ((1, "train"), (2, "test"))]
    guards.no_copies(Manifest([*rows, *bare]), [folder])


def test_guard_2_refuses_a_generator_that_saw_held_out_groups(cohort):
    _, rows = cohort
    train, test, val = (groups_of(rows, s) for s in ("train", "test", "val"))
    everything = [*train, *val, *test]
    for groups in (everything, [*train, test[0]], [*train, val[0]]):
        leaky = Manifest([*rows, made(rows[0], "syn.png", groups)])
        with pytest.raises(GuardError, match=r"guard 2 .*syn.png.*not the training groups"):
            guards.generators_saw_training(leaky)
        with pytest.raises(GuardError, match=r"guard 2 .*syn.png.*held out here"):
            guards.generators_saw_training(leaky, {"g": groups})
    with pytest.raises(GuardError, match="other groups than the row says"):
        guards.generators_saw_training(Manifest([*rows, made(rows[0], "syn.png", everything)]), {"g": train})


def test_guard_2_passes_generators_of_the_training_split_or_of_one_class_of_it(cohort):
    _, rows = cohort
    train = groups_of(rows, "train")
    blasts = sorted({r.group for r in rows if r.split == "train" and r.label == "blast"})
    fine = [made(rows[0], "a.png", train), made(rows[0], "b.png", blasts, "per-class")]
    guards.generators_saw_training(Manifest([*rows, *fine]))
    guards.generators_saw_training(Manifest([*rows, made(rows[0], "c.png", train[:2])]), {"g": train[:2]})


@pytest.mark.parametrize("split", ["val", "test"])
def test_guard_3_refuses_synthetic_cells_to_measure_on(cohort, split):
    _, rows = cohort
    leaky = replace(made(rows[0], "syn.png", ["s0"]), split=split)
    with pytest.raises(GuardError, match=f"guard 3 .*row 97 .syn.png.* in {split}"):
        guards.synthetic_in_training([*rows, leaky])
    with pytest.raises(ManifestError, match="synthetic"):
        Manifest([*rows, leaky])
