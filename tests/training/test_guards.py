"""Each guard bites: on made cells of subjects whose style is theirs, not their disease's."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain import guards
from leukotrain.data.importers.agreement import cell_features, compare, features, single_sourced
from leukotrain.data.manifest import Manifest, ManifestError, Row, groups_hash
from leukotrain.data.splits import assign, holdout, leave_one_group_out
from leukotrain.guards import GUARDS, GuardError
from leukotrain.metrics import Metric

SUBJECTS, CELLS = 12, 8


def cell(rng, color, radius, side=48):
    y, x = np.ogrid[:side, :side]
    image = np.full((side, side, 3), 235.0)
    center = side / 2 + rng.uniform(-1, 1, 2)
    image[(y - center[0]) ** 2 + (x - center[1]) ** 2 < radius**2] = color
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def save(folder, name, image):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / name)


@pytest.fixture
def cohort(tmp_path):
    """Subjects of one class each, as in C-NMC; a color each, and nothing that tells the classes apart."""
    rng = np.random.default_rng(0)
    rows = []
    for subject in range(SUBJECTS):
        color = rng.uniform(40, 200, 3)
        for k in range(CELLS):
            name = f"s{subject}/{k}.png"
            save(tmp_path, name, cell(rng, color, rng.uniform(12, 18)))
            label = ("blast", "lymphocyte")[subject % 2]
            rows.append(Row(name, "", label, f"s{subject}", "made", 0.5, "train"))
    return tmp_path, holdout(rows, seed=1)


def colors(folder, rows):
    return np.array([np.asarray(Image.open(folder / r.image)).mean(axis=(0, 1)) for r in rows])


def nearest(x, y, train, test):
    """The accuracy of the nearest neighbor."""
    apart = ((x[test][:, None] - x[train][None]) ** 2).sum(axis=2)
    return float(np.mean(y[train][apart.argmin(axis=1)] == y[test]))


def made(row, name, groups, generator="g"):
    return replace(
        row,
        image=name,
        group="by-g",
        split="train",
        synthetic=True,
        generator=generator,
        generator_groups=groups_hash(groups),
    )


def groups_of(rows, split):
    return sorted({r.group for r in rows if r.split == split and not r.synthetic})


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


def scaler(x):
    return np.stack([x.mean(axis=0), x.std(axis=0)])


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


def two_laboratories(seed=0, swapped=False, effect=2.0):
    """Blasts are the larger cells in both; stain and magnification differ, and each subject has a color of its own."""
    rng = np.random.default_rng(seed)
    rows, x = [], []
    for source, stain, scale in (("north", (90, 60, 140), 1.0), ("south", (150, 90, 120), 1.5)):
        for subject in range(20):
            label = ("blast", "lymphocyte")[subject % 2]
            color = np.array(stain) + rng.normal(0, 15, 3)
            for k in range(4):
                radius = (8 + (effect if label == "blast" else 0) + rng.normal(0, 0.7)) * scale
                image = cell(rng, color, radius)
                x.append(cell_features(image, image.mean(axis=2) < 200, float("nan")))
                other = {"blast": "lymphocyte", "lymphocyte": "blast"}[label]
                given = other if swapped and source == "south" else label
                rows.append(Row(f"{source}/{subject}-{k}.png", "", given, f"{source}-{subject}", source, 0.5, "train"))
    return rows, np.array(x)


@pytest.mark.parametrize("seed", range(2))
def test_guard_8_sees_swapped_labels_and_lets_right_ones_pass(seed):
    guards.labels_agree(*two_laboratories(seed), {})
    with pytest.raises(GuardError, match=r"guard 8 .*blast and lymphocyte look swapped between north and south"):
        guards.labels_agree(*two_laboratories(seed, swapped=True), {})


@pytest.mark.parametrize("seed", range(2))
def test_guard_8_accuses_nobody_where_color_and_size_say_nothing(seed):
    for swapped in (False, True):
        rows, x = two_laboratories(seed, swapped, effect=0.0)
        guards.labels_agree(rows, x, {})
        columns = ([getattr(r, name) for r in rows] for name in ("label", "group", "source"))
        assert all(a.verdict != "swapped" for a in compare(x, *columns))


def test_guard_8_compares_what_two_sources_share_only():
    rows, x = two_laboratories()
    alone = [replace(r, label="monocyte") if (r.source, r.label) == ("south", "blast") else r for r in rows]
    columns = ([getattr(r, name) for r in alone] for name in ("label", "group", "source"))
    assert compare(x, *columns) == []
    assert single_sourced(alone) == {"blast": "north", "monocyte": "south"}


def test_guard_8_refuses_one_name_for_two_classes_and_labels_that_nobody_declared():
    rows, x = two_laboratories()
    right = {"north": {"ALL": "blast", "HEM": "lymphocyte"}, "south": {"all": "blast", "hem": "lymphocyte|monocyte"}}
    guards.labels_agree(rows, x, right)
    wrong = right | {"south": {"all": "lymphocyte", "hem": "blast"}}
    with pytest.raises(GuardError, match=r"guard 8 .*'all' is blast in north and lymphocyte in south"):
        guards.labels_agree(rows, x, wrong)
    with pytest.raises(GuardError, match=r"guard 8 .*which south does not declare"):
        guards.labels_agree(rows, x, {"south": {"all": "blast"}})


def test_features_are_read_from_the_pictures_of_rows(cohort):
    folder, rows = cohort
    save(folder, "mask.png", np.pad(np.full((10, 10), 255, np.uint8), 19))
    seen = []
    found = features([replace(rows[0], mask="mask.png"), rows[1]], [folder], lambda *at: seen.append(at))
    assert found.shape == (2, 10)
    assert found[0, 0] == pytest.approx(np.log(100 * 0.25))
    assert seen == [(1, 2), (2, 2)]


def test_guard_9_refuses_an_area_under_hard_labels():
    guards.scores_are_graded([0.1, 0.7, 0.4])
    for hard in ([0, 1, 1, 0], [True, False], [0.5, 0.5]):
        with pytest.raises(GuardError, match=r"guard 9"):
            guards.scores_are_graded(hard)


def test_guard_9_refuses_a_specificity_called_precision():
    truth = np.array([1] * 20 + [0] * 80, bool)
    called = np.array([1] * 10 + [0] * 10 + [1] * 8 + [0] * 72, bool)
    right = {
        "precision": 10 / 18,
        "specificity": 0.9,
        "recall": 0.5,
        "sensitivity": 0.5,
        "accuracy": 0.82,
        "auroc": 0.1,
    }
    guards.figures_follow(truth, called, right)
    with pytest.raises(GuardError, match=r"guard 9 .*precision is given as 0.900, and is 0.556"):
        guards.figures_follow(truth, called, right | {"precision": right["specificity"]})
    guards.figures_follow(truth, np.zeros(100, bool), {"precision": float("nan"), "recall": 0.0})


def test_guard_10_refuses_another_test_set_for_an_arm(cohort):
    _, rows = cohort
    real = Manifest(rows)
    with_gan = Manifest([*rows, made(rows[0], "syn.png", groups_of(rows, "train"))])
    guards.same_test_set({"real": real, "gan": with_gan})
    fewer = Manifest(r for i, r in enumerate(rows) if r.split != "test" or i % 2)
    with pytest.raises(GuardError, match=r"guard 10 .*easy has another test set than real"):
        guards.same_test_set({"real": real, "gan": with_gan, "easy": fewer})


@pytest.mark.parametrize("seed", [None, "7", 7.0, True, int(time.time()), int(time.time() * 1000), time.time_ns()])
def test_guard_11_refuses_no_seed_and_the_clock(seed):
    with pytest.raises(GuardError, match=r"guard 11"):
        guards.seed_given(seed)


def test_guard_11_refuses_a_run_that_its_seed_does_not_repeat():
    guards.seed_given(0, lambda seed: np.random.default_rng(seed).normal(size=3))
    unseeded = np.random.default_rng()
    with pytest.raises(GuardError, match=r"guard 11 .*two runs with seed 3 differ"):
        guards.seed_given(3, lambda seed: unseeded.normal(size=3))


def test_guard_12_refuses_an_accuracy_that_stands_alone():
    labels = ["blast"] * 58 + ["lymphocyte"] * 42
    accuracy = Metric("accuracy", "made", 0.6, None, None, 100, 10)
    majority = replace(accuracy, name="accuracy: majority class (blast)", value=0.58)
    guards.majority_beside([accuracy, majority, replace(accuracy, name="macro-F1", data="other")], {"made": labels})
    with pytest.raises(GuardError, match=r"guard 12 .*stands alone"):
        guards.majority_beside([accuracy, replace(majority, data="other")])
    with pytest.raises(GuardError, match=r"guard 12 .*is not 0.500"):
        guards.majority_beside([accuracy, replace(majority, value=0.5)], {"made": labels})


def test_guard_13_refuses_a_choice_by_test_cells(cohort):
    _, rows = cohort
    manifest = Manifest(rows)
    guards.selected_without_test(manifest, [r.image for r in rows if r.split == "val"])
    test = next(r.image for r in rows if r.split == "test")
    for used in (test, "unknown.png"):
        with pytest.raises(GuardError, match=f"guard 13 .*{used}"):
            guards.selected_without_test(manifest, [used])


def test_guard_14_refuses_to_measure_on_a_corrected_slide():
    trained = ["slide-f00d", "cnmc-11"]
    guards.slides_not_seen(trained, ["slide-beef"])
    with pytest.raises(GuardError, match=r"guard 14 .*slide-f00d"):
        guards.slides_not_seen(trained, ["slide-beef", "slide-f00d"])


def test_all_guards_at_once_say_which_were_checked(cohort):
    folder, rows = cohort
    manifest = Manifest(rows)
    x = colors(folder, rows)
    splits = [r.split for r in rows]
    train = x[np.array(splits) == "train"]
    assert guards.check_all(manifest) == {2, 3, 4}
    assert guards.check_all(manifest, [folder]) == {1, 2, 3, 4, 7}
    also = {
        5: lambda: guards.fitted_on_training(scaler, x, splits, scaler(train)),
        6: lambda: guards.label_blind(lambda values, names: values, x, [r.label for r in rows]),
        8: lambda: guards.labels_agree(*two_laboratories(), {}),
        9: lambda: guards.scores_are_graded([0.1, 0.2, 0.3]),
        10: lambda: guards.same_test_set({"real": manifest}),
        11: lambda: guards.seed_given(1),
        12: lambda: guards.majority_beside([]),
        13: lambda: guards.selected_without_test(manifest, []),
        14: lambda: guards.slides_not_seen(groups_of(rows, "train"), groups_of(rows, "test")),
    }
    assert guards.check_all(manifest, [folder], also=also) == set(GUARDS) == set(range(1, 15))
    with pytest.raises(GuardError, match=r"guard 14"):
        guards.check_all(manifest, also={14: lambda: guards.slides_not_seen(["a"], ["a"])})
    with pytest.raises(GuardError, match=r"guard 2"):
        guards.check_all(Manifest([*rows, made(rows[0], "syn.png", groups_of(rows, "test"))]))
    with pytest.raises(SettingsError, match="no guard 15"):
        guards.check_all(manifest, also={15: lambda: None})


def test_a_picture_that_is_missing_ends_in_a_line_for_people(cohort):
    folder, rows = cohort
    (folder / rows[0].image).unlink()
    with pytest.raises(LeukoscopeError, match="no such file"):
        guards.check_all(Manifest(rows), [folder])
