"""What a user asks of any segmenter, asked of the watershed; and how segmenters are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from smears import BRIGHT, DARK, YELLOW, small_smear

from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.segmentation import Calibration, Segmenter, get_segmenter, segmenter_names

WATERSHED = get_segmenter("watershed")


@pytest.mark.parametrize("look", [None, BRIGHT, DARK, YELLOW])
def test_white_cells_of_a_drawn_smear_are_found_whatever_the_lamp(look: object) -> None:
    smear = small_smear(2, look=look, clumping=0.0)  # type: ignore[arg-type]
    masks = WATERSHED.segment(smear.rgb, smear.mpp)
    wanted = smear.table[~smear.table.label.isin(["smudge", "platelet_clump"])]
    hits = [
        masks.cells[int(row.y), int(row.x)]
        for row in wanted.itertuples()
        if 0 <= row.y < smear.rgb.shape[0] and 0 <= row.x < smear.rgb.shape[1]
    ]
    assert np.mean([h > 0 for h in hits]) >= 0.85
    assert len(masks) <= len(smear.table) + 1


@pytest.mark.parametrize(
    "image",
    [
        np.full((200, 200, 3), 255, np.uint8),
        np.zeros((200, 200, 3), np.uint8),
        np.full((1, 1, 3), 90, np.uint8),
        np.full((3, 400, 3), 128, np.uint8),
        np.random.default_rng(0).integers(225, 240, (300, 300, 3)).astype(np.uint8),
        small_smear(5, white_cells=0, mpp=0.25).rgb,
    ],
    ids=["white", "black", "pixel", "line", "noise", "red cells only"],
)
@pytest.mark.parametrize("mpp", [None, 0.25])
def test_where_there_is_no_white_cell_none_is_found(image: np.ndarray, mpp: float | None) -> None:
    masks = WATERSHED.segment(image, mpp)
    assert len(masks) == 0
    assert masks.cells.shape == image.shape[:2]
    assert not masks.cells.any()
    assert not masks.nuclei.any()


def test_an_empty_tile_of_a_full_slide_gives_nothing() -> None:
    calibration = WATERSHED.calibrate(small_smear(0, mpp=0.5).rgb)
    red_only = small_smear(5, white_cells=0, mpp=0.5).rgb
    assert len(WATERSHED.segment(red_only, 0.5, calibration)) == 0


@pytest.mark.parametrize("mpp", [0.1, 0.25, 0.5])
def test_cells_have_the_same_area_at_any_resolution(mpp: float) -> None:
    smear = small_smear(3, size=round(80 / mpp), mpp=mpp, white_cells=4, clumping=0.0)
    masks = WATERSHED.segment(smear.rgb, mpp)
    found = masks.cells > 0
    truth = smear.cells > 0
    assert (found & truth).sum() / (found | truth).sum() > 0.7
    assert masks.mpp == mpp
    assert masks.mpp_source == "given"
    assert masks.cells.dtype == masks.nuclei.dtype == np.int32
    assert masks.scores.dtype == np.float32


def test_a_cell_cut_out_on_black_is_what_is_not_black() -> None:
    smear = small_smear(4, mpp=0.1, size=700, white_cells=3, clumping=0.0)
    row = smear.table[smear.table.label != "smudge"].iloc[0]
    ys, xs = np.nonzero(smear.cells == row.cell_id)
    box = slice(max(0, ys.min() - 8), ys.max() + 8), slice(max(0, xs.min() - 8), xs.max() + 8)
    mask = smear.cells[box] == row.cell_id
    crop = np.where(mask[..., None], smear.rgb[box], 0).astype(np.uint8)
    masks = WATERSHED.segment(crop)
    assert len(masks) == 1
    np.testing.assert_array_equal(masks.cells > 0, mask)
    nucleus = smear.nuclei[box] == row.cell_id
    assert ((masks.nuclei > 0) & nucleus).sum() / ((masks.nuclei > 0) | nucleus).sum() > 0.7
    assert masks.mpp_source == "white cell"
    assert 0.05 < masks.mpp < 0.2


def test_a_round_field_on_black_is_a_field_and_no_cell() -> None:
    smear = small_smear(6, size=900, mpp=0.12)
    y, x = np.indices(smear.rgb.shape[:2]) - 449.5
    eyepiece = np.where((np.hypot(y, x) < 440)[..., None], smear.rgb, 0).astype(np.uint8)
    masks = WATERSHED.segment(eyepiece, smear.mpp)
    assert 1 < len(masks) <= len(smear.table) + 1
    assert (masks.cells > 0).mean() < 0.4


def test_the_scale_of_a_field_comes_from_its_red_cells() -> None:
    masks = WATERSHED.segment(small_smear(6, size=900, mpp=0.12).rgb)
    assert masks.mpp_source == "red cells"
    assert masks.mpp == pytest.approx(0.12, rel=0.15)


@pytest.mark.parametrize(
    "image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), "u1")]
)
def test_what_is_no_rgb_image_is_refused_in_one_line(image: np.ndarray) -> None:
    with pytest.raises(SettingsError, match="RGB"):
        WATERSHED.segment(image)


@pytest.mark.parametrize("mpp", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_resolution_is_refused(mpp: float) -> None:
    with pytest.raises(SettingsError, match="resolution"):
        WATERSHED.segment(np.zeros((5, 5, 3), np.uint8), mpp)


def test_a_calibration_survives_json() -> None:
    calibration = WATERSHED.calibrate(small_smear(0, mpp=0.5).rgb)
    assert calibration.numbers
    assert Calibration.from_json(calibration.to_json()) == calibration
    for text in ("", "[]", '{"white": [1, 2], "numbers": {}}', '{"white": [1, 2, 3]}', '{"white": 3, "numbers": []}'):
        with pytest.raises(SettingsError, match="calibration"):
            Calibration.from_json(text)


def test_every_name_gives_a_segmenter() -> None:
    assert segmenter_names()[0] == "spike"
    for name in segmenter_names():
        segmenter = get_segmenter(name, "cpu")
        assert isinstance(segmenter, Segmenter)
        assert segmenter.name == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="watershed"):
        get_segmenter("stardist")


def test_sam_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(LeukoscopeError, match="sam:PATH"):
        get_segmenter("sam")
    with pytest.raises(LeukoscopeError, match="no such checkpoint"):
        get_segmenter(f"sam:{tmp_path / 'sam_vit_b.pth'}")


def test_a_checkpoint_that_is_none_is_refused_unread(tmp_path: Path) -> None:
    pytest.importorskip("segment_anything")
    torch = pytest.importorskip("torch")
    for name, content in (("text.pth", b"no tensors"), ("empty.pth", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LeukoscopeError, match="no checkpoint of SAM"):
            get_segmenter(f"sam:{tmp_path / name}", "cpu")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(LeukoscopeError, match="no checkpoint of SAM"):
        get_segmenter(f"sam:{tmp_path / 'other.pth'}", "cpu")


@pytest.mark.slow
def test_sam_draws_the_cells_the_watershed_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sam = pytest.importorskip("segment_anything")
    torch = pytest.importorskip("torch")
    from segment_anything.build_sam import _build_sam

    def small(checkpoint: object = None) -> object:
        # SAM's own code and tensors' names, one shallow block: real weights are not to be had in a test.
        return _build_sam(768, encoder_depth=1, encoder_num_heads=12, encoder_global_attn_indexes=[0])

    monkeypatch.setitem(sam.sam_model_registry, "vit_b", small)
    torch.manual_seed(0)
    torch.save(small().state_dict(), tmp_path / "sam.pth")  # type: ignore[attr-defined]
    segmenter = get_segmenter(f"sam:{tmp_path / 'sam.pth'}", "cpu")
    smear = small_smear(3, size=320, mpp=0.25, white_cells=3, clumping=0.0)
    found, drawn = WATERSHED.segment(smear.rgb, 0.25), segmenter.segment(smear.rgb, 0.25)
    # Random weights draw nothing like a cell: each keeps the watershed's outline rather than being lost.
    assert abs(len(drawn) - len(found)) <= 1
    assert len(drawn) > 0
    assert (drawn.cells[drawn.nuclei > 0] == drawn.nuclei[drawn.nuclei > 0]).all()
