"""The embedding of a case's cells: once, resumable, never believed blindly."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from smears import small_smear, write_ome_tiff

from leukoscope import analyze, open_case, open_slide
from leukoscope.cases import Drawn
from leukoscope.errors import CaseError, SettingsError
from leukoscope.pipeline import CanceledError, Embeddings, embed_case, embed_cells, reclassify
from leukoscope.pipeline import _cells as asking


@pytest.fixture(scope="module")
def smear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "smear.ome.tiff"
    return write_ome_tiff(path, small_smear(seed=1, size=1200, mpp=0.25, white_cells=14).rgb, mpp=0.25, levels=2)


@pytest.fixture(scope="module")
def folder(smear: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with analyze(smear, tmp_path_factory.mktemp("case"), segmenter="watershed", workers=1) as case:
        assert len(case) >= 6
        return case.path


@pytest.fixture
def case(folder: Path):
    for file in (*folder.glob("embeddings.*"), *folder.glob(".embeddings-*")):
        file.unlink()
    with open_case(folder) as opened:
        yield opened


@pytest.fixture
def slide(smear: Path):
    with open_slide(smear) as opened:
        yield opened


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "BATCH", 2)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many cells the model was asked about, call by call."""
    from leukoscope.classification import Classifier

    counts: list[int] = []
    embed = Classifier.embed

    def counted(self, images, *arguments):
        counts.append(len(images))
        return embed(self, images, *arguments)

    monkeypatch.setattr(Classifier, "embed", counted)
    return counts


def test_the_embedding_is_what_the_last_layer_saw(case, slide) -> None:
    from leukoscope.classification import load_model

    found = embed_case(case, slide, "cpu")
    assert found.values.dtype == np.float16
    assert len(found) == len(case)
    model = load_model("blood", "cpu")
    layer = model._network.get_classifier()
    logits = found.of(range(1, len(case) + 1)) @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    logits = logits / model.bundle.temperature
    proba = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    stored = case.cells[[f"p_{name}" for name in model.classes]].to_numpy()
    np.testing.assert_allclose(proba, stored, atol=0.01)


def test_it_is_computed_once(case, slide, asked) -> None:
    steps: list[tuple[int, int]] = []
    first = embed_case(case, slide, "cpu", lambda done, total: steps.append((done, total)))
    assert steps[-1] == (len(case), len(case))
    assert sum(asked) == len(case)
    again = embed_case(case, slide, "cpu")
    assert sum(asked) == len(case)
    np.testing.assert_array_equal(again.values, first.values)
    with open_case(case.path, readonly=True) as reader:
        np.testing.assert_array_equal(embed_case(reader, slide, "cpu").values, first.values)
    assert sum(asked) == len(case)


def test_some_cells_alone_give_the_same(case, slide) -> None:
    from leukoscope.classification import load_model

    every = embed_case(case, slide, "cpu")
    some = embed_cells(case, slide, [4, 2], load_model("blood", "cpu"))
    np.testing.assert_allclose(some, every.of([4, 2]), rtol=2e-3, atol=1e-3)


def test_canceled_it_goes_on_where_it_was(case, slide, asked, small_batches) -> None:
    expected = embed_case(case, slide, "cpu").values.copy()
    (case.path / "embeddings.json").unlink()
    asked.clear()
    with pytest.raises(CanceledError):
        embed_case(case, slide, "cpu", cancel=lambda: sum(asked) >= 4)
    assert sum(asked) == 4
    partial = next(case.path.glob(".embeddings-*.partial"))
    with partial.open("ab") as file:
        file.write(b"half a row")
    asked.clear()
    np.testing.assert_array_equal(embed_case(case, slide, "cpu").values, expected)
    assert sum(asked) == len(case) - 4
    assert not list(case.path.glob(".embeddings-*"))


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


def truncated(values: Path, about: Path) -> None:
    values.write_bytes(values.read_bytes()[:-7])


def pickled(values: Path, about: Path) -> None:
    values.write_bytes(pickle.dumps(Evil()))


def pickled_array(values: Path, about: Path) -> None:
    np.save(values, np.array([Evil()], dtype=object), allow_pickle=True)


def of_another_shape(values: Path, about: Path) -> None:
    np.save(values, np.zeros((2, 3), np.float16))


def not_finite(values: Path, about: Path) -> None:
    stored = np.load(values)
    stored[-1, -1] = np.nan
    np.save(values, stored)


def of_another_model(values: Path, about: Path) -> None:
    said = json.loads(about.read_text())
    about.write_text(json.dumps(said | {"model": "0" * 16}))


def no_json(values: Path, about: Path) -> None:
    about.write_text("[" * 5000)


def a_link(values: Path, about: Path) -> None:
    values.rename(values.with_name("elsewhere.npy"))
    values.symlink_to("elsewhere.npy")


def missing(values: Path, about: Path) -> None:
    values.unlink()


