"""Figures from probabilities, what is said where there is none, and the report of a run."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from typer.testing import CliRunner

from leukoscope.classification import Bundle, Classifier, CropSpec, load_model, write_bundle
from leukoscope.classification.networks import build
from leukoscope.errors import SettingsError
from leukotrain.card import record_metrics, table
from leukotrain.cli import app
from leukotrain.curves import choose_threshold
from leukotrain.data.manifest import Manifest, ManifestError, Row
from leukotrain.evaluate import evaluate
from leukotrain.figures import by_class, measure, unknown_labels
from leukotrain.report import JSON, _heats, content, worst_errors, write_report
from leukotrain.space import check_writable

CLASSES = ("blast", "lymphocyte", "neutrophil_band", "neutrophil_segmented", "artefact")


def rows_of(labels: list[str], source: str = "lab", split: str = "test") -> list[Row]:
    return [
        Row(f"{source}-{split}-{i}.png", "", label, f"{source}-{split}-{i // 3}", source, 0.25, split)
        for i, label in enumerate(labels)
    ]


def drawn(labels: list[str], seed: int = 0) -> np.ndarray:
    """Probabilities that lean to the label, where it is one of the classes."""
    rng = np.random.default_rng(seed)
    proba = rng.random((len(labels), len(CLASSES)))
    for i, label in enumerate(labels):
        if label in CLASSES:
            proba[i, CLASSES.index(label)] += 0.6
    return (proba / proba.sum(axis=1, keepdims=True)).astype(np.float32)


def named(metrics, name, data="lab"):
    (found,) = [m for m in metrics if (m.name, m.data) == (name, data)]
    return found


def test_figures_are_scikit_learns_and_lie_in_their_intervals():
    labels = ["blast", "lymphocyte", "neutrophil_band", "neutrophil_segmented", "artefact"] * 12
    rows, proba = rows_of(labels), drawn(labels)
    cells = [i for i, label in enumerate(labels) if label != "artefact"]  # those to be told apart
    threshold = choose_threshold(np.array([True, False]), np.array([0.3, 0.2]))
    metrics = measure(rows, proba, CLASSES, threshold)
    blast = [labels[i] == "blast" for i in cells]
    given = [CLASSES[k] for k in proba[cells].argmax(axis=1)]
    truth = [labels[i] for i in cells]
    wanted = {
        "AUROC, blast": roc_auc_score(blast, proba[cells, 0]),
        "average precision, blast": average_precision_score(blast, proba[cells, 0]),
        "macro-F1": f1_score(truth, given, labels=CLASSES[:4], average="macro"),
        "sensitivity, blast, at the threshold": np.mean(proba[np.array(labels) == "blast", 0] >= 0.25),
    }
    for name, value in wanted.items():
        metric = named(metrics, name)
        assert metric.value == pytest.approx(value)
        assert metric.low <= metric.value <= metric.high
    assert "0.250" in named(metrics, "specificity, blast, at the threshold").note
    assert named(metrics, "called artefact", "lab, no white cells").cells == 12

    classes = by_class(rows, proba, CLASSES)
    f1 = f1_score(truth, given, labels=CLASSES[:4], average=None)
    for name, value in zip(CLASSES[:4], f1, strict=True):
        assert named(classes, f"F1, {name}").value == pytest.approx(value)
    assert not any("artefact" in m.name for m in classes)


def test_roll_ups_forgive_band_for_segmented_and_know_what_is_only_a_neutrophil():
    labels = ["neutrophil_band", "neutrophil_segmented", "neutrophil_band|neutrophil_segmented", "lymphocyte"] * 6
    proba = np.full((24, 5), 0.05, np.float32)
    for i, label in enumerate(labels):
        # bands are called segmented and the other way round; an unspecified one is torn, and a blast by one class
        proba[i] = {
            "neutrophil_band": (0.1, 0.1, 0.2, 0.6, 0),
            "neutrophil_segmented": (0.1, 0.1, 0.6, 0.2, 0),
            "lymphocyte": (0.1, 0.8, 0.1, 0, 0),
        }.get(label, (0.36, 0.0, 0.32, 0.32, 0))
    metrics = measure(rows_of(labels), proba, CLASSES)
    assert named(metrics, "macro-F1").value == pytest.approx(1 / 3)
    assert named(metrics, "macro-F1, roll-ups").value == 1
    assert named(metrics, "macro-F1, roll-ups").cells == 24
    assert named(metrics, "called what they may be", "lab, class known in part").value == 0


def test_of_a_cell_known_in_part_it_is_seen_whether_it_is_called_one_of_its_classes():
    labels = ["lymphocyte|neutrophil_band", "neutrophil"] * 2 + ["blast"]
    called = ("artefact", "neutrophil_band", "lymphocyte", "lymphocyte", "artefact")
    proba = np.array([[0.8 if name == given else 0.05 for name in CLASSES] for given in called], np.float32)
    metric = named(measure(rows_of(labels), proba, CLASSES), "called what they may be", "lab, class known in part")
    assert (metric.value, metric.cells) == (0.5, 4)


@pytest.mark.parametrize(
    ("labels", "classes", "why"),
    [
        (["blast"] * 6, CLASSES, "only blasts"),
        (["lymphocyte", "neutrophil_band"] * 3, CLASSES, "no blasts"),
        (["lymphocyte", "neutrophil_band"] * 3, CLASSES[1:], "knows no class blast"),
    ],
)
def test_a_figure_that_is_undefined_says_so_and_is_no_number(labels, classes, why, tmp_path):
    metrics = measure(rows_of(labels), drawn(labels)[:, -len(classes) :], classes)
    auroc = named(metrics, "AUROC, blast", "all cells")
    assert auroc.value is None
    assert why in auroc.note
    text = json.dumps([m.to_json() for m in metrics], allow_nan=False)
    assert "undefined" in table(json.loads(text))


def test_hard_labels_are_not_ranked():
    labels = ["blast", "lymphocyte"] * 6
    hard = np.eye(len(CLASSES), dtype=np.float32)[[0, 1] * 6]
    metrics = measure(rows_of(labels), hard, CLASSES)
    assert named(metrics, "AUROC, blast").value is None
    assert named(metrics, "sensitivity, blast").value == 1
    assert not any(m.name.startswith("average precision") for m in metrics)


def test_labels_unknown_to_the_model_are_counted_and_not_scored():
    labels = ["blast", "lymphocyte", "plasma_cell", "neutrophil"] * 3
    rows = rows_of(labels)
    assert unknown_labels(rows, CLASSES) == {"plasma_cell": 3}
    metrics = measure(rows, drawn(labels), CLASSES)
    assert named(metrics, "macro-F1").cells == 6
    assert named(metrics, "macro-F1, roll-ups").cells == 9
    assert named(metrics, "AUROC, blast").cells == 12  # it is no blast all the same


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """Two kinds of cells with outlines, a manifest of them, and a bundle of chance weights."""
    folder = tmp_path_factory.mktemp("lab")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:60, :60]
    body, rows = np.hypot(y - 30, x - 30) < 20, []
    for split, count in (("train", 4), ("val", 8), ("test", 30)):
        labels = [("blast", "lymphocyte", "plasma_cell" if i > 20 else "neutrophil_band")[i % 3] for i in range(count)]
        for i, row in enumerate(rows_of(labels, split=split)):
            image = np.full((60, 60, 3), 235, np.uint8)
            image[body] = (190, 170, 210)
            image[np.hypot(y - 30, x - 30) < 6 + 4 * (i % 3)] = (90, 40, 130)
            Image.fromarray(image + rng.integers(0, 15, image.shape, dtype=np.uint8)).save(folder / row.image)
            rows.append(Row(row.image, "body.png", row.label, f"<b>{row.group}", "lab", 0.25, split))
    Image.fromarray(body).save(folder / "body.png")
    Manifest(rows).write(folder / "manifest.csv")
    torch.manual_seed(1)
    history = [{"epoch": k, "train_loss": 1 / (k + 1), "val_loss": 0.5 + k / 9, "seconds": 1.0} for k in range(3)]
    training = {"manifest_sha256": "0" * 64, "groups": {"lab": []}, "history": history, "settings": {"seed": 1}}
    bundle = Bundle("toy", "cnn", CLASSES, CropSpec(size=48, mpp=0.25), training)
    write_bundle(folder / "toy", bundle, build("cnn", len(CLASSES), 48).state_dict(), "a card")
    return folder


def test_the_command_writes_a_report_that_stands_alone(lab, tmp_path):
    arguments = ["evaluate", str(lab / "toy"), "--manifest", str(lab / "manifest.csv"), "--work", str(tmp_path)]
    ran = CliRunner().invoke(app, [*arguments, "--json", "--report", str(tmp_path / "out")], catch_exceptions=False)
    assert ran.exit_code == 0
    values = json.loads((tmp_path / "out" / "report.json").read_text())
    assert any(m["name"] == "AUROC, blast" for m in values["figures"])
    assert values["unknown_labels"] == {"plasma_cell": 3}
    assert values["threshold"]["blasts"] == 3
    assert values["manifest"]["cells"] == {"train": 4, "val": 8, "test": 30}
    assert not values["manifest"]["same"]
    assert np.array(values["confusion"]["counts"]).sum() == 27
    assert set(values["curves"]["lab"]) == {"roc", "precision_recall", "at_threshold", "reliability"}
    assert len(values["groups"]["tested"]["lab"]) == 10
    assert values["versions"]["torch"]
    errors = values["errors"]
    assert errors
    assert all(e["called"] != e["label"] for e in errors)
    assert [e["probability"] for e in errors] == sorted((e["probability"] for e in errors), reverse=True)

    page = (tmp_path / "out" / "report.html").read_text()
    assert "research use only" in page.lower()
    assert not re.search(r"<script|https?:|href=|@import|url\(", re.sub(r"base64,[A-Za-z0-9+/=]+", "", page))
    assert page.count("<img") == 6
    svg = re.search(r'alt="figures with their intervals" src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert svg
    assert b"lab: AUROC, blast" in base64.b64decode(svg[1])
    assert "<b>lab" not in page
    assert "&lt;b&gt;lab" in page
    assert "plasma_cell (3 cells)" in page


def test_a_trained_threshold_never_sees_test_cells(lab):
    model = load_model(lab / "toy", device="cpu")
    manifest = Manifest.read(lab / "manifest.csv")
    whole = evaluate(model, manifest, (lab,), lab, baselines=False)
    fewer = Manifest([r for i, r in enumerate(manifest) if r.split != "test" or i % 2])
    assert evaluate(model, fewer, (lab,), lab, baselines=False).threshold == whole.threshold
    blasts_only = Manifest([r for r in manifest if r.split != "val" or r.label == "blast"])
    result = evaluate(model, blasts_only, (lab,), lab, baselines=False)
    assert result.threshold is None
    assert not any("at the threshold" in m.name for m in result.metrics)
    assert content(model, blasts_only, result)["threshold"] is None


def test_nothing_to_measure_on_is_refused(lab, tmp_path):
    model = load_model(lab / "toy", device="cpu")
    rest = Manifest([r for r in Manifest.read(lab / "manifest.csv") if r.split != "test"])
    with pytest.raises(ManifestError, match="no cells in test"):
        evaluate(model, rest, (lab,), tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written"):
        check_writable(tmp_path / "file" / "report")


def test_one_class_and_a_network_without_maps_still_make_a_report(lab, tmp_path, monkeypatch):
    model = load_model(lab / "toy", device="cpu")
    blasts = Manifest([r for r in Manifest.read(lab / "manifest.csv") if r.label == "blast"])
    result = evaluate(model, blasts, (lab,), lab, baselines=False)

    def refuse(*_: object) -> None:
        raise SettingsError("keeps no map", "Choose another.")

    monkeypatch.setattr(Classifier, "explain", refuse)
    page = write_report(tmp_path / "out", model, blasts, (lab,), result).read_text()
    assert "there are only blasts" in page
    text = (tmp_path / "out" / JSON).read_text()
    assert "NaN" not in text
    assert bool(worst_errors(result, CLASSES)) == ("No Grad-CAM: keeps no map" in page)


def test_undefined_figures_stay_out_of_the_bundle(lab, tmp_path):
    model = load_model(lab / "toy", device="cpu")
    folder = write_bundle(tmp_path / "toy", model.bundle, model._network.state_dict(), "a card")
    labels = ["blast"] * 6
    record_metrics(folder, measure(rows_of(labels), drawn(labels), CLASSES))
    assert [m["name"] for m in load_model(folder).bundle.metrics] == ["called blast"]


def test_what_speaks_for_an_error_is_shown_by_the_model_as_it_is_for_that_slide(tmp_path):
    rows = []
    for i, group in enumerate(("a", "a", "b")):
        Image.fromarray(np.full((9, 9, 3), 50 * (i + 1), np.uint8)).save(tmp_path / f"{i}.png")
        rows.append(Row(f"{i}.png", "", "blast", group, "mine", 0.2, "test"))

    class Seen:
        classes = ("blast", "lymphocyte")
        chain = SimpleNamespace(looks_at_slide=True)

        def for_slide(self, pixels):
            values = {int(v) for v in np.unique(pixels)}
            return SimpleNamespace(explain=lambda image, mask, mpp, label: (values, int(image[0, 0, 0]), label))

    heats = _heats(Seen(), rows, {"row": 1, "called": "lymphocyte"}, [tmp_path])
    assert heats == (("lymphocyte", ({50, 100}, 100, "lymphocyte")), ("blast", ({50, 100}, 100, "blast")))
