"""Blasts by region, held against scipy and enumeration, and where the cells lie."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, hypergeom

from leukoscope.errors import SettingsError
from leukoscope.hematology import (
    Finding,
    by_region,
    clopper_pearson,
    density_map,
    differential,
    dispersion,
    square_regions,
)


def cells(*regions):
    """Lay out (blasts, others) of each region cell by cell."""
    index = np.concatenate([np.full(b + o, i) for i, (b, o) in enumerate(regions)])
    return index, np.concatenate([np.arange(b + o) < b for b, o in regions])


def test_dispersion_is_pearsons_chi_square():
    blasts, total = np.array([20, 35, 31]), np.array([100, 120, 110])
    expected = chi2_contingency([blasts, total - blasts], correction=False)
    found = dispersion(blasts, total)
    assert (found.chi2, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.freedom, found.permuted) == (2, False)
    assert found.factor == pytest.approx(expected.statistic / 2)


def test_few_expected_blasts_are_dealt_out_anew():
    found = dispersion([3, 0], [12, 30])
    k = np.arange(4)
    deals = hypergeom.pmf(k, 42, 3, 12)
    far = (k - 12 * 3 / 42) ** 2 >= (3 - 12 * 3 / 42) ** 2 - 1e-9  # two regions: chi-square grows with this alone
    assert found.permuted
    assert found.p == pytest.approx(deals[far].sum(), abs=0.006)
    assert dispersion([3, 0], [12, 30]) == found  # seeded
    assert dispersion([3, 0], [12, 30], draws=9).p >= 0.1


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6), st.integers(0, 3))
def test_any_regions_have_a_dispersion(regions, seed):
    blasts = np.array([b for b, _ in regions], int)
    total = np.array([b + o for b, o in regions], int)
    found = dispersion(blasts, total, seed, draws=99)
    assert 0 < found.p <= 1
    assert found.chi2 >= 0
    # Regions without cells say nothing.
    assert dispersion([*blasts, 0], [*total, 0], seed, draws=99) == found


def test_p_is_uniform_where_nothing_differs():
    rng = np.random.default_rng(5)
    p = np.array([dispersion(rng.binomial(30, 0.08, 6), np.full(6, 30), draws=199).p for _ in range(400)])
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p <= 0.5) == pytest.approx(0.5, abs=0.08)


def test_regions_without_a_difference():
    assert dispersion([0, 0], [50, 50]).p == 1
    assert dispersion([50, 50], [50, 50]).p == 1
    assert dispersion([5], [50]).factor == 1
    assert dispersion([], []).p == 1
    with pytest.raises(SettingsError, match="more blasts than cells"):
        dispersion([5], [4])


def test_counts_by_region():
    index, blast = cells((10, 40), (0, 0), (20, 30))
    found = by_region([*index, -1], [*blast, True])
    assert [(r.index, r.blasts, r.cells, r.percent) for r in found.regions] == [(0, 10, 50, 20), (2, 20, 50, 40)]
    assert (found.regions[1].low, found.regions[1].high) == clopper_pearson(20, 50)
    assert found.dispersion == dispersion([10, 20], [50, 50])


def test_even_regions_drive_nothing():
    assert by_region(*cells(*[(30, 70)] * 5)).driving == ()
    assert by_region(*cells((30, 70))).driving == ()
    assert by_region([], []).regions == ()


def test_a_region_that_moves_the_estimate_outside_its_interval_is_named():
    warning = by_region(*cells((0, 100), (1, 99), (60, 40), (1, 99))).driving[0]
    assert warning.region.index == 2
    assert warning.outside
    assert warning.percent == pytest.approx(100 * 2 / 300)
    assert warning.without is Finding.BELOW
    assert "without region 2 (100 cells) blasts are 0.7 %" in str(warning)


def test_a_region_that_the_finding_hangs_on_is_named():
    # 10.1 % in all, above 5 %; two thirds of it from one small region.
    found = by_region(*cells((35, 965), (34, 966), (60, 40)))
    assert found.driving[0].region.index == 2
    assert found.driving[0].finding is Finding.BETWEEN
    assert found.driving[0].without is Finding.BELOW
    assert "below instead of between" in str(found.driving[0])


def test_fewer_cells_alone_are_no_reason():
    # Without one of two like regions the interval would be open, but not at as many cells.
    assert differential({"blast": 31, "lymphocyte": 69}).finding is not Finding.ABOVE
    assert by_region(*cells((31, 69), (31, 69))).driving == ()


def test_neither_is_a_count_at_the_edge():
    # 29.5 %, from 25.1: a region as the others are tips it, but does not drive it.
    assert by_region(*cells((29, 71), (29, 71), (30, 70), (30, 70))).driving == ()


def test_square_regions():
    region = square_regions([10, 90, 110, 10, 250], [10, 20, 30, 150, 150], 100)
    assert region.tolist() == [0, 0, 1, 3, 5]
    assert len(square_regions([], [], 100)) == 0
    with pytest.raises(SettingsError, match="cannot be 0 wide"):
        square_regions([1], [1], 0)


def test_bad_input():
    with pytest.raises(SettingsError, match="one region for each"):
        by_region([0, 1], [True])
    with pytest.raises(SettingsError, match="no profile"):
        by_region([0], [True], "urine")


def test_a_map_keeps_all_cells_and_finds_the_blasts():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 4000, 8000), rng.uniform(0, 2000, 8000)
    blast = x > 2000
    found = density_map(x, y, blast)
    assert found.per_mm2.sum() * found.spacing**2 / 1e6 == pytest.approx(8000, rel=1e-3)
    row, column = (round((at - first) / found.spacing) for at, first in zip((1000, 3500), found.origin, strict=True))
    assert found.blast_percent[row, column] == pytest.approx(100, abs=0.1)
    assert found.per_mm2[row, column] == pytest.approx(1000, rel=0.3)
    column = round((500 - found.origin[1]) / found.spacing)
    assert found.blast_percent[row, column] == pytest.approx(0, abs=0.1)
    assert np.isnan(found.blast_percent[0, 0])
    shown = found.blast_percent[~np.isnan(found.blast_percent)]
    assert shown.min() >= 0
    assert shown.max() <= 100


def test_a_cell_lies_in_the_middle_of_its_own_spot():
    found = density_map([1025], [-475], [True], min_cells=0.5)
    row, column = np.unravel_index(found.per_mm2.argmax(), found.per_mm2.shape)
    place = [first + found.spacing * at for first, at in zip(found.origin, (row, column), strict=True)]
    assert place == [-475, 1025]


def test_maps_of_a_slide_take_no_time():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 40_000, 100_000), rng.uniform(0, 20_000, 100_000)
    blast = rng.random(100_000) < 0.1
    start = time.perf_counter()
    density_map(x, y, blast)
    by_region(square_regions(x, y, 2000), blast)
    assert time.perf_counter() - start < 2  # 30 ms alone on a core


def test_no_map_of_nonsense():
    empty = density_map([], [], [])
    assert (empty.per_mm2.sum(), empty.blast_percent.shape) == (0, (1, 1))
    with pytest.raises(SettingsError, match="one place for each"):
        density_map([1], [1, 2], [True])
    with pytest.raises(SettingsError, match="no place"):
        density_map([1], [np.nan], [True])
    with pytest.raises(SettingsError, match="lengths above 0"):
        density_map([1], [1], [True], sigma=0)
    with pytest.raises(SettingsError, match="coarser"):
        density_map([0, 1e7], [0, 1e7], [True, True])
