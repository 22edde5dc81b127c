"""Training of the spike segmenters: what is known of an image, scenes, and a run from data to weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from leukoscope.errors import SettingsError
from leukoscope.segmentation import Calibration, Masks
from leukoscope.segmentation.spike import SpikeSegmenter
from leukoscope.segmentation.spike.gate import gate_blocks
from leukotrain.segment import Canvas, load_bank, train_segmenter
from leukotrain.segment.bank import BANK_MPP, cutouts
from leukotrain.segment.export import manifest_hash
from leukotrain.segment.rounds import accept
from leukotrain.segment.scenes import SceneMaker
from leukotrain.segment.train_snn import train_snn


def _canvas(seed: int, source: str = "bccd") -> Canvas:
    """A dark nucleus in pale cytoplasm, among red cells."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:120, :120]
    od = np.zeros((120, 120, 3)) + rng.uniform(0, 4, (120, 120, 3))
    for _ in range(8):
        at = rng.uniform(0, 120, 2)
        od[np.hypot(y - at[0], x - at[1]) < 14] = (8, 30, 40)
    middle = rng.uniform(45, 75, 2)
    away = np.hypot(y - middle[0], x - middle[1])
    od[away < 22] = (22, 35, 10)
    od[away < 15] = (75, 90, 40)
    none = np.zeros((120, 120), bool)
    return Canvas(
        source, f"{source}-{seed}", od.astype(np.uint8), (away < 22).astype(np.int16), away < 15, none, none.copy()
    )


@pytest.fixture(scope="module")
def bank() -> list[Canvas]:
    return [_canvas(i, source) for i in range(4) for source in ("bccd", "jtsc")]


