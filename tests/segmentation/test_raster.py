"""The spike raster: silent on glass and outside the gate, the spikes that outlines come from, in the right place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from smears import small_smear
from spiking import untrained

from leukoscope.errors import SettingsError
from leukoscope.segmentation import get_segmenter
from leukoscope.segmentation.base import white_point
from leukoscope.segmentation.spike import SpikeRaster, SpikeSegmenter, spike_raster
from leukoscope.segmentation.spike.coding import DENSITY_STEP, optical_density
from leukoscope.segmentation.spike.gate import gate_blocks
from leukoscope.segmentation.spike.unet import LAYERS

GLASS = np.full((100, 90, 3), 235, np.uint8)


@pytest.fixture(scope="module")
def smear() -> Any:
    return small_smear(seed=3, size=(200, 236), mpp=0.25, white_cells=2)


@pytest.fixture(scope="module")
def raster(smear: Any) -> SpikeRaster:
    return spike_raster(smear.rgb, 0.25, untrained())


def test_every_layer_is_there_in_firing_order_on_its_own_grid(raster: SpikeRaster) -> None:
    assert raster.layers == LAYERS
    assert raster.spikes["join1"].shape == (4, 4, 100, 120)  # 236 px come padded to 240
    assert raster.spikes["wide2"].shape == (4, 8, 25, 30)
    assert raster.pitch_um("join1") == 0.5
    assert raster.pitch_um("wide2") == 2.0


def test_glass_is_silent() -> None:
    silent = spike_raster(GLASS, 0.25, untrained())
    assert all(not counts.any() for counts in silent.counts().values())
    assert set(silent.rate().values()) == {0.0}
    assert not silent.gate.any()
    assert (silent.times("stem") == silent.steps).all()
    assert all(len(rows) == 0 for rows in silent.at(10, 10).values())


def test_neurons_fire_inside_the_gate_alone(raster: SpikeRaster) -> None:
    assert raster.gate.any()
    assert not raster.gate.all()
    for name in raster.layers:
        fired = raster.spikes[name].any(axis=(0, 1))
        times = fired.shape[0] // raster.gate.shape[0]
        assert fired.any(), name
        assert not fired[~np.kron(raster.gate, np.ones((times, times), bool))].any(), name


def test_counts_rates_times_and_points_tell_the_same(raster: SpikeRaster) -> None:
    for name in raster.layers:
        spikes = raster.spikes[name]
        assert raster.counts()[name].tolist() == [int(s.sum()) for s in spikes]
        assert raster.rate()[name] == pytest.approx(raster.counts()[name].sum() / spikes.size)
        times = raster.times(name)
        first = np.sort(times[times < raster.steps])
        assert np.array_equal(np.bincount(first, minlength=4)[:1], raster.counts()[name][:1])
        assert ((times < raster.steps) == spikes.any(axis=0)).all()
    map_, y, x = np.argwhere(raster.spikes["wide2"].any(axis=0))[0]
    rows = raster.at((y + 0.5) * 8, (x + 0.5) * 8)["wide2"]
    assert [t for neuron, t in rows if neuron == map_] == np.flatnonzero(raster.spikes["wide2"][:, map_, y, x]).tolist()


def test_they_are_the_spikes_of_the_network(smear: Any, raster: SpikeRaster) -> None:
    density = np.pad(optical_density(smear.rgb, white_point(smear.rgb)), ((0, 0), (0, 0), (0, 4)))
    image = torch.from_numpy(density[None]).float()
    spikes = untrained()._snn.raster(image * DENSITY_STEP, gate_blocks(image, 0.25))
    assert all(np.array_equal(spikes[name][:, 0].bool().numpy(), raster.spikes[name]) for name in raster.layers)


def test_resolution_is_followed(smear: Any) -> None:
    fine = np.repeat(np.repeat(smear.rgb, 2, axis=0), 2, axis=1)
    segmenter = untrained()
    calibration = segmenter.calibrate(smear.rgb)
    coarse = spike_raster(smear.rgb, 0.25, segmenter, calibration)
    doubled = spike_raster(fine, 0.125, segmenter, calibration)
    assert np.array_equal(doubled.spikes["join1"], coarse.spikes["join1"])
    assert np.array_equal(doubled.at(100, 140)["mix"], coarse.at(50, 70)["mix"])


def test_what_is_too_large_or_no_image_is_refused() -> None:
    segmenter = untrained()
    with pytest.raises(SettingsError, match="at most 128 µm"):
        spike_raster(np.full((8, 513, 3), 235, np.uint8), 0.25, segmenter)
    assert spike_raster(np.full((8, 1024, 3), 235, np.uint8), 0.125, segmenter).gate.shape == (1, 64)
    with pytest.raises(SettingsError, match="RGB"):
        spike_raster(GLASS[..., 0], 0.25, segmenter)
    with pytest.raises(SettingsError, match="no resolution"):
        spike_raster(GLASS, 0.0, segmenter)


def test_wrong_names_and_places_are_refused(raster: SpikeRaster) -> None:
    with pytest.raises(SettingsError, match="join1"):
        raster.times("join9")
    with pytest.raises(SettingsError, match="200 × 236"):
        raster.at(200, 0)
    with pytest.raises(SettingsError, match="watershed sends no spikes"):
        spike_raster(GLASS, 0.25, get_segmenter("watershed"))  # type: ignore[arg-type]


def test_the_first_spike_network_fires_once_at_most(smear: Any) -> None:
    first = SpikeSegmenter("rstdp", "cpu")
    raster = spike_raster(smear.rgb, 0.25, first)
    assert raster.layers == ("input", "output")
    assert all(raster.spikes[name].sum(axis=0).max() == 1 for name in raster.layers)
    assert raster.spikes["output"].shape[1] == 3
    assert raster.pitch_um("output") == 0.5
    assert not any(counts.any() for counts in spike_raster(GLASS, 0.25, first).counts().values())
