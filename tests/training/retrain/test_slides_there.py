"""A slide that has moved is told of before any cell is looked at."""

from __future__ import annotations

import pytest

from leukoscope.errors import CaseError
from leukotrain.retrain import RetrainProgress, retrain, retrain_plan


@pytest.mark.parametrize("mode", ["head", "full"])
def test_the_case_whose_slide_is_gone_is_named_first(cases, tmp_path, mode):
    plan = retrain_plan(cases, mode=mode, slides={cases[2].name: tmp_path / "gone.tiff"})
    said: list[RetrainProgress] = []
    with pytest.raises(CaseError, match=r"smear3\.leuko: its slide cannot be read .*gone.*--slide smear3\.leuko=FILE"):
        retrain(plan, tmp_path / "m", device="cpu", progress=said.append)
    assert said == []
