"""A fit leaves the process as it was: a viewer goes on to other work."""

from __future__ import annotations

import pytest
import torch

from leukotrain.retrain import CanceledError, retrain, retrain_plan


def test_the_number_of_threads_is_put_back(reviewed, tmp_path, monkeypatch):
    before = torch.get_num_threads()

    def fit(*_: object, **__: object) -> None:
        torch.set_num_threads(before + 1)
        raise CanceledError("stopped", "Start again.")

    monkeypatch.setattr("leukotrain.retraining.by_fit.fit", fit)
    try:
        with pytest.raises(CanceledError):
            retrain(retrain_plan(reviewed, mode="full"), tmp_path / "m", device="cpu", flips=False)
        assert torch.get_num_threads() == before
    finally:
        torch.set_num_threads(before)
