from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from leukoscope.errors import SlideError
from leukoscope.slides import RED_CELL_UM, estimate_mpp, measure_red_cells


@pytest.mark.parametrize("diameter", [12, 17, 24, 48, 70, 100, 140])
def test_every_magnification_is_measured_by_its_red_cells(smear, diameter):
    mpp = estimate_mpp(smear(diameter))
    assert mpp == pytest.approx(RED_CELL_UM / diameter, rel=0.08)


@pytest.mark.parametrize(
    ("glass", "density"),
    [
        ((245, 245, 245), (0.05, 0.25, 0.25)),  # bright
        ((120, 118, 112), (0.06, 0.22, 0.2)),  # dark
        ((215, 205, 160), (0.05, 0.2, 0.15)),  # yellow
        ((150, 150, 152), (0.1, 0.14, 0.13)),  # grey, and grey cells
    ],
)
def test_tone_and_stain_do_not_matter(smear, glass, density):
    mpp = estimate_mpp(smear(40, glass=glass, density=density))
    assert mpp == pytest.approx(RED_CELL_UM / 40, rel=0.08)


@pytest.mark.parametrize("pallor", [0.0, 0.95])
def test_central_pallor_does_not_matter(smear, pallor):
    assert estimate_mpp(smear(40, pallor=pallor)) == pytest.approx(RED_CELL_UM / 40, rel=0.08)


def test_the_users_own_cell_diameter_scales_the_estimate(smear):
    field = smear(40)
    assert estimate_mpp(field, diameter_um=9.0) == pytest.approx(estimate_mpp(field) * 9.0 / RED_CELL_UM)


def test_cells_are_told_with_their_places(smear):
    cells = measure_red_cells(smear(40, cover=0.3))
    assert cells is not None
    assert cells.centers.shape == (len(cells.diameters), 2)
    assert len(cells.diameters) > 30
    assert cells.spread < 0.25
    assert cells.centers.min() >= 0
    assert cells.centers.max() <= 640


def test_a_cells_place_is_where_it_lies_in_a_large_field():
    """The search looks at the middle of a large field; places are of the whole."""
    field = np.full((2000, 2400, 3), (225, 222, 215), np.uint8)
    y, x = np.mgrid[:2000, :2400]
    places = [(600 + 90 * i, 700 + 110 * j) for i in range(8) for j in range(8)]
    for cy, cx in places:
        field[np.hypot(y - cy, x - cx) < 30] = (195, 135, 140)
    cells = measure_red_cells(field)
    assert cells is not None
    assert cells.diameter == pytest.approx(60, rel=0.05)
    for center in cells.centers:
        assert min(np.hypot(*(center - place)) for place in places) < 6


def test_where_no_red_cells_are_there_is_no_estimate(smear):
    rng = np.random.default_rng(1)
    assert estimate_mpp(np.full((600, 600, 3), 230, np.uint8)) is None
    assert estimate_mpp(np.zeros((600, 600, 3), np.uint8)) is None
    assert estimate_mpp(rng.integers(0, 256, (600, 600, 3), dtype=np.uint8)) is None
    assert estimate_mpp(np.clip(rng.normal(200, 25, (600, 600, 3)), 0, 255).astype(np.uint8)) is None
    assert estimate_mpp(smear(60, size=256, cover=0, nuclei=1)) is None  # one white cell
    assert estimate_mpp(smear(40, cover=0, nuclei=60)) is None  # nuclei alone
    assert estimate_mpp(np.zeros((1, 1, 3), np.uint8)) is None


def test_a_wrong_array_is_refused():
    with pytest.raises(SlideError, match="uint8 RGB"):
        estimate_mpp(np.zeros((10, 10), np.uint8))


def _field(path):
    with Image.open(path) as image:
        return image.convert("RGB")


def test_a_real_field_scales_with_its_resolution(shared_data):
    field = _field(shared_data / "all_idb1" / "Im001_1.jpg")
    whole, half, quarter = (estimate_mpp(np.asarray(field.reduce(k))) for k in (1, 2, 4))
    assert whole == pytest.approx(0.104, rel=0.05)
    assert half == pytest.approx(2 * whole, rel=0.03)
    assert quarter == pytest.approx(4 * whole, rel=0.05)


def test_annotated_red_cells_agree(shared_data):
    """BCCD's boxes reach a little beyond the cells, and many cells are cut or stacked."""
    ratios, missed = [], 0
    files = sorted((shared_data / "bccd").glob("*.jpg"))[100::14]
    for path in files:
        boxes = pd.read_csv(path.with_suffix(".csv")).query("label == 'RBC'")
        side = np.sqrt((boxes.xmax - boxes.xmin) * (boxes.ymax - boxes.ymin)).median()
        cells = measure_red_cells(np.asarray(_field(path)))
        if cells is None:
            missed += 1
        elif len(boxes):
            ratios.append(cells.diameter / side)
    assert missed <= 0.2 * len(files)
    assert 0.85 < np.median(ratios) < 1.05
    assert np.percentile(ratios, 5) > 0.75
    assert np.percentile(ratios, 95) < 1.15


@pytest.mark.slow
def test_fields_of_one_microscope_agree(shared_data):
    found = {p.stem: estimate_mpp(np.asarray(_field(p))) for p in sorted((shared_data / "all_idb1").glob("*.jpg"))}
    assert all(found.values())
    first = [m for name, m in found.items() if int(name[2:5]) <= 22]
    later = [m for name, m in found.items() if int(name[2:5]) > 22]
    for group in (first, later):
        assert np.std(group) / np.mean(group) < 0.05


def test_tissue_and_single_cells_give_no_estimate(shared_data):
    import tifffile

    for path in sorted((shared_data / "slides").glob("*.svs")):
        with tifffile.TiffFile(path) as tif:
            tissue = tif.series[0].asarray()
        assert estimate_mpp(np.ascontiguousarray(tissue[1000:2300, 500:1800])) is None
    crops = [*sorted((shared_data / "jtsc").glob("*.*"))[::60], *sorted((shared_data / "cnmc").rglob("*.*"))[::400]]
    for path in crops:
        if "mask" not in path.stem:
            assert estimate_mpp(np.asarray(_field(path))) is None, path
