"""The classical methods that the segmentation benchmark compares with, and its panoptic quality."""

from __future__ import annotations

import importlib.util
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from leukotrain.data.masks import MaskedImage

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMES = ("otsu", "scikit-image watershed", "voronoi-otsu")
MPP = 0.2


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        spec = importlib.util.spec_from_file_location("benchmark_segmentation", BENCHMARKS / "segmentation.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    sys.modules.pop("_peers", None)


def disk(y, x, um, shape=(120, 160)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= (um / MPP) ** 2


@pytest.fixture
def touching():
    """Two nuclei 8 µm across that touch, in one body of cytoplasm, and a speck."""
    rng = np.random.default_rng(0)
    rgb = np.full((120, 160, 3), 230, np.float64)
    rgb[disk(60, 60, 6) | disk(60, 98, 6)] = (190, 170, 220)
    rgb[disk(60, 60, 4) | disk(60, 98, 4) | disk(15, 15, 1)] = (110, 60, 150)
    return np.clip(rgb + rng.normal(0, 2, rgb.shape), 0, 255).astype(np.uint8)


def test_touching_nuclei_are_one_to_otsu_and_two_to_the_watersheds(bench, touching):
    masks = {name: bench.PEERS[name](touching, MPP) for name in NAMES}
    assert [len(masks[name]) for name in NAMES] == [1, 2, 2]
    for name in NAMES:
        m = masks[name]
        assert m.cells.shape == m.nuclei.shape == touching.shape[:2]
        assert m.cells.dtype == m.nuclei.dtype == np.int32
        assert set(np.unique(m.cells)) == set(range(len(m) + 1))
        assert (m.cells[m.nuclei > 0] == m.nuclei[m.nuclei > 0]).all()
        assert (m.cells > 0).sum() > 1.5 * (m.nuclei > 0).sum()  # cytoplasm belongs to the cell
    for name in NAMES[1:]:
        cells = masks[name].cells
        assert cells[60, 60] != cells[60, 98]
        assert bench.iou(cells == cells[60, 60], disk(60, 60, 6)) > 0.8


def test_three_classes_leave_the_cytoplasm_to_the_cell(bench, touching):
    masks = bench.PEERS["scikit-image watershed"](touching, MPP, classes=3)
    assert len(masks) == 2
    assert bench.iou(masks.nuclei > 0, disk(60, 60, 4) | disk(60, 98, 4)) > 0.9


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("noise", [0, 2])
def test_an_empty_field_holds_nothing(bench, name, noise):
    rgb = np.full((80, 90, 3), 230.0) + np.random.default_rng(0).normal(0, noise, (80, 90, 3))
    masks = bench.PEERS[name](rgb.astype(np.uint8), MPP)
    assert masks.cells.shape == (80, 90)
    if noise == 0:
        assert len(masks) == 0
        assert not masks.cells.any()


@pytest.mark.parametrize("name", NAMES)
def test_the_resolution_does_not_change_what_is_found(bench, touching, name):
    fine = np.repeat(np.repeat(touching, 2, axis=0), 2, axis=1)
    assert len(bench.PEERS[name](fine, MPP / 2)) == len(bench.PEERS[name](touching, MPP))


def quality(bench, truths, found, mpp):
    total, hits, false, missed = bench.panoptic(truths, found, mpp)
    return total / (hits + false / 2 + missed / 2)


def test_panoptic_quality_of_the_truth_is_one_and_of_nothing_is_zero(bench):
    truths = np.zeros((40, 40), np.int32)
    truths[2:12, 2:12], truths[20:35, 20:35] = 1, 2
    assert quality(bench, truths, truths, 1) == 1
    assert quality(bench, truths, np.where(truths, 3 - truths, 0), 1) == 1  # ids do not matter
    assert quality(bench, truths, np.zeros_like(truths), 1) == 0
    assert quality(bench, np.zeros_like(truths), truths, 1) == 0


def test_panoptic_quality_by_hand(bench):
    truths, found = np.zeros((2, 40, 40), np.int32)
    truths[0:10, 0:10] = 1  # 100 px, found as 80 of them: IoU 0.8
    found[0:8, 0:10] = 1
    truths[20:30, 0:10] = 2  # halved: both halves have IoU 0.5, which is no match
    found[20:25, 0:10], found[25:30, 0:10] = 2, 3
    truths[0:2, 30:34] = 3  # 8 px: too small to count, as is what lies on it
    found[0:2, 30:33] = 4
    found[30:40, 30:40] = 5  # false
    assert bench.panoptic(truths, found, 1) == (pytest.approx(0.8), 1, 3, 1)
    assert quality(bench, truths, found, 1) == pytest.approx(0.8 / 3)
    assert bench.panoptic(truths, found, 0.1) == (0, 0, 0, 0)  # 100 px of 0.01 µm² are 1 µm²


def masked(rgb, classes):
    return MaskedImage("a.png", "bccd", "a", True, rgb, classes, np.ones(classes.shape, bool), MPP, "")


def test_changes_keep_the_truth_on_the_image(bench, touching):
    image = masked(touching, np.where(disk(60, 60, 6), 1 + disk(60, 60, 4), 0).astype(np.uint8))
    area = (image.classes > 0).sum() * MPP**2
    for name, change in bench.CHANGES.items():
        changed = change(image)
        assert changed.rgb.dtype == np.uint8
        assert changed.rgb.shape[:2] == changed.classes.shape == changed.known.shape
        assert set(np.unique(changed.classes)) == {0, 1, 2}
        assert (changed.classes > 0).sum() * changed.mpp**2 == pytest.approx(area, rel=0.05), name
        light = changed.rgb[..., 1]
        assert light[changed.classes == 2].mean() < light[changed.classes == 1].mean() - 30
    cast = bench.CHANGES["yellow cast"](image).rgb
    assert (cast[60, 20] == np.rint(image.rgb[60, 20] * np.array([1.05, 1, 0.7]))).all()


def test_figures_are_means_over_groups(bench):
    tally = defaultdict(dict)
    bench.add(tally, "quality", "a", 1.5, 2, 3)
    bench.add(tally, "quality", "a", 0, 0.5, 0)
    bench.add(tally, "quality", "b", 1, 1)
    value, low, high, n = bench.interval(tally["quality"].values())
    assert value == pytest.approx(2.5 / 3.5)
    assert (low, high, n) == (pytest.approx(1.5 / 2.5), pytest.approx(1), 4)


def test_a_split_is_what_it_says(bench):
    rgb = np.zeros((4, 4, 3), np.uint8)
    images = [masked(rgb, rgb[..., 0]) for _ in range(2)]
    images = [bench.replace(image, group=group) for image, group in zip(images, ("Im017", "Im020"), strict=True)]
    asked = []

    def load(dataset, held_out):
        asked.append(held_out)
        return iter(images)

    assert [i.group for i in bench.chosen(load, "bccd", "validation")] == ["Im017"]
    assert [i.group for i in bench.chosen(load, "bccd", "dev")] == ["Im017", "Im020"]
    assert len(list(bench.chosen(load, "bccd", "held-out"))) == 2
    assert asked == [False, False, True]
