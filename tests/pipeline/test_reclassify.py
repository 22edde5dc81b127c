"""Outlines drawn by hand go the way that the analysis' own went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from smears import small_smear, write_ome_tiff

from leukoscope import analyze, open_slide
from leukoscope.cases import Drawn
from leukoscope.errors import CaseError, SettingsError
from leukoscope.pipeline import reclassify


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "smear.ome.tiff"
    return write_ome_tiff(path, small_smear(seed=1, size=700, mpp=0.25).rgb, mpp=0.25, levels=2)


@pytest.fixture
def case(slide: Path, tmp_path: Path):
    with analyze(slide, tmp_path, segmenter="watershed", model="blood", device="cpu", workers=1) as case:
        yield case


def test_the_same_outline_is_the_same_cell(case, slide: Path) -> None:
    table, outlines = case.cells, case.outlines()
    ids = [number for number in case.ids if outlines[number][1] is not None][:3]
    rows = reclassify(case, open_slide(slide), [outlines[number][0] for number in ids], device="cpu")
    for number, row in zip(ids, rows, strict=True):
        was = table.iloc[number - 1]
        assert row.label == was["label"]
        assert list(row.probabilities) == list(case.settings.classes)
        assert [row.x, row.y, row.area_um2] == pytest.approx([was["x"], was["y"], was["area_um2"]])
        assert list(row.probabilities.values()) == pytest.approx(
            [was[f"p_{label}"] for label in row.probabilities], abs=1e-4
        )
        old = outlines[number][1]
        assert shapely.intersection(row.nucleus, old).area > 0.8 * shapely.union(row.nucleus, old).area
    event = case.edit_outlines(ids[:1], [Drawn(rows[0], tuple(ids[:1]))], "mk")
    assert case.labels(event.drawn) == {case.last_id: rows[0].label}


def test_what_is_drawn_where_nothing_is_has_no_nucleus_and_nothing_is_drawn_off_the_slide(case, slide: Path) -> None:
    pixels = open_slide(slide)
    taken = shapely.union_all([pair[0] for pair in case.outlines().values()])
    centers = ((x, y) for y in range(40, 660, 20) for x in range(40, 660, 20))
    free = next(c for c in centers if shapely.distance(taken, shapely.Point(c)) > 40)
    empty = shapely.Point(free).buffer(12)
    corner = shapely.box(-20, -20, 15, 15)
    found, cut = reclassify(case, pixels, [empty, corner], device="cpu")
    assert found.nucleus_area_um2 == 0.0
    assert cut.cell.bounds == (0.0, 0.0, 15.0, 15.0)
    assert np.isclose(sum(cut.probabilities.values()), 1)
    with pytest.raises(SettingsError, match="no area on the slide"):
        reclassify(case, pixels, [shapely.box(-20, -20, -5, -5)], device="cpu")


def test_another_slide_is_refused(case, tmp_path: Path) -> None:
    other = write_ome_tiff(tmp_path / "other.ome.tiff", small_smear(seed=2, size=300, mpp=0.25).rgb, mpp=0.25)
    with pytest.raises(CaseError, match="another slide"):
        reclassify(case, open_slide(other), [shapely.box(10, 10, 40, 40)])
