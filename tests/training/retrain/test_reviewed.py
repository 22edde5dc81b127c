"""What cells and cases are: the blocks of a slide, new classes, the fields of public data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leukotrain.retraining.reviewed import ReviewedCase, blocks_of, choices


def test_blocks_lie_apart_and_are_about_as_large():
    places = np.random.default_rng(0).uniform(0, [4000, 1000], (103, 2))
    blocks = blocks_of(places)
    counts = np.bincount(blocks)
    assert len(counts) == 5
    assert counts.max() - counts.min() <= 2
    assert blocks_of(places[:3]).tolist() == [0, 1, 2] or len(set(blocks_of(places[:3]).tolist())) == 3
    assert blocks_of(places[:0]).tolist() == []


def test_classes_that_the_model_knows_in_part_are_no_new_ones():
    labels = ["neutrophil", "neutrophil_band", "plasma_cell", "sezary", "blast"]
    assert choices(labels, ["blast", "neutrophil_band"]) == ("plasma_cell", "sezary")
    assert choices(["neutrophil_band"], ["neutrophil"]) == ()


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("Im001_1",), "Im001"),
        (("im001",), "Im001"),
        (("mosaic", "x", "Im001_1_crop"), "Im001"),
        (("Im0011",), ""),
        (("Im001-1",), ""),
        (("BloodImage_00004",), "BloodImage_00004"),
        (("BloodImage",), ""),
        ((), ""),
    ],
)
def test_a_field_of_a_public_data_set_is_known_by_its_name(names, found):
    none = np.empty(0, np.int64)
    case = ReviewedCase(Path("a"), "id", "slide-1", "a", 0, none, (), (), (), np.empty((0, 2)), 0, "m", names)
    assert case.seen_in(["Im001", "BloodImage_00004", "slide-2"]) == found
    assert case.seen_in(["slide-1", "Im001"]) == "slide-1"
