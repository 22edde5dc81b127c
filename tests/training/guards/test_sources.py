"""Guard 8: labels that mean something else in another source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from leukotrain import guards
from leukotrain.data.importers.agreement import compare, features, single_sourced
from leukotrain.guards import GuardError

from .cohort import save, two_laboratories


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
