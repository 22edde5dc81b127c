from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from leukoscope.classification import CropSpec
from leukoscope.classification.preprocess import Chain, PcaFeatures
from leukoscope.errors import LeukoscopeError, SettingsError
from leukotrain import checkpoint, space
from leukotrain.data.cache import Crops
from leukotrain.data.manifest import Manifest, ManifestError, Row
from leukotrain.fit import CanceledError, Settings, _balanced, fit, sampling_weights
from leukotrain.losses import allowed_matrix

CLASSES = ("blast", "lymphocyte")
SPEC = CropSpec(size=32, mpp=0.5)
SETTINGS = Settings(
    architecture="cnn",  # with dropout, whose random numbers a resumed run must repeat
    sources=(),
    epochs=3,
    epoch_cells=16,
    batch=4,
    threads=1,
    average=0.8,
    shares={"mine": 1.0},
    val_shares={"mine": 1.0},
    device="cpu",
)
Usage = namedtuple("Usage", "total used free")


def cells(count: int = 24) -> tuple[Manifest, Crops]:
    rng = np.random.default_rng(0)
    pixels = rng.integers(120, 200, (count, 40, 40, 4)).astype(np.uint8)
    pixels[..., 3] = 255
    pixels[1::2, 10:30, 10:30, :3] = 20
    rows = [
        Row(f"{i}.png", "", ("lymphocyte", "blast")[i % 2], f"g{i}", "mine", 0.5, "train" if i < 16 else "val")
        for i in range(count)
    ]
    return Manifest(rows), Crops(pixels, np.full(count, 12, np.float32))


MANIFEST, CROPS = cells()


def run(folder: Path, settings: Settings = SETTINGS, **more):
    return fit(MANIFEST, CROPS, CLASSES, SPEC, settings, folder, **more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder)


class KilledError(Exception):
    pass


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# ---- runs that end early


def test_a_run_killed_at_any_instant_goes_on_to_the_same_weights(whole, tmp_path, monkeypatch):
    kills = iter([(0, 1), (1, 4), (2, 3)])
    at = next(kills)

    def kill(progress):
        nonlocal at
        if (progress.epoch, progress.batch) == at:
            at = next(kills, None)
            raise KilledError

    for _ in range(3):
        with pytest.raises(KilledError):
            run(tmp_path, progress=kill)
    # and while the last checkpoint is being written
    written = checkpoint.save_file

    def torn(tensors, file, metadata):
        written(tensors, file, metadata)
        file.write_bytes(file.read_bytes()[:1000])
        raise KilledError

    monkeypatch.setattr(checkpoint, "save_file", torn)
    with pytest.raises(KilledError):
        run(tmp_path)
    monkeypatch.undo()
    resumed = run(tmp_path)
    assert [row["epoch"] for row in resumed.history] == [0, 1, 2]
    assert [row["val_loss"] for row in resumed.history] == [row["val_loss"] for row in whole[1].history]
    assert same(resumed.weights, whole[1].weights)
    assert (resumed.temperature, resumed.threshold) == (whole[1].temperature, whole[1].threshold)


def test_a_finished_run_is_not_run_again(whole):
    folder, fitted = whole
    again = run(folder, progress=lambda at: pytest.fail("trained"))
    assert same(again.weights, fitted.weights)
    assert again.history == fitted.history


def test_progress_is_told_and_cancel_is_heeded(tmp_path):
    event, seen = threading.Event(), []

    def progress(at):
        seen.append((at.epoch, at.epochs, at.batch, at.batches))
        assert at.loss > 0
        if at.epoch == 1:
            event.set()

    with pytest.raises(CanceledError, match="after 1 epochs"):
        run(tmp_path, progress=progress, cancel=event.is_set)
    assert seen == [(0, 3, 1, 4), (0, 3, 2, 4), (0, 3, 3, 4), (0, 3, 4, 4), (1, 3, 1, 4)]


def test_training_ends_when_validation_gets_no_better(tmp_path):
    fitted = run(tmp_path, replace(SETTINGS, patience=1, rate=0.0, head_rate=0.0))
    losses = [row["val_loss"] for row in fitted.history]
    assert losses == [losses[0]] * 2
    assert len(run(tmp_path, replace(SETTINGS, patience=1, rate=0.0, head_rate=0.0)).history) == 2


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    with pytest.raises(LeukoscopeError, match="no number"):
        run(tmp_path, replace(SETTINGS, rate=float("inf")))