def test_the_same_seed_gives_the_same_scene(bank: list[Canvas]) -> None:
    one, two = (SceneMaker(bank).make(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.density, two.density)
    np.testing.assert_array_equal(one.target, two.target)


def test_scenes_are_consistent(bank: list[Canvas]) -> None:
    maker = SceneMaker(bank)
    rng = np.random.default_rng(0)
    seen = np.zeros(3)
    for _ in range(30):
        scene = maker.make(rng)
        nucleus, cell, inner = scene.target > 0
        assert not (nucleus & ~cell).any()
        assert not (inner & ~cell).any()
        assert scene.density.min() >= 0
        assert scene.density.max() < 2
        np.testing.assert_array_equal(scene.density * 128, np.rint(scene.density * 128))
        seen += scene.target.sum((1, 2))
    assert (seen > 0).all()


def test_composed_clumps_have_touching_cells_with_inner_parts_apart(bank: list[Canvas]) -> None:
    maker = SceneMaker(bank)
    rng = np.random.default_rng(1)
    more = 0
    for _ in range(25):
        scene = maker._finish(maker._compose(rng), None, rng)
        bodies, inner = (ndimage.label(scene.target[k])[1] for k in (1, 2))
        more += inner > bodies
    assert more >= 5


def test_cutouts_hold_one_whole_cell(bank: list[Canvas]) -> None:
    pool = cutouts(bank)
    assert len(pool) == len(bank)
    for cell in pool:
        assert ndimage.label(cell.cell)[1] == 1
        assert not (cell.nucleus & ~cell.cell).any()
        assert not cell.cell[[0, -1]].any()


def test_the_manifest_hash_follows_pixels(bank: list[Canvas]) -> None:
    assert manifest_hash(bank) == manifest_hash(bank[::-1])
    assert manifest_hash(bank) != manifest_hash(bank[1:])


def test_an_interrupted_run_ends_as_an_uninterrupted_one(bank: list[Canvas], tmp_path: Path) -> None:
    settings = {"epochs": 3, "scenes_per_epoch": 16, "channels": (2, 2, 2), "steps": 2}

    class StopError(Exception):
        pass

    def stop(epoch: int, _: float) -> None:
        if epoch == 1:
            raise StopError

    whole = train_snn(bank, tmp_path / "whole", **settings)
    with pytest.raises(StopError):
        train_snn(bank, tmp_path / "cut", progress=stop, **settings)
    done: list[int] = []
    resumed = train_snn(bank, tmp_path / "cut", progress=lambda epoch, _: done.append(epoch), **settings)
    assert done == [2]
    for name, value in whole.state_dict().items():
        np.testing.assert_allclose(
            value.numpy(), resumed.state_dict()[name].numpy(), rtol=1e-4, atol=1e-6, err_msg=name
        )


def test_from_data_to_a_segmenter(bank: list[Canvas], tmp_path: Path) -> None:
    seen: list[int] = []
    train_segmenter(
        tmp_path, "rstdp", tmp_path / "out", 2, bank=bank, score=False, scenes=12, progress=lambda e, _: seen.append(e)
    )
    one = SpikeSegmenter("rstdp", "cpu", tmp_path / "out")
    assert seen == [0, 1]
    assert one._rstdp.weight.std() > 0.05  # it moved from N(0.8, 0.05)
    assert not list((tmp_path / "out").glob("*.part"))


class _Fixed:
    """A segmenter that gives the masks it was made with."""

    def __init__(self, cells: np.ndarray, nuclei: np.ndarray) -> None:
        self.masks = Masks(cells, nuclei, np.ones(int(cells.max()), np.float32), BANK_MPP, "given")

    def calibrate(self, rgb: np.ndarray) -> Calibration:
        return Calibration()

    def segment(self, rgb: np.ndarray, mpp: float, calibration: Calibration) -> Masks:
        return self.masks


def test_a_second_round_takes_only_what_two_methods_outline_alike() -> None:
    canvas = _canvas(0)
    seen, nucleus = canvas.cells.astype(np.int32), np.where(canvas.nuclei, 1, 0).astype(np.int32)
    agreed = accept(canvas, _Fixed(seen, nucleus), _Fixed(seen, nucleus))
    np.testing.assert_array_equal(agreed.cells, canvas.cells)
    np.testing.assert_array_equal(agreed.nuclei, canvas.nuclei)
    assert not (agreed.unknown_cell & (agreed.cells > 0)).any()
    half = np.where(np.arange(120) < 60, nucleus, 0).astype(np.int32)
    disputed = accept(canvas, _Fixed(seen, nucleus), _Fixed(seen, half))
    assert not disputed.cells.any()
    assert disputed.unknown_cell[canvas.cells > 0].all()  # neither cell nor background: no loss is taken there


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cnn"):
        train_segmenter(tmp_path, "cnn", tmp_path)
    with pytest.raises(SettingsError, match="0 epochs"):
        train_segmenter(tmp_path, "snn", tmp_path, epochs=0)
    with pytest.raises(SettingsError, match="second round"):
        train_segmenter(tmp_path, "rstdp", tmp_path, bank=[_canvas(0)], second=True)
    with pytest.raises(SettingsError, match="no training data"):
        load_bank(tmp_path)


@pytest.mark.slow
def test_real_data_hold_no_held_out_group_and_no_nucleus_below_the_gate(shared_data: Path) -> None:
    from leukotrain.data.split import is_held_out, is_validation

    bank = load_bank(shared_data)
    assert {c.source for c in bank} == {"jtsc", "bccd", "all_idb1", "all_idb2"}
    assert not [c.group for c in bank if is_held_out(c.group) or is_validation(c.group)]
    pool = cutouts(bank)
    for stain in (1.0, 0.5):
        for cell in pool:
            pale = np.rint(cell.density * stain).astype(np.float32)
            pale = np.pad(pale, ((0, -len(pale) % 8), (0, -pale.shape[1] % 8), (0, 0)))
            gate = gate_blocks(torch.from_numpy(pale).permute(2, 0, 1)[None], BANK_MPP)[0, 0].numpy()
            seen = np.kron(gate, np.ones((8, 8), bool))[: len(cell.cell), : cell.cell.shape[1]]
            assert seen[cell.nucleus].all()
