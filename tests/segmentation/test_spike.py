"""The segmenter `spike`, as users meet it: nothing on empty glass, the same result in any tiling, clear errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from smears import small_smear

from leukoscope.errors import BundleError, SettingsError
from leukoscope.segmentation import Calibration, get_segmenter, segment_tiled
from leukoscope.segmentation.spike import SpikeSegmenter, SpikingUNet, spike_edges
from leukoscope.segmentation.spike.coding import density_planes, inhibit, latency, optical_density, responses, waves
from leukoscope.segmentation.spike.fixedpoint import check_exact, quantize
from leukoscope.segmentation.spike.gate import gate_blocks
from leukoscope.segmentation.spike.segmenter import _windows
from leukoscope.segmentation.spike.weights import SHIPPED, load_snn

NETWORKS = ("snn", "rstdp")


@pytest.fixture(scope="module", params=NETWORKS)
def segmenter(request: pytest.FixtureRequest) -> SpikeSegmenter:
    return SpikeSegmenter(request.param, "cpu")


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    return np.ascontiguousarray(small_smear(seed=3, size=256, mpp=0.5, white_cells=8).rgb)


def test_finds_the_cells_of_a_smear() -> None:
    smear = small_smear(seed=1, size=640, mpp=0.25, white_cells=10)
    masks = get_segmenter("spike", "cpu").segment(np.ascontiguousarray(smear.rgb), 0.25)
    truth = np.unique(smear.cells[smear.cells > 0])
    hit = [i for i in truth if (masks.cells[smear.cells == i] > 0).mean() > 0.5]
    assert len(hit) >= 0.8 * len(truth)
    assert len(masks) <= 1.4 * len(truth)
    assert (masks.cells[masks.nuclei > 0] == masks.nuclei[masks.nuclei > 0]).all()


def test_finds_nothing_among_red_cells() -> None:
    red_only = np.ascontiguousarray(small_smear(seed=2, size=320, mpp=0.5, white_cells=0).rgb)
    assert len(get_segmenter("spike", "cpu").segment(red_only, 0.5)) == 0


def test_finds_nothing_on_glass(segmenter: SpikeSegmenter) -> None:
    assert len(segmenter.segment(np.full((90, 70, 3), 235, np.uint8), 0.5)) == 0
    noise = np.random.default_rng(0).integers(225, 240, (200, 200, 3)).astype(np.uint8)
    assert len(segmenter.segment(noise, 0.5)) == 0


def test_an_empty_tile_of_a_stained_slide_stays_empty(segmenter: SpikeSegmenter, field: np.ndarray) -> None:
    calibration = segmenter.calibrate(field)
    white = np.array(calibration.white)
    glass = np.clip(white + np.random.default_rng(1).normal(0, 2, (128, 128, 3)), 0, 255).astype(np.uint8)
    assert len(segmenter.segment(glass, 0.5, calibration)) == 0


@settings(max_examples=3, deadline=None, derandomize=True)
@given(top=st.integers(0, 60), left=st.integers(0, 60))
def test_maps_are_bit_for_bit_the_same_in_any_window(top: int, left: int) -> None:
    rgb = np.ascontiguousarray(small_smear(seed=3, size=160, mpp=0.5, white_cells=5).rgb)
    for network in NETWORKS:
        one = SpikeSegmenter(network, "cpu")
        calibration = one.calibrate(rgb)
        y, x = (n // one.align * one.align for n in (top, left))
        field = rgb if network == "rstdp" else rgb.repeat(2, axis=0).repeat(2, axis=1)
        whole = one._maps(field, calibration)
        part = one._maps(np.ascontiguousarray(field[y:, x:]), calibration)
        reach = one.receptive
        assert whole[0].max() > 0.5
        for a, b in zip(whole, part, strict=True):
            inner_y, inner_x = (0 if y == 0 else reach), (0 if x == 0 else reach)
            np.testing.assert_array_equal(a[y + inner_y :, x + inner_x :], b[inner_y:, inner_x:])


@pytest.mark.parametrize("tile", [120])
def test_tiles_give_what_the_whole_gives(segmenter: SpikeSegmenter, field: np.ndarray, tile: int) -> None:
    calibration = segmenter.calibrate(field)
    whole = segmenter.segment(field, 0.5, calibration)
    tiled = segment_tiled(segmenter, field, 0.5, tile, calibration)
    np.testing.assert_array_equal(whole.cells, tiled.cells)
    np.testing.assert_array_equal(whole.nuclei, tiled.nuclei)
    np.testing.assert_array_equal(whole.scores, tiled.scores)


def test_threads_and_batches_change_no_bit(field: np.ndarray) -> None:
    one = SpikeSegmenter("snn", "cpu")
    density = torch.from_numpy(optical_density(field[:128, :128], (235, 235, 235)))[None]
    gate = gate_blocks(density.float(), one.mpp)
    assert gate.float().mean() > 0
    alone = one._run(density, gate, Calibration())
    together = one._run(density.repeat(3, 1, 1, 1), gate.repeat(3, 1, 1, 1), Calibration())
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        other = one._run(density, gate, Calibration())
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(alone[0], together[2])
    np.testing.assert_array_equal(alone, other)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (5, 7)])
def test_images_of_any_shape_are_taken(segmenter: SpikeSegmenter, shape: tuple[int, int]) -> None:
    masks = segmenter.segment(np.full((*shape, 3), 200, np.uint8), 0.5)
    assert masks.cells.shape == shape
    assert len(masks) == 0


@given(st.integers(0, 2**32), st.floats(0.002, 0.2), st.integers(1, 9), st.integers(4, 40))
def test_windows_hold_every_open_block_and_all_that_can_reach_it(
    seed: int, share: float, reach: int, longest: int
) -> None:
    gate = np.random.default_rng(seed).random((31, 42)) < share
    covered = np.zeros_like(gate)
    for own, seen in _windows(gate, reach, longest):
        covered[own] = True
        assert all(s.start <= o.start < o.stop <= s.stop for o, s in zip(own, seen, strict=True))
        assert max(o.stop - o.start for o in own) <= longest
        near = tuple(slice(max(0, o.start - reach), o.stop + reach) for o in own)
        needed = np.zeros_like(gate)
        needed[near] = gate[near]
        needed[seen] = False
        assert not needed.any()
    assert not (gate & ~covered).any()


def test_the_receptive_field_is_no_larger_than_stated() -> None:
    torch.manual_seed(0)
    network = SpikingUNet()
    network.train()
    image = torch.rand(1, 3, 128, 128, requires_grad=True)
    for phase in range(SpikingUNet.align):
        at = 64 + phase
        network.eval()
        (gradient,) = torch.autograd.grad(network(image)[0, :, at, at].sum(), image)
        seen = torch.nonzero(gradient[0].abs().sum(0))
        assert (seen - at).abs().max() <= SpikingUNet.receptive


def test_folding_keeps_what_the_network_computes() -> None:
    torch.manual_seed(0)
    network = SpikingUNet((4, 4, 4))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    network.eval()
    image = torch.randint(0, 100, (1, 3, 32, 32)).float() / 128
    with torch.no_grad():
        exact, folded = network(image), network.folded()(image)
    assert torch.corrcoef(torch.stack([exact.flatten(), folded.flatten()]))[0, 1] > 0.9


def test_shipped_weights_are_multiples_of_the_step_and_small() -> None:
    one, two = SpikeSegmenter("snn", "cpu"), SpikeSegmenter("rstdp", "cpu")
    for weight in (*one._snn.parameters(), two._rstdp.weight):
        assert torch.equal(weight * 256, (weight * 256).round())
    one._snn.check()
    assert sum(f.stat().st_size for f in SHIPPED.iterdir()) < 4_000_000


def test_bfloat16_units_change_no_bit(field: np.ndarray) -> None:
    bare, _ = load_snn()
    image = torch.from_numpy(optical_density(field[:128, :128], (235, 235, 235)))[None].float() / 128
    with torch.no_grad():
        plain = bare(image)
        assert torch.equal(plain, bare.fast()(image))
    assert plain.max() > 0


def test_no_neuron_fires_where_the_gate_is_shut(field: np.ndarray) -> None:
    bare, _ = load_snn()
    density = torch.from_numpy(optical_density(field, (235, 235, 235)))[None].float()
    gate = gate_blocks(density, 0.25)
    assert 0 < gate.float().mean() < 1
    for name, spikes in bare.raster(density / 128, gate).items():
        open_at = torch.nn.functional.interpolate(gate.float(), size=spikes.shape[-2:])[0, 0].bool()
        assert spikes[..., open_at].any(), name
        assert not spikes[..., ~open_at].any(), name


def test_sums_that_could_be_rounded_are_refused() -> None:
    check_exact(torch.ones(1, 100), None, 8, 1.0)
    with pytest.raises(BundleError, match="too large"):
        check_exact(torch.full((1, 100), 1000.0), None, 8, 1.0)


def test_quantize_rounds_to_the_grid() -> None:
    assert quantize(torch.tensor([0.3, -0.3, 1e9]), 2).tolist() == [0.25, -0.25, 2047 / 4]


def test_stronger_responses_fire_earlier_and_weak_ones_never() -> None:
    response = torch.tensor([0.0, 5.0, 10.0, 20.0, 99.0]).view(1, 1, 1, 5)
    edges = torch.tensor([[20.0, 10.0, 5.0]])
    time = latency(response, edges)
    assert time.flatten().tolist() == [3, 2, 1, 0, 0]
    assert waves(time, 3)[:, 0, 0, 0].tolist() == [[0, 0, 0, 1, 1], [0, 0, 1, 1, 1], [0, 1, 1, 1, 1]]


def test_rivals_inhibit_each_other_at_a_point() -> None:
    planes = density_planes(torch.randint(0, 200, (1, 3, 24, 24)).float())
    response = responses(planes)
    edges = torch.tensor([40.0, 10.0, 1.0]).repeat(response.shape[1], 1)
    time = inhibit(latency(response, edges), 3)
    gabors = time[:, -4:]
    assert ((gabors < 3).sum(1) <= 1).all()
    assert (gabors < 3).any()


def test_latency_bins_belong_to_the_slide_not_to_the_tile(field: np.ndarray) -> None:
    one = SpikeSegmenter("rstdp", "cpu")
    calibration = one.calibrate(field)
    again = Calibration.from_json(calibration.to_json())
    assert "gain" in calibration.numbers
    density = torch.from_numpy(optical_density(field, calibration.white)).float()[None]
    whole = one._rstdp.times(density, calibration.numbers["gain"][0])
    part = one._rstdp.times(density[..., 50:200, 20:180], again.numbers["gain"][0])
    reach = one.receptive
    assert torch.equal(
        whole[..., 50 + reach : 200 - reach, 20 + reach : 180 - reach], part[..., reach:-reach, reach:-reach]
    )


def test_black_pixels_around_a_cell_are_no_stain() -> None:
    rgb = np.zeros((4, 4, 3), np.uint8)
    rgb[1, 1] = (60, 30, 120)
    density = optical_density(rgb, (240, 240, 240))
    assert density[:, 0, 0].tolist() == [0, 0, 0]
    assert density[0, 1, 1] > 60


def test_the_edge_overlay_marks_edges_and_is_no_segmenter(field: np.ndarray) -> None:
    overlay = spike_edges(field)
    assert overlay.shape == field.shape[:2]
    assert 0 < overlay.max() <= 1
    assert spike_edges(np.full((20, 20, 3), 77, np.uint8)).max() == 0
    with pytest.raises(SettingsError, match="overlay"):
        get_segmenter("spike-edges")


def test_unknown_networks_and_devices_are_named() -> None:
    with pytest.raises(SettingsError, match="nonsense"):
        SpikeSegmenter("nonsense", "cpu")
    with pytest.raises(SettingsError, match="tpu"):
        SpikeSegmenter("snn", "tpu")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "spike"))


def test_missing_and_damaged_weights_end_in_one_line(weights: Path) -> None:
    (weights / "snn.safetensors").write_bytes(b"not weights")
    with pytest.raises(BundleError, match=r"snn\.safetensors"):
        SpikeSegmenter("snn", "cpu", weights)
    (weights / "rstdp.safetensors").unlink()
    with pytest.raises(BundleError, match="missing"):
        SpikeSegmenter("rstdp", "cpu", weights)
    (weights / "model.json").write_text("{}")
    with pytest.raises(BundleError, match="describes no spike networks"):
        SpikeSegmenter(folder=weights)
    (weights / "model.json").unlink()
    with pytest.raises(BundleError, match="missing"):
        SpikeSegmenter(folder=weights)


def test_weights_that_do_not_fit_the_description_are_refused(weights: Path) -> None:
    path = weights / "model.json"
    data = json.loads(path.read_text())
    data["networks"]["snn"]["channels"] = [8, 8, 8]
    path.write_text(json.dumps(data))
    with pytest.raises(BundleError, match="do not fit"):
        SpikeSegmenter("snn", "cpu", weights)


def test_other_weights_have_another_fingerprint(weights: Path) -> None:
    one = SpikeSegmenter("snn", "cpu", weights).fingerprint
    assert SpikeSegmenter("snn", "cpu", weights).fingerprint == one
    tensors = load_file(weights / "snn.safetensors")
    tensors["stem.0.bias"] = -tensors["stem.0.bias"]
    save_file(tensors, weights / "snn.safetensors")
    assert SpikeSegmenter("snn", "cpu", weights).fingerprint != one
    assert SpikeSegmenter("rstdp", "cpu", weights).fingerprint != one
