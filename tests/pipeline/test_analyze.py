"""A slide goes in, a case comes out: whatever the scheduler, however often it was interrupted."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from smears import small_smear, write_field, write_ome_tiff

from leukoscope import analyze, open_case, open_slide
from leukoscope.errors import CaseError, LeukoscopeError, SettingsError
from leukoscope.pipeline import BlockDone, Finished, FinishReason, Settings, Started, analyze_block, blocks_of, run

OPTIONS = {"segmenter": "watershed", "model": None, "workers": 1}


@pytest.fixture(scope="module")
def smear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small slide with white cells, 0.25 µm/px."""
    path = tmp_path_factory.mktemp("slide") / "smear.ome.tiff"
    write_ome_tiff(path, small_smear(seed=1, size=1200, mpp=0.25).rgb, mpp=0.25, levels=2)
    return path


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that a small slide has many."""
    monkeypatch.setattr("leukoscope.pipeline._run.BLOCK_UM", 75)


def places(case: object) -> np.ndarray:
    cells: pd.DataFrame = case.cells  # type: ignore[attr-defined]
    return cells[["x", "y", "area_um2", "nucleus_area_um2"]].to_numpy(float)


def test_cells_are_found_where_they_are(smear: Path, tmp_path: Path) -> None:
    truth = small_smear(seed=1, size=1200, mpp=0.25).table
    white = truth[~truth["label"].isin(["smudge", "platelet", "platelet_clump", "artefact"])]
    inside = white[white["x"].between(30, 1170) & white["y"].between(30, 1170)]
    with analyze(smear, tmp_path, **OPTIONS) as case:
        found = case.cells[["x", "y"]].to_numpy(float)
    near = [np.hypot(*(found - (x, y)).T).min() < 12 for x, y in inside[["x", "y"]].to_numpy(float)]
    assert len(inside) >= 3
    assert np.mean(near) > 0.8


def test_the_case_holds_tables_and_labels(smear: Path, tmp_path: Path) -> None:
    with analyze(smear, tmp_path, **OPTIONS) as case:
        folder, cells = case.path, case.cells
    assert folder == tmp_path / "smear.leuko"
    written = pd.read_csv(folder / "cells.csv")
    assert list(written["cell_id"]) == list(cells["cell_id"]) == list(range(1, len(cells) + 1))
    assert {"label", "counted", "percent", "ci_low"} <= set(pd.read_csv(folder / "counts.csv").columns)
    assert (folder / "labels.zarr" / "zarr.json").is_file()
    with open_case(folder) as again:
        pd.testing.assert_frame_equal(again.cells, cells)


@pytest.mark.parametrize(
    "scheduler",
    ["threads", pytest.param("processes", marks=pytest.mark.slow), pytest.param("dask", marks=pytest.mark.slow)],
)
def test_the_result_does_not_depend_on_who_works(smear: Path, tmp_path: Path, scheduler: str) -> None:
    with analyze(smear, tmp_path / "one", **OPTIONS) as one:
        expected = places(one)
    with analyze(smear, tmp_path / "many", **(OPTIONS | {"workers": 3}), scheduler=scheduler) as many:
        np.testing.assert_array_equal(places(many), expected)


def test_the_result_does_not_depend_on_the_size_of_blocks(
    smear: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with analyze(smear, tmp_path / "small", **OPTIONS) as small:
        expected = places(small)
    monkeypatch.setattr("leukoscope.pipeline._run.BLOCK_UM", 512)
    with analyze(smear, tmp_path / "large", **OPTIONS) as large:
        found = places(large)
    assert len(expected) >= 3
    order = lambda rows: rows[np.lexsort(rows.T)]  # noqa: E731
    np.testing.assert_allclose(order(found), order(expected), rtol=1e-6)


def test_events_tell_the_whole_story(smear: Path, tmp_path: Path) -> None:
    first, *middle, last = run(smear, tmp_path, **OPTIONS)
    assert isinstance(first, Started)
    assert isinstance(last, Finished)
    assert last.reason is FinishReason.COMPLETED
    assert all(isinstance(event, BlockDone) for event in middle)
    assert [event.done for event in middle] == list(range(1, first.blocks + 1))
    assert [i for event in middle for i in event.new_ids] == list(range(1, last.cells + 1))
    assert middle[-1].remaining == 0
    last.case.close()


def test_closing_the_stream_keeps_what_is_done_and_the_next_call_goes_on(smear: Path, tmp_path: Path) -> None:
    stream = run(smear, tmp_path, **OPTIONS)
    started = next(stream)
    for event in stream:
        if event.done == 5:
            break
    stream.close()
    kept = len(started.case)
    started.case.close()

    again = run(smear, tmp_path, **OPTIONS)
    resumed = next(again)
    assert resumed.done == 5
    assert resumed.cells == kept
    *_, last = again
    with analyze(smear, tmp_path / "straight", **OPTIONS) as straight:
        np.testing.assert_array_equal(places(last.case), places(straight))
    last.case.close()


def test_an_interrupted_call_frees_the_case_and_the_next_goes_on(smear: Path, tmp_path: Path) -> None:
    def interrupt(event: object) -> None:
        if isinstance(event, BlockDone) and event.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        analyze(smear, tmp_path, **OPTIONS, progress=interrupt)
    with open_case(tmp_path / "smear.leuko") as case:
        assert not case.readonly
        assert "canceled" in case.status
    started: list[Started] = []
    analyze(
        smear, tmp_path, **OPTIONS, progress=lambda e: started.append(e) if isinstance(e, Started) else None
    ).close()
    assert started[0].done == 3


def test_a_finished_case_is_taken_as_it_is(smear: Path, tmp_path: Path) -> None:
    analyze(smear, tmp_path, **OPTIONS).close()
    events = list(run(smear, tmp_path, **OPTIONS))
    assert [type(event) for event in events] == [Started, Finished]
    events[-1].case.close()


def test_a_killed_run_resumes_to_the_same_result(smear: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from leukoscope.pipeline import run, BlockDone, _run\n"
        "_run.BLOCK_UM = 75\n"
        f"for event in run({str(smear)!r}, {str(tmp_path)!r}, segmenter='watershed', model=None, workers=1):\n"
        "    if isinstance(event, BlockDone):\n"
        "        print(event.done, flush=True); time.sleep(0.05)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = 0
    with child.stdout:
        for line in child.stdout:
            acknowledged = int(line)
            if acknowledged >= 4:
                os.kill(child.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
                break
    child.wait()
    events = run(smear, tmp_path, **OPTIONS)
    started = next(events)
    assert started.done >= acknowledged
    *_, last = events
    with analyze(smear, tmp_path / "straight", **OPTIONS) as straight:
        np.testing.assert_array_equal(places(last.case), places(straight))
    last.case.close()


def test_what_the_segmenter_takes_for_a_smudge_is_labeled_so_unless_the_model_knows_smudges(
    smear: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "leukoscope.segmentation.base.cell_kinds",
        lambda rgb, cells, nuclei, count, white, mpp: ("smudge",) * count,
    )
    with analyze(smear, tmp_path / "without", **OPTIONS) as case:
        assert set(case.cells["label"]) == {"smudge"}
        assert case.counts() == {"smudge": len(case.cells)}
        assert case.differential().denominator == 0  # a smudge is not counted
    with analyze(smear, tmp_path / "knows", **{**OPTIONS, "model": "blood"}) as case:
        # The model is asked: these are drawn cells, of which it takes hardly any for a smudge.
        assert (case.cells["label"] == "smudge").mean() < 0.2
    monkeypatch.setattr("leukoscope.pipeline._blocks.OWN_LABELS", {"smudge": "megakaryocyte"})  # no class of the model
    with analyze(smear, tmp_path / "does-not", **{**OPTIONS, "model": "blood"}) as case:
        assert set(case.cells["label"]) == {"megakaryocyte"}
        assert case.cells["p_blast"].notna().all()  # what the model says of it is kept beside


def test_analyzing_anew_keeps_a_reviewers_label(smear: Path, tmp_path: Path) -> None:
    with analyze(smear, tmp_path, **OPTIONS) as case:
        row = case.cells.iloc[0]
        case.relabel([int(row["cell_id"])], "blast", reviewer="mk")
    with analyze(smear, tmp_path, **OPTIONS, resume=False) as case:
        reviewed = case.cells[case.cells["reviewed_by"] == "mk"]
    assert list(reviewed["label"]) == ["blast"]
    np.testing.assert_allclose(reviewed[["x", "y"]].to_numpy(float), [[row["x"], row["y"]]])


def test_settings_and_blocks_travel_between_processes(smear: Path) -> None:
    slide = open_slide(smear)
    settings = Settings("watershed", None, "cpu", "blood", slide.mpp, slide.mpp_source, block=150)
    block = blocks_of(slide, settings)[3]
    expected = analyze_block(slide.address, block, settings)
    again = analyze_block(slide.address, *pickle.loads(pickle.dumps((block, settings))))
    assert [(c.x, c.y) for c in again] == [(c.x, c.y) for c in expected]
    json.dumps(settings.to_dict())


def test_a_given_scale_overrides_the_files(smear: Path, tmp_path: Path) -> None:
    with analyze(smear, tmp_path, **OPTIONS, mpp=0.26) as case:
        assert case.settings.mpp == 0.26
        assert case.settings.mpp_source == "given"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"segmenter": "sieve"}, "sieve"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"profile": "soup"}, "soup"),
        ({"mpp": -1.0}, "µm"),
        ({"scheduler": "slurm"}, "slurm"),
        ({"device": "abacus"}, "abacus"),
        ({"workers": -2}, "workers"),
    ],
)
def test_wrong_settings_are_refused_before_a_case_is_made(
    smear: Path, tmp_path: Path, wrong: dict[str, object], says: str
) -> None:
    with pytest.raises(LeukoscopeError, match=says):
        analyze(smear, tmp_path / "out", **(OPTIONS | wrong))
    assert not list((tmp_path / "out").glob("*.leuko"))


def test_a_blank_slide_gives_an_empty_case(tmp_path: Path) -> None:
    write_ome_tiff(tmp_path / "blank.ome.tiff", np.full((600, 500, 3), 240, np.uint8), mpp=0.25, levels=1)
    with analyze(tmp_path / "blank.ome.tiff", tmp_path, **OPTIONS) as case:
        assert len(case.cells) == 0
        assert "no cells" in case.differential().verdict
        assert pd.read_csv(case.path / "cells.csv").empty


def test_a_slide_without_scale_is_asked_for_it(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (300, 200), (230, 225, 230)).save(tmp_path / "field.png")
    with pytest.raises(SettingsError, match="mpp"):
        analyze(tmp_path / "field.png", tmp_path / "out", **OPTIONS)


def test_a_crop_without_red_cells_is_measured_by_its_white_cell(tmp_path: Path) -> None:
    smear = small_smear(seed=1, size=800, mpp=0.1, white_cells=3)
    inside = smear.table[smear.table["x"].between(130, 670) & smear.table["y"].between(130, 670)]
    x, y = (int(v) for v in inside[["x", "y"]].iloc[0])
    write_field(tmp_path / "crop.png", np.ascontiguousarray(smear.rgb[y - 80 : y + 80, x - 80 : x + 80]))
    with analyze(tmp_path / "crop.png", tmp_path, **OPTIONS) as case:
        assert case.settings.mpp_source == "white cell"
        assert 0.05 < case.settings.mpp < 0.2
        assert len(case) >= 1


def test_a_case_of_another_slide_is_left_alone(smear: Path, tmp_path: Path) -> None:
    analyze(smear, tmp_path, **OPTIONS).close()
    other = tmp_path / "elsewhere" / "smear.ome.tiff"
    other.parent.mkdir()
    write_ome_tiff(other, small_smear(seed=2, size=600, mpp=0.25).rgb, mpp=0.25, levels=1)
    before = (tmp_path / "smear.leuko" / "cells.csv").read_bytes()
    with pytest.raises(CaseError, match="another slide"):
        analyze(other, tmp_path, **OPTIONS)
    assert (tmp_path / "smear.leuko" / "cells.csv").read_bytes() == before


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "smear.ome.tiff"
    blank = np.full((600, 600, 3), 240, np.uint8)
    write_ome_tiff(path, blank, mpp=0.25, levels=1)
    with analyze(path, tmp_path / "before", **OPTIONS) as case:
        assert len(case) == 0
    write_ome_tiff(path, small_smear(seed=2, size=600, mpp=0.25).rgb, mpp=0.25, levels=1)
    with analyze(path, tmp_path / "after", **OPTIONS) as case:
        assert len(case) > 0


def test_a_folder_of_fields_is_one_study(tmp_path: Path) -> None:
    from PIL import Image

    fields = tmp_path / "fields"
    fields.mkdir()
    for seed in (1, 2, 3):
        Image.fromarray(small_smear(seed=seed, size=800, mpp=0.25).rgb).save(fields / f"field{seed}.png")
    with analyze(fields, tmp_path, **OPTIONS, mpp=0.25) as case:
        cells = case.cells
        parts = pd.read_csv(case.path / "fields.csv")
    assert list(parts["field"]) == ["field1", "field2", "field3"]
    assert parts["cells"].sum() == len(cells) > 0


def test_a_stream_left_alone_is_closed_without_noise(smear: Path, tmp_path: Path) -> None:
    stream = run(smear, tmp_path, **OPTIONS)
    case = next(stream).case
    began = time.monotonic()
    stream.close()
    assert time.monotonic() - began < 20
    case.close()
