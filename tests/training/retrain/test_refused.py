"""What cannot be retrained is refused in one line."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace

import pytest

from leukoscope.errors import CaseError, LeukoscopeError, SettingsError
from leukotrain.retrain import retrain, retrain_plan
from leukotrain.retraining import writing


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda c, t: retrain_plan(c, mode="half"), "no mode 'half'"),
        (lambda c, t: retrain_plan([c[0], c[0]]), "named twice"),
        (lambda c, t: retrain_plan([]), "too few"),
        (lambda c, t: retrain_plan(c, model="nothing"), "no such model"),
        (lambda c, t: retrain_plan([t / "none.leuko"]), "none.leuko"),
        (lambda c, t: retrain(retrain_plan(c), t / "m", name="No Name"), "no name of a model"),
        (lambda c, t: retrain(retrain_plan(c), retrain_plan(c).bundle.folder), "take the place"),
        (lambda c, t: retrain(retrain_plan(c), c[0]), "holds something that is no bundle"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(reviewed, tmp_path, ask: Callable[..., object], words):
    with pytest.raises(LeukoscopeError, match=words):
        ask(list(reviewed), tmp_path)


def test_a_case_that_changed_since_the_plan_is_refused(cases, tmp_path):
    plan = retrain_plan(cases)
    other = replace(plan, cases=(replace(plan.cases[0], cells=plan.cases[0].cells + 1), *plan.cases[1:]))
    with pytest.raises(CaseError, match="changed since"):
        retrain(other, tmp_path / "m", device="cpu", flips=False)


def test_a_full_disk_is_told_in_one_line(cases, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing, "write_bundle", full)
    with pytest.raises(SettingsError, match="the model cannot be written"):
        retrain(retrain_plan(cases), tmp_path / "m", device="cpu", flips=False, overrule="Dr. K")
