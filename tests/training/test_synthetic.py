"""A drawn smear says the truth about itself, and looks like a smear to anything that measures it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import label as components
from smears import BLURRED, BRIGHT, DARK, YELLOW, small_smear, write_field, write_ome_tiff

from leukoscope.errors import SettingsError
from leukotrain.data.synthetic import BLOOD_MIX, RECIPES, Look, Smear, render_smear

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def smear() -> Smear:
    return small_smear(seed=1, size=1000, white_cells=24)


def absorbed(smear: Smear) -> np.ndarray:
    """Optical density of green, in which every stain shows."""
    green = smear.rgb[..., 1].astype(float)
    return -np.log10(np.maximum(green, 1) / np.percentile(green, 98))


def test_the_same_seed_draws_the_same_smear_and_another_seed_another_one() -> None:
    first, again, other = (render_smear(300, 260, seed=seed, white_cells=3) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.rgb, again.rgb)
    np.testing.assert_array_equal(first.cells, again.cells)
    pd.testing.assert_frame_equal(first.table, again.table)
    assert (first.rgb != other.rgb).any()


def test_the_table_lists_what_the_labels_show(smear: Smear) -> None:
    assert smear.rgb.shape == (1000, 1000, 3)
    assert smear.rgb.dtype == np.uint8
    assert smear.cells.dtype == smear.nuclei.dtype == np.int32
    assert list(np.unique(smear.cells)) == [0, *smear.table["cell_id"]]
    for row in smear.table.itertuples():
        rows, columns = np.nonzero(smear.cells == row.cell_id)
        assert row.x == pytest.approx(columns.mean() + 0.5)
        assert row.y == pytest.approx(rows.mean() + 0.5)
        assert row.area_um2 == pytest.approx(len(rows) * 0.25**2)
        assert row.nucleus_area_um2 == pytest.approx((smear.nuclei == row.cell_id).sum() * 0.25**2)


def test_a_nucleus_lies_in_its_own_cell_and_each_cell_is_one_piece(smear: Smear) -> None:
    inside = smear.nuclei > 0
    np.testing.assert_array_equal(smear.nuclei[inside], smear.cells[inside])
    assert set(np.unique(smear.nuclei)) == set(np.unique(smear.cells))
    for cell in smear.table["cell_id"]:
        assert components(smear.cells == cell)[1] == 1


def test_nuclei_are_darker_than_cytoplasm_and_red_cells_and_purple(smear: Smear) -> None:
    density, nuclei = absorbed(smear), smear.nuclei > 0
    cytoplasm = (smear.cells > 0) & ~nuclei
    red = smear.others[smear.others["kind"] == "red_cell"]
    at = [(int(y), int(x)) for x, y in red[["x", "y"]].to_numpy() if 0 <= x < 1000 and 0 <= y < 1000]
    in_red = np.array([density[place] for place in at if smear.cells[place] == 0])
    assert np.median(density[nuclei]) > 2 * np.median(density[cytoplasm]) > 0.1
    assert np.median(density[nuclei]) > 3 * np.median(in_red) > 0.1
    red_gray, green_gray, blue_gray = np.median(smear.rgb[nuclei], axis=0)
    assert blue_gray > red_gray > green_gray
    red_gray, green_gray, blue_gray = np.median([smear.rgb[place] for place in at], axis=0)
    assert red_gray > max(green_gray, blue_gray)


@pytest.mark.parametrize("mpp", [0.15, 0.5])
def test_cells_measure_the_same_at_any_resolution(mpp: float) -> None:
    fine, other = (small_smear(seed=3, size=round(160 / scale), mpp=scale, white_cells=8) for scale in (0.25, mpp))
    assert list(fine.table["label"]) == list(other.table["label"])
    np.testing.assert_allclose(fine.table["area_um2"], other.table["area_um2"], rtol=0.03)
    np.testing.assert_allclose(fine.table[["x_um", "y_um"]], other.table[["x_um", "y_um"]], atol=0.15)


def test_kinds_of_cell_have_their_textbook_sizes() -> None:
    smear = render_smear(1600, 1600, 0.5, seed=2, mix=dict.fromkeys(RECIPES, 1), white_cells=120, clumping=0)
    table = smear.table.assign(
        diameter=2 * np.sqrt(smear.table["area_um2"] / np.pi),
        filled=smear.table["nucleus_area_um2"] / smear.table["area_um2"],
    )
    median = table.groupby("label")[["diameter", "filled"]].median()
    assert 7 < median.loc["lymphocyte", "diameter"] < 10
    assert 11 < median.loc["blast", "diameter"] < 16
    assert 14 < median.loc["monocyte", "diameter"] < 18
    assert median.loc["blast", "filled"] > 0.65
    assert median.loc["neutrophil_segmented", "filled"] < 0.5
    red = smear.others[smear.others["kind"] == "red_cell"]["diameter_um"]
    assert red.mean() == pytest.approx(7.2, abs=0.15)
    assert 0.05 < red.std() / red.mean() < 0.12


def test_a_mix_is_shared_out_exactly() -> None:
    smear = small_smear(seed=4, size=900, white_cells=20, mix=(("blast", 0.3), ("lymphocyte", 0.7)))
    assert smear.table["label"].value_counts().to_dict() == {"blast": 6, "lymphocyte": 14}
    assert sum(BLOOD_MIX.values()) == pytest.approx(1)


def test_an_empty_mix_draws_red_cells_alone() -> None:
    smear = render_smear(300, 300, mix={})
    assert smear.table.empty
    assert list(smear.table.columns)[:4] == ["cell_id", "label", "x", "y"]
    assert not smear.cells.any()
    assert not smear.nuclei.any()
    assert (smear.others["kind"] == "red_cell").sum() > 50


def test_no_blood_is_empty_glass() -> None:
    smear = render_smear(200, 200, mix={}, density=0, look=Look(noise=0, shading=0))
    red_cells = smear.others[smear.others["kind"] == "red_cell"]
    assert red_cells.empty
    np.testing.assert_array_equal(np.median(smear.rgb, axis=(0, 1)), Look().white_point)


def test_blasts_touch_in_clumps_without_sharing_pixels() -> None:
    smear = small_smear(seed=6, size=900, white_cells=16, mix=(("blast", 1.0),), clumping=1.0)
    _, patches = components(smear.cells > 0)
    assert patches <= 8
    assert len(smear.table) == 16
    assert smear.table["area_um2"].min() > 50  # flattened against each other, not overdrawn


@pytest.mark.parametrize(
    ("look", "test"),
    [
        (BRIGHT, lambda plain, changed: np.median(changed) > np.median(plain) + 15),
        (DARK, lambda plain, changed: np.median(changed) < np.median(plain) - 50),
        (YELLOW, lambda plain, changed: np.median(changed[..., 2]) < np.median(changed[..., 0]) - 30),
        (BLURRED, lambda plain, changed: sharpness(changed) < 0.6 * sharpness(plain)),
    ],
    ids=["bright", "dark", "yellow", "blurred"],
)
def test_a_look_changes_the_picture_and_not_the_truth(look: Look, test: object) -> None:
    plain, changed = small_smear(seed=7), small_smear(seed=7, look=look)
    assert callable(test)
    assert test(plain.rgb, changed.rgb)
    np.testing.assert_array_equal(plain.cells, changed.cells)


def sharpness(rgb: np.ndarray) -> float:
    """The mean square of the green slopes: edges count, noise hardly does."""
    return float((np.diff(rgb[..., 1].astype(float), axis=0) ** 2).mean())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 220),
    width=st.integers(1, 220),
    mpp=st.sampled_from([0.1, 0.25, 0.6]),
)
def test_any_size_can_be_drawn(seed: int, height: int, width: int, mpp: float) -> None:
    smear = render_smear(height, width, mpp, seed, mix={})
    assert smear.rgb.shape == (height, width, 3)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 9), clumping=st.floats(0, 1))
def test_every_cell_asked_for_is_drawn_whole(seed: int, count: int, clumping: float) -> None:
    smear = render_smear(320, 360, 0.5, seed, white_cells=count, clumping=clumping)
    assert list(np.unique(smear.cells[smear.cells > 0])) == list(range(1, count + 1))
    border = np.concatenate([smear.cells[0], smear.cells[-1], smear.cells[:, 0], smear.cells[:, -1]])
    assert not border.any()


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"height": 0}, "0 by 200 px"),
        ({"mpp": float("nan")}, "nan µm/px"),
        ({"mix": {"unicorn": 1.0}}, "unicorn"),
        ({"mix": {"blast": -1.0}, "white_cells": 1}, "negative"),
        ({"white_cells": 500}, "no room"),
        ({"density": 2.0}, "density"),
    ],
)
def test_what_cannot_be_drawn_is_said(arguments: dict[str, object], cause: str) -> None:
    with pytest.raises(SettingsError, match=cause):
        render_smear(**({"height": 200, "width": 200} | arguments))  # type: ignore[arg-type]


def test_files_hold_the_picture_its_levels_and_its_scale(tmp_path: Path) -> None:
    rgb = small_smear(size=333).rgb
    with tifffile.TiffFile(write_ome_tiff(tmp_path / "a.ome.tif", rgb, mpp=0.3, levels=3)) as file:
        levels = [level.asarray() for level in file.series[0].levels]
        assert 'PhysicalSizeX="0.3"' in (file.ome_metadata or "")
    np.testing.assert_array_equal(levels[0], rgb)
    assert [level.shape[:2] for level in levels] == [(333, 333), (167, 167), (84, 84)]
    assert abs(levels[2].mean() - rgb.mean()) < 1
    write_ome_tiff(tmp_path / "b.ome.tif", rgb, mpp=0.3, levels=3)
    assert (tmp_path / "a.ome.tif").read_bytes() == (tmp_path / "b.ome.tif").read_bytes()
    with Image.open(write_field(tmp_path / "field.png", rgb)) as field:
        np.testing.assert_array_equal(np.asarray(field), rgb)


def test_the_bundled_sample_matches_its_truth() -> None:
    truth = pd.read_csv(ROOT / "sample_data" / "sample_smear_truth.csv")
    leukocytes = truth[truth["label"] != "smudge"]
    assert 150 <= len(leukocytes) <= 250
    assert 0.25 < (leukocytes["label"] == "blast").mean() < 0.35
    with tifffile.TiffFile(ROOT / "sample_data" / "sample_smear.ome.tif") as file:
        levels = file.series[0].levels
        assert 'PhysicalSizeX="0.25"' in (file.ome_metadata or "")
        coarse = levels[1].asarray().astype(float)
    nearest = coarse[(truth["y"] / 2).astype(int), (truth["x"] / 2).astype(int)]
    blasts = nearest[(truth["label"] == "blast").to_numpy()]
    assert np.median(blasts[:, 1]) < 0.4 * np.median(coarse[..., 1])
    size = sum(path.stat().st_size for path in (ROOT / "sample_data").iterdir() if path.is_file())
    assert size < 8e6


@pytest.mark.slow
def test_the_sample_is_what_its_script_draws(tmp_path: Path) -> None:
    script = ROOT / "sample_data" / "make_sample.py"
    subprocess.run([sys.executable, str(script), "--out", str(tmp_path)], check=True, capture_output=True, timeout=250)
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "sample_smear_truth.csv"),
        pd.read_csv(ROOT / "sample_data" / "sample_smear_truth.csv"),
        atol=0.05,
    )
    pictures = []
    for folder in (tmp_path, ROOT / "sample_data"):
        with tifffile.TiffFile(folder / "sample_smear.ome.tif") as file:
            pictures.append(file.series[0].levels[2].asarray().astype(float))
    assert np.abs(pictures[0] - pictures[1]).max() < 12
