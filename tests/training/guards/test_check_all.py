"""All guards at once."""

from __future__ import annotations

import numpy as np
import pytest

from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain import guards
from leukotrain.data.manifest import Manifest
from leukotrain.guards import GUARDS, GuardError

from .cohort import colors, groups_of, made, scaler, two_laboratories


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
    with pytest.raises(LeukoscopeError, match="is in none of"):
        guards.check_all(Manifest(rows), [folder])