def test_no_pickle_is_written_and_a_log_is(whole):
    folder, _ = whole
    names = {file.name for file in folder.rglob("*") if file.is_file()}
    assert {checkpoint.NAME} < names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert not [name for name in names if name.endswith((".ckpt", ".pt", ".pth", ".pkl"))]


# ---- checkpoints that are refused


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"architecture": "resnet31"}, "its architecture is cnn, not resnet31"),
        ({"epochs": 4}, "its epochs is 3, not 4"),
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"augmentation": None}, "its augmentation is"),
    ],
)
def test_the_checkpoint_of_another_run_is_refused(whole, change, words):
    before = (whole[0] / checkpoint.NAME).read_bytes()
    with pytest.raises(LeukoscopeError, match=words):
        run(whole[0], replace(SETTINGS, **change))
    assert (whole[0] / checkpoint.NAME).read_bytes() == before


def test_where_and_how_fast_a_run_is_computed_may_change():
    assert replace(SETTINGS, threads=2, device="auto", strategy="ddp").identity() == SETTINGS.identity()
    assert replace(SETTINGS, devices=2).identity() != SETTINGS.identity()


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95 a pickle", b"cut"])
def test_a_damaged_checkpoint_is_refused(whole, tmp_path, content):
    stored = (whole[0] / checkpoint.NAME).read_bytes()
    (tmp_path / checkpoint.NAME).write_bytes(stored[:-100] if content == b"cut" else content)
    with pytest.raises(LeukoscopeError, match="cannot be read"):
        run(tmp_path)


# ---- bad input, before training starts


def test_a_full_disk_is_noticed_before_training(tmp_path, monkeypatch):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda folder: Usage(10**9, 10**9 - 5_000_000, 5_000_000))
    with pytest.raises(LeukoscopeError, match=r"checkpoints take up to \d+ MB, and 5 MB are free"):
        run(tmp_path / "new", progress=lambda at: pytest.fail("trained"))
    assert not (tmp_path / "new").exists()


def test_a_disk_that_fills_up_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    def full(tensors, file, metadata):
        raise OSError(errno.ENOSPC, "No space left on device")

    def after(row):
        monkeypatch.setattr(checkpoint, "save_file", full)

    with pytest.raises(LeukoscopeError, match="No space left"):
        run(tmp_path, log=after)
    with safe_open(tmp_path / checkpoint.NAME, "pt") as stored:
        assert '"epoch": 0' in stored.metadata()["history"]
    assert not (tmp_path / "checkpoint.partial").exists()


def test_one_class_only_is_refused_and_a_row_named(tmp_path):
    rows = [replace(row, label="blast") for row in MANIFEST]
    with pytest.raises(ManifestError, match=r"row 1 \(0.png\)"):
        fit(Manifest(rows), CROPS, CLASSES, SPEC, SETTINGS, tmp_path)


def test_crops_of_another_manifest_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="23 crops for 24 rows"):
        fit(MANIFEST, Crops(CROPS.pixels[1:], CROPS.diameters[1:]), CLASSES, SPEC, SETTINGS, tmp_path)


def test_a_source_without_a_share_is_refused_by_name():
    with pytest.raises(ManifestError, match=r"0.png is of source mine"):
        sampling_weights(MANIFEST.rows, {"cnmc": 1.0})
    with pytest.raises(ManifestError, match="above 0"):
        sampling_weights(MANIFEST.rows, {"mine": 0.0})


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "64-true"},
        {"accumulate": 0},
        {"balance": "luck"},
        {"devices": 0},
        {"strategy": "fsdp"},
        {"epoch_cells": 3},
        {"batch": 0},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(SettingsError, match=next(iter(change)) if "epoch_cells" not in change else "no whole batch"):
        replace(SETTINGS, **change)


def test_half_precision_needs_a_gpu(tmp_path):
    with pytest.raises(SettingsError, match="16-mixed needs a GPU"):
        run(tmp_path, replace(SETTINGS, precision="16-mixed"))


def test_steps_that_make_vectors_are_refused(tmp_path):
    step = PcaFeatures.fit(CROPS.pixels[:16, :32, :32, :3], None, [row.group for row in MANIFEST][:16], components=2)
    with pytest.raises(SettingsError, match="makes vectors"):
        run(tmp_path, chain=Chain((step,)))


