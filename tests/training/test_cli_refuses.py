"""What a command cannot do ends before any work, in one line with cause and remedy, exit code 2."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from leukoscope.terminal import guarded
from leukotrain import cli
from leukotrain.data.manifest import Manifest, Row

from .pictures import picture

WORK = {
    "fit": "leukotrain.run.train",
    "compare": "leukotrain.compare.compare",
    "pretrain": "leukotrain.fcmae.pretrain",
    "evaluate": "leukotrain.evaluate.evaluate",
    "probe": "leukotrain.probe.probe",
    "segment": "leukotrain.segment.train.train_snn",
    "retrain": "leukotrain.retrain.retrain",
    "prepare": "leukotrain.prepare.pbc_rows",
}


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """A manifest of four pictures, and a few files that are not what a command asks for."""
    rows = []
    for i, (label, split) in enumerate(
        [("blast", "train"), ("lymphocyte", "train"), ("blast", "val"), ("blast", "test")]
    ):
        picture(tmp_path / f"{i}.png", seed=i)
        rows.append(Row(f"{i}.png", "", label, f"g{i}", "mine", 0.1, split))
    Manifest(rows).write(tmp_path / "own.csv")
    (tmp_path / "text.safetensors").write_text("nonsense")
    (tmp_path / "file").write_text("a file, no folder")
    return tmp_path


def refused(arguments: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> str:
    """Run a command as a user does, and give the one line that it says."""
    words = arguments.replace("@", str(folder)).replace("NOW", str(int(time.time()))).split()

    def worked(*_, **__):
        raise AssertionError("work began")

    monkeypatch.setattr(WORK[words[0]], worked)
    monkeypatch.setattr(sys, "argv", ["leukotrain", *words])
    with pytest.raises(SystemExit) as end:
        guarded(cli.app)
    said = capsys.readouterr()
    assert end.value.code == 2, said.err
    assert "Traceback" not in said.err
    return said.err


OWN = "--manifest @/own.csv --work @/work"
FIT = f"fit {OWN} --out @/model --architecture cnn"  # tried sooner than the usual network
SEEN = "blood --manifest @/own.csv --work @/work"


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (f"compare {OWN} --labels 0", "0 of the labels. Give a share above 0"),
        (f"compare {OWN} --labels 2", "2 of the labels"),
        (f"compare {OWN} --labels nan", "nan of the labels"),
        (f"compare {OWN} --labels 0.5 --labels -1", "-1 of the labels"),
        (f"compare {OWN} --architecture nonsense", "unknown architecture 'nonsense'"),
        (f"compare {OWN} --architecture cnn --architecture nonsense", "unknown architecture 'nonsense'"),
        (f"compare {OWN} --without nonsense", "--without 'nonsense' is none of the networks"),
        (f"compare {OWN} --steps nonsense", "no step is called 'nonsense'. There are:"),
        (f"compare {OWN} --steps alhe:tile=x", "tile of step alhe: 'x' is not of type 'integer'"),
        (f"compare {OWN} --steps alhe:tile=4", "tile of step alhe: 4 is less than the minimum"),
        (f"compare {OWN} --steps alhe:clip=NaN", "clip of step alhe: is no finite number"),
        (f"compare {OWN} --steps alhe:tiles=28", "alhe has no setting 'tiles'. It has: tile, clip, flat, strength."),
        (f"compare {OWN} --steps gaussian_blur:sigma=-1", "sigma of step gaussian_blur"),
        (f"compare {OWN} --steps pca_reconstruct:components=0", "components of step pca_reconstruct"),
        (f"compare {OWN} --steps pca_features", "pca_features makes vectors"),
        (f"compare {OWN} --steps adaptive_sharpen:percentile=101", "percentile of step adaptive_sharpen"),
        (f"compare {OWN} --steps stain_normalize:least=3", "stain_normalize has no setting 'least'. It has: most."),
        (f"compare {OWN} --steps alhe+alhe", "alhe stands twice"),
        (f"compare {OWN} --steps alhe+stain_normalize", "stain_normalize stands behind alhe"),
        (f"compare {OWN} --steps alhe:tile", "'tile' of step alhe is no setting"),
        (f"compare {OWN} --augment nonsense", "no augmentation is called 'nonsense'"),
        (f"compare {OWN} --seed 1 --seed NOW", "is the time of day"),
        (f"compare {OWN} --device nonsense", "unknown device 'nonsense'"),
        (f"compare {OWN} --weights @/nothing", "there is no such file of weights"),
        (f"compare {OWN} --weights @/text.safetensors", "not a readable safetensors file"),
        (f"compare {OWN} --source nonsense", "no cells of source 'nonsense'. There are: mine."),
        (f"compare {OWN} --batch 8 --epoch-cells 4", "an epoch of 4 cells has no whole batch"),
        (f"compare {OWN} --out @/file/x.json", "cannot be written"),
        ("compare --manifest @/own.csv --work @/file/w", "cannot be written"),
        ("compare --manifest @/nothing.csv --work @/work", "cannot be read"),
        ("compare --root @ --work @/work", "--root without --manifest"),
        (f"fit {OWN} --out @/model --architecture nonsense", "unknown architecture 'nonsense'"),
        (f"{FIT} --weights @/nothing", "there is no such file of weights"),
        (f"{FIT} --steps nonsense", "no step is called 'nonsense'"),
        (f"{FIT} --steps alhe:tile=x", "tile of step alhe"),
        (f"{FIT} --augment nonsense", "no augmentation is called"),
        (f"{FIT} --balance nonsense", "balance is 'nonsense'"),
        (f"{FIT} --precision nonsense", "precision is 'nonsense'"),
        (f"{FIT} --normalize nonsense", "no normalization 'nonsense'"),
        (f"{FIT} --device nonsense", "unknown device"),
        (f"{FIT} --rate inf", "a learning rate of inf"),
        (f"{FIT} --rate 0", "a learning rate of 0"),
        (f"{FIT} --also nonsense", "no held-out cells of nonsense"),
        (f"fit {OWN} --out @/file/model --architecture cnn", "cannot be written"),
        ("fit --data @/nothing --work @/work --out @/model --architecture cnn", "no data set here"),
        (f"pretrain {OWN} --out @/encoder --architecture nonsense", "'nonsense' is no ConvNeXt V2"),
        (f"pretrain {OWN} --out @/encoder --size 33", "crops of 33 px cannot be masked"),
        (f"pretrain {OWN} --out @/encoder --device nonsense", "unknown device"),
        (f"pretrain {OWN} --out @/file/encoder", "cannot be written"),
        ("prepare --data @/nothing --work @/work", "no data set here"),
        ("prepare --data @/file --work @/work", "no data set here"),
        (f"evaluate nonsense {OWN}", "nonsense"),
        (f"evaluate {SEEN} --sibling nonsense", "nonsense"),
        (f"evaluate {SEEN} --report @/file/x", "cannot be written"),
        (f"probe nonsense {OWN}", "nonsense"),
        (f"probe {SEEN} --json @/file/x.json", "cannot be written"),
        ("retrain --case @/nothing --out @/new", "nothing"),
        ("retrain --case @/nothing --out @/new --device nonsense", "unknown device"),
        ("retrain --case @/nothing --out @/new --mode nonsense", "there is no mode 'nonsense'"),
        ("retrain --case @/nothing --out @/new --map nonsense", "--map 'nonsense' is not NAME=VALUE"),
        ("segment --data @ --out @/spike --network nonsense", "there is no spike network 'nonsense'"),
        ("segment --data @/nothing --out @/spike", "no training data"),
        ("segment --data @ --out @/file/spike", "cannot write here"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_in_one_line(cells, monkeypatch, capsys, arguments, cause):
    said = refused(arguments, cells, monkeypatch, capsys)
    assert cause in said
    assert len(said.splitlines()) == 1, said
    assert said.rstrip().endswith((".", "…"))


@pytest.mark.parametrize(
    "arguments",
    [
        f"compare {OWN} --labels x",
        f"compare {OWN} --seed -1",
        f"compare {OWN} --epochs 0",
        f"compare {OWN} --threads 0",
        f"fit {OWN}",
        f"{FIT} --size 8",
        f"{FIT} --epochs x",
        f"{FIT} --rate nan",
        f"{FIT} --seed -1",
        f"{FIT} --nonsense",
        f"pretrain {OWN} --out @/encoder --batch 0",
        f"probe {SEEN} --cells 1",
        "retrain --out @/new",
        "segment --out @/spike --epochs 0",
        "segment --out @/spike --workers -1",
    ],
)
def test_what_is_no_such_option_or_out_of_its_range_is_named(cells, monkeypatch, capsys, arguments):
    threads = torch.get_num_threads()
    said = refused(arguments, cells, monkeypatch, capsys)
    assert said.count("\n") == 1
    assert "--" in said.partition("--help")[0], "the option is named"
    assert said.endswith("--help.\n")
    assert torch.get_num_threads() == threads