@pytest.mark.parametrize(
    "spoil",
    [truncated, pickled, pickled_array, of_another_shape, not_finite, of_another_model, no_json, a_link, missing],
)
def test_what_does_not_fit_is_made_anew(case, slide, spoil) -> None:
    expected = embed_case(case, slide, "cpu").values.copy()
    spoil(case.path / "embeddings.npy", case.path / "embeddings.json")
    np.testing.assert_array_equal(embed_case(case, slide, "cpu").values, expected)
    np.testing.assert_array_equal(np.load(case.path / "embeddings.npy"), expected)
    (case.path / "elsewhere.npy").unlink(missing_ok=True)


def test_a_spoiled_partial_file_is_not_gone_on_with(case, slide, asked, small_batches) -> None:
    with pytest.raises(CanceledError):
        embed_case(case, slide, "cpu", cancel=lambda: sum(asked) >= 4)
    partial = next(case.path.glob(".embeddings-*.partial"))
    content = bytearray(partial.read_bytes())
    content[-2:] = b"\xff\xff"  # a NaN
    partial.write_bytes(bytes(content))
    asked.clear()
    assert np.isfinite(embed_case(case, slide, "cpu").values).all()
    assert sum(asked) == len(case)


def test_a_folder_that_cannot_be_written_is_said(case, slide, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("leukoscope.pipeline._embed_store.os.fsync", full)
    with pytest.raises(CaseError, match="No space left"):
        embed_case(case, slide, "cpu")


def test_another_slide_is_refused(case, tmp_path) -> None:
    other = write_ome_tiff(tmp_path / "other.ome.tiff", small_smear(seed=2, size=300).rgb, mpp=0.25, levels=1)
    with open_slide(other) as slide, pytest.raises(CaseError, match="another slide"):
        embed_case(case, slide, "cpu")


def test_a_case_without_a_model_is_refused(smear, slide, tmp_path) -> None:
    case = analyze(smear, tmp_path, segmenter="watershed", model=None, workers=1)
    with case, pytest.raises(SettingsError, match="without a model"):
        embed_case(case, slide, "cpu")


def test_cells_drawn_since_are_added_and_removed_ones_not_found(folder, slide, asked, tmp_path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / folder.name))
    with open_case(copy) as case:
        first = embed_case(case, slide, "cpu")
        count = len(case)
        asked.clear()
        whole = case.outlines([2])[2][0]
        drawn = reclassify(case, slide, [whole.buffer(-1)])
        case.edit_outlines([2], [Drawn(drawn[0], (2,))], reviewer="mk")
        found = embed_case(case, slide, "cpu")
        assert sum(asked) == 1
        assert len(found) == count + 1
        assert found.removed == {2}
        np.testing.assert_array_equal(found.values[:count], first.values)
        ids, _ = found.nearest(count + 1, count + 1)
        assert sorted(ids.tolist()) == [i for i in range(1, count + 1) if i != 2]
        assert found.nearest(2, 1)[0].tolist() == [count + 1]
        case.undo()
        back = embed_case(case, slide, "cpu")
        assert back.removed == {count + 1}
        assert sum(asked) == 1
    with open_case(copy, readonly=True) as reader:
        assert embed_case(reader, slide, "cpu").removed == {count + 1}


def made(count: int, width: int = 16, seed: int = 0) -> Embeddings:
    values = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float16)
    return Embeddings(values, 1, "m")


def test_the_nearest_are_those_of_the_smallest_angle(monkeypatch) -> None:
    found = made(500)
    monkeypatch.setattr("leukoscope.pipeline._embed.PRODUCT", 16 * 64)  # several chunks
    unit = found.values.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    for asked in ([7], [7, 100, 399]):
        cosine = (unit @ unit[np.array(asked) - 1].T).max(1)
        cosine[np.array(asked) - 1] = -2
        expected = np.argsort(-cosine)[:10] + 1
        ids, likeness = found.nearest(asked, 10)
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_allclose(likeness, cosine[expected - 1], atol=1e-4)
    without = found.nearest(7, 3, exclude=found.nearest(7, 2)[0])[0]
    np.testing.assert_array_equal(without, found.nearest(7, 5)[0][2:])


def test_few_cells_and_blank_ones_are_no_trouble() -> None:
    values = np.zeros((4, 3), np.float16)
    values[0] = values[2] = (1, 2, 2)
    found = Embeddings(values, 1, "m")
    ids, likeness = found.nearest([1], 100)
    assert ids.tolist() == [3, 2, 4]
    assert likeness.tolist() == pytest.approx([1, 0, 0], abs=1e-6)
    ids, likeness = Embeddings(values[:1], 1, "m").nearest(1, 5)
    assert len(ids) == len(likeness) == 0


@pytest.mark.parametrize("arguments", [([0], 3), ([5], 3), ([], 3), ([1], 0)])
def test_cells_that_are_not_there_are_refused(arguments) -> None:
    with pytest.raises(SettingsError):
        made(4).nearest(*arguments)
