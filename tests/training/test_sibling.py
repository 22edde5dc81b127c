"""A model may ship trained on every group of a source; its figures there are then those of a sibling that was not."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain import _sibling
from leukotrain.data.manifest import Manifest, Row
from leukotrain.evaluate import Evaluation
from leukotrain.metrics import Metric
from leukotrain.run import with_held_out


def row(number: int, source: str, split: str) -> Row:
    return Row(f"{number}.png", "", "blast", f"{source}-{split}-{number}", source, 0.1, split)


ROWS = Manifest([row(i, s, p) for i, (s, p) in enumerate((s, p) for s in ("a", "b") for p in ("train", "val", "test"))])


def model(also: tuple[str, ...] = (), groups: tuple[str, ...] = (), **settings: Any) -> Any:
    training = {"settings": {"epochs": 3, "also": list(also)} | settings, "groups": {"a": list(groups)}}
    return SimpleNamespace(bundle=SimpleNamespace(training=training), classes=("blast", "lymphocyte"))


def evaluation(*names: str) -> Evaluation:
    found = [Metric(name, "data", 0.5, 0.4, 0.6, 9, 3) for name in names]
    return Evaluation(found, [], [], np.empty((0, 2), np.float32), None, {})


def test_held_out_groups_of_a_source_move_to_training_and_no_others() -> None:
    moved = with_held_out(ROWS, ["a"])
    assert [(r.source, r.split) for r in moved] == [
        *(("a", s) for s in ("train", "val", "train")),
        *(("b", s) for s in ("train", "val", "test")),
    ]
    assert moved.sha256 != ROWS.sha256
    assert with_held_out(ROWS, []) is ROWS
    with pytest.raises(SettingsError, match="no held-out cells of c"):
        with_held_out(ROWS, ["a", "c"])


def test_a_source_that_was_all_trained_on_is_not_measured_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rest, kept = _sibling.parted(ROWS, model(also=("a",)))
    assert {r.source for r in rest} == {"b"}
    assert kept is not None
    assert {r.source for r in kept} == {"a"}
    assert _sibling.parted(ROWS, model()) == (ROWS, None)
    said: list[str] = []
    alone = _sibling.beside(evaluation("x"), model(("a",)), None, kept, (), tmp_path, False, said.append)
    assert [m.name for m in alone.metrics] == ["x"]
    assert "not measured: a" in said[0]
    monkeypatch.setattr(_sibling, "evaluate", lambda *_: evaluation("AUROC", "cells per second"))
    both = _sibling.beside(evaluation("x"), model(("a",)), model(), kept, (), tmp_path, False, said.append)
    assert [(m.name, _sibling.NOTE in m.note) for m in both.metrics] == [("AUROC", True), ("x", False)]


@pytest.mark.parametrize(
    ("sibling", "match"), [(model(epochs=4), "other settings"), (model(groups=("a-test-2",)), "was trained on")]
)
def test_no_other_model_passes_for_a_sibling(sibling: Any, match: str, tmp_path: Path) -> None:
    _, kept = _sibling.parted(ROWS, model(also=("a",)))
    assert kept is not None
    with pytest.raises(LeukoscopeError, match=match):
        _sibling.beside(evaluation("x"), model(("a",)), sibling, kept, (), tmp_path, False, print)
