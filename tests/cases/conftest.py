"""Small cases to work on."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
import shapely

from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo

CLASSES = ("blast", "lymphocyte", "monocyte")


@pytest.fixture
def slide():
    return SlideInfo("smear", "smear.svs", "f00d", ((600, 800), (150, 200)), (1.0, 4.0), 0.25, "metadata")


@pytest.fixture
def settings():
    return RunSettings("watershed", "blood", segmenter_fingerprint="s1", model_fingerprint="m1", classes=CLASSES)


@pytest.fixture
def make_cell():
    def make(x, y, blast=0.8, radius=10.0, nucleus=True):
        values = (blast, (1 - blast) * 0.75, (1 - blast) * 0.25)
        return CellRow(
            cell=shapely.box(x - radius, y - radius, x + radius, y + radius),
            nucleus=shapely.box(x - radius / 2, y - radius / 2, x + radius / 2, y + radius / 2) if nucleus else None,
            x=x,
            y=y,
            area_um2=(2 * radius * 0.25) ** 2,
            nucleus_area_um2=(radius * 0.25) ** 2 if nucleus else None,
            score=0.9,
            probabilities=dict(zip(CLASSES, values, strict=True)),
            label=CLASSES[max(range(3), key=lambda i: values[i])],
        )

    return make


@pytest.fixture
def case(tmp_path, slide, settings, make_cell):
    """A completed case of four cells: blast, lymphocyte, blast, lymphocyte."""
    with Case.create(tmp_path / "smear.leuko", slide, settings) as case:
        run = case.begin_run(settings, 2)
        case.add_block(run, 0, [make_cell(100, 100), make_cell(200, 100, 0.1)])
        case.add_block(run, 1, [make_cell(300, 100), make_cell(400, 100, 0.2)])
        case.finish_run(run, "completed")
        yield case


@pytest.fixture
def same_case(tmp_path, slide, settings, make_cell, monkeypatch):
    """A case whose id is always the same: blast, lymphocyte, blast, unidentified."""
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=7))
    with Case.create(tmp_path / "smear.leuko", slide, settings) as case:
        run = case.begin_run(settings, 1)
        low = replace(make_cell(400, 100, 0.4), label="unidentified")
        case.add_block(run, 0, [make_cell(100, 100), make_cell(200, 100, 0.1, nucleus=False), make_cell(300, 100), low])
        case.finish_run(run, "completed")
        yield case
