"""A differential, held against scipy, published tables and what must be true of any count."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from leukoscope.classification.taxonomy import CLASSES, CellClass, Taxonomy
from leukoscope.errors import SettingsError
from leukoscope.hematology import (
    Finding,
    Profile,
    Threshold,
    clopper_pearson,
    differential,
    load_profile,
    load_profiles,
    profile_names,
    save_profiles,
)

COUNTS = st.dictionaries(st.sampled_from([c.id for c in CLASSES]), st.integers(0, 400))


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 800), st.integers(0, 800), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_intervals_are_scipys_exact_ones(count, others, level):
    low, high = clopper_pearson(count, count + others, level)
    if count + others:
        expected = binomtest(count, count + others).proportion_ci(level, method="exact")
        assert low == pytest.approx(100 * expected.low, abs=1e-9)
        assert high == pytest.approx(100 * expected.high, abs=1e-9)
    else:
        assert (low, high) == (0, 100)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    # Newcombe RG (1998), "Two-sided confidence intervals for the single proportion", Stat Med 17, 857-872, Table I.
    [(81, 263, 25.27, 36.76), (15, 148, 5.78, 16.17), (0, 20, 0, 16.84), (1, 29, 0.09, 17.76)],
)
def test_published_intervals(count, total, low, high):
    assert clopper_pearson(count, total) == pytest.approx((low, high), abs=0.005)


def test_a_worked_example_by_hand():
    # No event in n trials: the upper limit is 1 - (alpha/2)^(1/n).
    assert clopper_pearson(0, 200)[1] == pytest.approx(100 * (1 - 0.025 ** (1 / 200)))
    assert clopper_pearson(200, 200)[0] == pytest.approx(100 * 0.025 ** (1 / 200))


@pytest.mark.parametrize(("count", "total", "level"), [(3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 0.0)])
def test_no_interval_of_nonsense(count, total, level):
    with pytest.raises(ValueError, match=r"no proportion|confidence level"):
        clopper_pearson(count, total, level)


@settings(deadline=None, max_examples=50)
@given(COUNTS, st.sampled_from(["blood", "marrow"]))
def test_whatever_is_counted_sums_to_100_and_nothing_gets_lost(counts, profile):
    found = differential(counts, profile)
    assert sum(found.counts.values()) == sum(counts.values())
    assert found.denominator + sum(entry.count for entry in found.ledger) == sum(counts.values())
    if found.denominator:
        assert sum(found.percent.values()) == pytest.approx(100)
    for label, percent in found.percent.items():
        low, high = found.interval(label)
        assert 0 <= low <= percent <= high <= 100
        wider = found.interval(label, 0.99)
        assert wider[0] <= low
        assert high <= wider[1]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 300), st.integers(1, 300))
def test_more_blasts_never_lower_the_interval(blasts, others):
    one = differential({"blast": blasts, "lymphocyte": others}).interval("blast")
    more = differential({"blast": blasts + 1, "lymphocyte": others}).interval("blast")
    assert one[0] <= more[0]
    assert one[1] <= more[1]


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 99), st.integers(2, 10))
def test_more_cells_narrow_the_interval(percent, factor):
    few = differential({"blast": percent, "lymphocyte": 100 - percent}).interval("blast")
    many = differential({"blast": factor * percent, "lymphocyte": factor * (100 - percent)}).interval("blast")
    assert many[1] - many[0] < few[1] - few[0]


def test_blood_reports_erythroblasts_per_100_leukocytes_and_marrow_counts_them():
    cells = {"lymphocyte": 150, "blast": 50, "erythroblast": 30, "smudge": 7}
    blood, marrow = differential(cells, "blood"), differential(cells, "marrow")
    assert (blood.denominator, blood.blast_percent, blood.erythroblasts_per_100) == (200, 25, 15)
    assert (marrow.denominator, marrow.erythroblasts_per_100) == (230, None)
    assert marrow.percent["erythroblast"] == pytest.approx(100 * 30 / 230)
    assert {entry.label: entry.count for entry in blood.ledger} == {"erythroblast": 30, "smudge": 7}
    assert {entry.label: entry.count for entry in marrow.ledger} == {"smudge": 7}
    assert all(entry.reason for entry in blood.ledger)


@pytest.mark.parametrize(
    ("blasts", "others", "finding", "words"),
    [
        (68, 132, Finding.ABOVE, "blasts 34.0 % (27.5–41.0): above 25 %"),
        (0, 200, Finding.BELOW, "blasts 0.0 % (0.0–1.8): below 5 %"),
        (24, 176, Finding.BETWEEN, "blasts 12.0 % (7.8–17.3): between 5 % and 20 %"),
        (36, 164, Finding.UNDECIDED, "blasts 18.0 % (12.9–24.0): undecided: interval crosses 20 %"),
        (45, 155, Finding.UNDECIDED, "blasts 22.5 % (16.9–28.9): undecided: interval crosses 20 % and 25 %"),
        (3, 47, Finding.TOO_FEW, "blasts 6.0 % (1.3–16.5): too few cells, 50 of the 200 that blood asks for"),
        (0, 0, Finding.NO_CELLS, "no cells: no leukocytes counted"),
    ],
)
def test_verdicts(blasts, others, finding, words):
    found = differential({"blast": blasts, "lymphocyte": others, "artefact": 9})
    assert found.finding is finding
    assert found.verdict == words


def test_a_model_without_blasts_gives_no_verdict_on_them():
    found = differential({"lymphocyte": 300}, classes=["lymphocyte", "monocyte"])
    assert found.finding is Finding.NOT_ASSESSED
    assert "blast" not in found.counts
    assert found.counts["monocyte"] == 0  # looked for, not there: its interval says how sure that is
    assert found.interval("monocyte")[1] == pytest.approx(1.2, abs=0.1)


def test_roll_ups_sum_their_parts():
    found = differential({"neutrophil_band": 10, "neutrophil_segmented": 80, "neutrophil": 5, "myelocyte": 5})
    assert found.rolled_up()["neutrophil"] == pytest.approx(95)
    assert found.rolled_up()["immature_granulocyte"] == pytest.approx(5)
    assert found.counted("neutrophil") == 95
    assert found.interval("neutrophil") == clopper_pearson(95, 100)


def test_labels_one_by_one_or_counted_are_the_same():
    assert differential(["blast"] * 3 + ["smudge"]) == differential({"blast": 3, "smudge": 1})


def test_a_label_nobody_knows_is_in_the_ledger():
    found = differential(["blast", "martian"])
    assert [(e.label, e.count, e.reason) for e in found.ledger] == [("martian", 1, "not in the taxonomy")]
    assert all(math.isnan(bound) for bound in found.interval("martian"))


def test_a_laboratorys_own_class_counts_as_it_says():
    own = Taxonomy((*CLASSES, CellClass("promonocyte", "Promonocyte", "#123456")))
    profile = Profile("mine", "nucleated", 10, (Threshold(20, "AML"),), ("blast", "promonocyte"))
    found = differential({"promonocyte": 60, "blast": 20, "lymphocyte": 20}, profile, own)
    assert (found.denominator, found.blasts) == (100, 80)
    assert found.verdict.endswith("above 20 %")


def test_table_has_the_columns_of_counts_csv():
    table = differential({"blast": 50, "lymphocyte": 150, "smudge": 4}).table()
    columns = ["label", "counted", "excluded", "percent", "ci_low", "ci_high", "denominator", "profile"]
    assert list(table.columns) == columns
    assert table["counted"].sum() == 200
    assert table.loc[table["label"] == "smudge", "excluded"].item() == 4
    assert table["percent"].sum() == pytest.approx(100)
    assert differential([]).table()["counted"].sum() == 0


def test_packaged_profiles():
    assert profile_names() == ("blood", "marrow")
    blood, marrow = load_profile("blood"), load_profile("marrow")
    assert (blood.denominator, blood.min_cells) == ("leukocytes", 200)
    assert (marrow.denominator, marrow.min_cells) == ("nucleated", 500)
    assert [t.percent for t in marrow.thresholds] == [5, 20, 25]


def test_profiles_of_ones_own(tmp_path):
    file = tmp_path / "mine.json"
    mine = Profile(
        "day 28", "nucleated", 200, (Threshold(0.5, "MRD"), Threshold(5, "M2")), title="Day 28", review="all"
    )
    save_profiles([mine], file)
    assert load_profiles(file) == {"day 28": mine}
    assert load_profile(str(file)) == load_profile("day 28", file) == load_profile(f"{file}:day 28") == mine
    assert load_profile("blood", file).name == "blood"
    assert differential({"blast": 1}, str(file)).profile == mine


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '{"profiles": []}',
        '{"profiles": [{"name": "a", "denominator": "cells", "min_cells": 1, "thresholds": []}]}',
        '{"profiles": [{"name": "a", "denominator": "nucleated", "min_cells": 0, "thresholds": []}]}',
        '{"profiles": [{"name": "a", "denominator": "nucleated", "min_cells": 1, "thresholds": [{"percent": 120}]}]}',
        '{"profiles": [{"name": "a", "denominator": "nucleated", "min_cells": 1, "thresholds": [], "review": "some"}]}',
    ],
)
def test_a_bad_profile_is_refused_in_one_line(tmp_path, text):
    file = tmp_path / "bad.json"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_profiles(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_and_missing_profiles(tmp_path):
    with pytest.raises(SettingsError, match="Choose one of blood, marrow"):
        load_profile("urine")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_profile(str(tmp_path / "none.json"))
    double = {"name": "a", "denominator": "nucleated", "min_cells": 1, "thresholds": []}
    file = tmp_path / "double.json"
    file.write_text(json.dumps({"profiles": [double, double]}))
    with pytest.raises(SettingsError, match="twice"):
        load_profiles(file)


def test_less_than_no_cells_is_refused():
    with pytest.raises(SettingsError, match="below 0"):
        differential({"blast": -1, "lymphocyte": 3})


def test_a_roll_up_among_the_blasts_is_known_by_its_parts():
    own = Profile("own", "nucleated", 1, (Threshold(20, "AML"),), ("blast", "immature_granulocyte"))
    found = differential({"myelocyte": 10, "lymphocyte": 30}, own, classes=("myelocyte", "lymphocyte"))
    assert found.blasts == 10
    assert found.verdict.startswith("blasts 25.0 %")


def test_a_row_of_the_table_has_the_interval_of_its_own_percentage():
    found = differential({"neutrophil": 2, "neutrophil_segmented": 60, "blast": 38})
    table = found.table().set_index("label")
    for label, count in found.counts.items():
        assert tuple(table.loc[label, ["ci_low", "ci_high"]]) == clopper_pearson(count, 100)
    assert found.interval("neutrophil") == clopper_pearson(62, 100)


def test_blasts_that_the_profile_leaves_out_are_refused():
    own = Profile("own", "leukocytes", 1, (Threshold(20, "AML"),), ("blast", "erythroblast"))
    with pytest.raises(SettingsError, match="calls erythroblast a blast, and does not count it"):
        differential({"blast": 1}, own)


def test_thresholds_are_kept_in_order_and_what_is_no_profile_is_refused():
    own = Profile("own", "leukocytes", 200, (Threshold(60, "c"), Threshold(5, "a"), Threshold(20, "b")))
    assert [t.percent for t in own.thresholds] == [5, 20, 60]
    assert differential({"blast": 400, "lymphocyte": 600}, own).verdict.endswith("between 20 % and 60 %")
    for wrong in (
        {"denominator": "leukocyte"},
        {"review": "some"},
        {"min_cells": 0},
        {"min_cells": 1.5},
        {"blasts": ()},
        {"thresholds": (Threshold(100, "x"),)},
        {"thresholds": (Threshold(float("nan"), "x"),)},
    ):
        with pytest.raises(SettingsError, match="the profile 'own' asks for"):
            replace(own, **wrong)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"profiles": [{"name": "a", "denominator": "leukocytes", "min_cells": 1, '
        '"thresholds": [{"percent": NaN, "name": "x"}]}]}',
    ],
)
def test_json_that_would_slip_through_is_refused(tmp_path, text):
    (tmp_path / "mine.json").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"mine\.json: is not valid JSON"):
        load_profile(tmp_path / "mine.json")


def test_a_profile_file_of_windows_and_one_that_has_to_be_named(tmp_path):
    two = [Profile("day 1", "nucleated", 200, ()), Profile("day 28", "nucleated", 500, ())]
    save_profiles(two, tmp_path / "mine.json")
    (tmp_path / "bom.json").write_text((tmp_path / "mine.json").read_text("utf-8"), encoding="utf-8-sig")
    assert load_profile(f"{tmp_path}/bom.json:day 28") == two[1]
    with pytest.raises(SettingsError, match="holds several profiles"):
        load_profile(tmp_path / "bom.json")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_profile("a\0.json")