# ---- how cells and steps are weighed


def test_a_roll_up_may_be_any_of_its_parts():
    def row(label: str) -> Row:
        return Row("a.png", "", label, "g", "mine", 0.5, "train")

    classes = ("blast", "neutrophil_band", "neutrophil_segmented", "immature_granulocyte")
    labels = ["neutrophil", "neutrophil_band", "myelocyte", "blast|neutrophil"]
    allowed = allowed_matrix([row(label) for label in labels], classes)
    assert allowed.tolist() == [[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0]]
    with pytest.raises(ManifestError, match=r"row 2 \(a.png\) is monocyte"):
        allowed_matrix([row("blast"), row("monocyte")], classes)


def test_class_weights_follow_the_inverse_root_of_a_label_s_number():
    rows = [row for i, row in enumerate(MANIFEST) if row.split == "val" or row.label == "blast" or i < 4]
    train = [i for i, row in enumerate(rows) if row.split == "train"]
    draw, importance = _balanced(rows, train, replace(SETTINGS, balance="class_weights"))
    assert torch.allclose(draw, torch.full_like(draw, 1 / len(train)))
    worth = {rows[i].label: float(importance[i]) for i in train}
    assert worth["lymphocyte"] / worth["blast"] == pytest.approx((8 / 2) ** 0.5)
    assert float(importance[train].mean()) == pytest.approx(1)


def test_gradients_are_added_up_and_16_bits_train(tmp_path):
    settings = replace(SETTINGS, epochs=1, accumulate=3, precision="bf16-mixed", balance="class_weights")
    fitted = run(tmp_path, settings)
    assert fitted.weights["fc.weight"].dtype == torch.float32
    with safe_open(tmp_path / checkpoint.NAME, "pt") as stored:
        assert float(stored.get_tensor("optimizer.0.step")) == 2  # of 4 batches, three and one


# ---- several processes


SCRIPT = """
import os, sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from pathlib import Path
from safetensors.torch import save_file
import test_runs
settings = replace(test_runs.SETTINGS, {change})
fitted = test_runs.run(Path(sys.argv[1]), settings)
if os.environ.get("RANK", "0") == "0":
    save_file({{k: v.contiguous() for k, v in fitted.weights.items()}}, sys.argv[2])
"""


@pytest.mark.slow
def test_a_process_killed_outright_goes_on_to_the_same_weights(whole, tmp_path):
    from safetensors.torch import load_file

    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), change=""))
    command = [sys.executable, str(script), str(tmp_path / "run"), str(tmp_path / "out.safetensors")]
    first = subprocess.Popen(command)
    while not (tmp_path / "run" / checkpoint.NAME).exists() and first.poll() is None:
        pass
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    subprocess.run(command, check=True, timeout=250)
    assert same(load_file(tmp_path / "out.safetensors"), whole[1].weights)


@pytest.mark.slow
def test_two_processes_of_torchrun_train_one_network(tmp_path):
    from safetensors.torch import load_file

    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent), change="devices=2, epochs=2, strategy='ddp'"))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29641"]
    command = [*launch, str(script), str(tmp_path / "run"), str(tmp_path / "out.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = load_file(tmp_path / "out.safetensors")
    assert all(bool(torch.isfinite(tensor).all()) for tensor in weights.values())
    with safe_open(tmp_path / "run" / checkpoint.NAME, "pt") as stored:
        assert float(stored.get_tensor("optimizer.0.step")) == 2 * 2  # 16 cells, two processes, batches of 4


def test_settings_name_files_by_what_they_hold_and_not_by_where_they_lie(tmp_path):
    file = tmp_path / "some" / "first.safetensors"
    file.parent.mkdir()
    file.write_bytes(b"one")
    settings = replace(SETTINGS, sources=("package", str(file)))
    told = settings.to_json()["sources"]
    assert told == ["package", "first.safetensors, sha256 7692c3ad3540bb80"]
    file.write_bytes(b"two")
    assert settings.identity()["sources"] != told  # a checkpoint of other first weights is another run's
    with pytest.raises(LeukoscopeError, match="no such file"):
        replace(SETTINGS, sources=(str(tmp_path / "none"),)).to_json()
