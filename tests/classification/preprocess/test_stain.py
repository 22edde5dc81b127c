"""Stain normalization: of whole slides, and where there is not enough to go by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from smears import BRIGHT, DARK, YELLOW, small_smear

from leukoscope.classification.preprocess import Stain, StainNormalize, estimate_stain
from leukoscope.errors import SettingsError

from .prepared import apart


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
