"""The analysis of a slide, as a stream of events."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path

from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo, open_case
from leukoscope.classification import load_model
from leukoscope.errors import LeukoscopeError, SettingsError
from leukoscope.hematology import load_profile
from leukoscope.slides import Slide, open_slide

from ._blocks import Block, analyze_block, blocks_of, calibrate
from ._events import BlockDone, Finished, FinishReason, Progress, Started
from ._reporters import reporter
from ._schedule import in_order, open_executor
from ._settings import Settings

__all__ = ["analyze", "case_folder", "run"]

PathLike = str | os.PathLike[str]


def case_folder(slide: Slide, out: PathLike) -> Path:
    """Give the folder of a slide's case: ``out/<slide>.leuko``."""
    return Path(out) / f"{slide.name}.leuko"


def analyze(
    slide: Slide | PathLike,
    out: PathLike,
    segmenter: str = "spike",
    model: str | PathLike | None = "blood",
    device: str = "auto",
    profile: str = "blood",
    mpp: float | None = None,
    workers: int | None = None,
    scheduler: str | Executor | None = None,
    resume: bool = True,
    progress: str | Callable[[Progress], None] | None = None,
) -> Case:
    """Find, outline and classify every white cell of a slide.

    Parameters
    ----------
    slide : Slide or path
        A slide, or what `open_slide` takes.
    out : path
        Folder in which the case ``<slide>.leuko`` is made.
    segmenter : str
        "spike", "watershed", or "sam:FILE" with a local checkpoint.
    model : str, path or None
        A shipped bundle's name or a bundle's folder. None leaves every cell unidentified.
    device : str
        "auto", "cpu", "cuda" or "mps".
    profile : str
        The counting profile: "blood" or "marrow", or a profile file.
    mpp : float, optional
        µm per level-0 pixel; by default from the file, else estimated from the red cells.
    workers : int, optional
        How many blocks are worked on at a time; by default one per processor core.
    scheduler : str or Executor, optional
        "threads" (default), "processes", "dask", the address of a dask scheduler, or an executor.
    resume : bool
        Go on with an interrupted analysis of the same slide with the same settings, and take a finished one as it is.
        False analyzes anew; a reviewer's labels are carried to the new cells.
    progress : callable, "rich", "tqdm" or None
        Takes each event; or a ready-made bar for the terminal or a notebook.

    Returns
    -------
    Case
        With ``cells.csv``, ``counts.csv`` and ``labels.zarr`` written beside its database.

    Raises
    ------
    LeukoscopeError
        With cause and remedy: SlideError, BundleError, CaseError or SettingsError. Finished blocks stay in the case.
    """
    stream = run(slide, out, segmenter, model, device, profile, mpp, workers, scheduler, resume)
    case: Case | None = None
    with reporter(progress) as report:
        for event in stream:
            report(event)
            if isinstance(event, Finished):
                case = event.case
    if case is None:  # pragma: no cover - the stream always ends with Finished or raises
        raise RuntimeError("the analysis ended without a case")
    return case


def run(
    slide: Slide | PathLike,
    out: PathLike,
    segmenter: str = "spike",
    model: str | PathLike | None = "blood",
    device: str = "auto",
    profile: str = "blood",
    mpp: float | None = None,
    workers: int | None = None,
    scheduler: str | Executor | None = None,
    resume: bool = True,
) -> Generator[Progress, None, None]:
    """Analyze a slide as a stream of events; the parameters are those of `analyze`.

    Closing the stream cancels the analysis and keeps every finished block; the same call later goes on from there.

    Yields
    ------
    Started, BlockDone..., Finished
    """
    began = time.monotonic()
    slide = slide if isinstance(slide, Slide) else open_slide(slide)
    settings, info, facts = _resolve(slide, segmenter, model, device, profile, mpp)
    case = _open_or_create(case_folder(slide, out), info, facts)
    if resume and case.is_complete(facts):
        yield Started(case, blocks=0, done=0, cells=len(case))
        yield Finished(FinishReason.COMPLETED, case, len(case), time.monotonic() - began)
        return
    blocks = blocks_of(slide, settings)
    current = case.begin_run(facts, blocks=len(blocks), resume=resume)
    reason = FinishReason.ERRORED
    try:
        if current.settings.calibration is None and len(slide.fields) == 1:
            settings = replace(settings, calibration=calibrate(slide, 0, settings).to_json())
            current.keep_calibration(settings.calibration)
        else:
            settings = replace(settings, calibration=current.settings.calibration)
        yield Started(case, blocks=len(blocks), done=current.done, cells=current.cells)
        work: Callable[[Block], list[CellRow]] = partial(_work, slide.address, settings)
        with open_executor(scheduler, workers) as (executor, count):
            for block, rows in in_order(executor, work, blocks[current.done :], ahead=2 * count):
                ids = case.add_block(current, block.index, rows)
                yield BlockDone(block.index + 1, len(blocks), current.cells, ids, time.monotonic() - began)
        reason = FinishReason.COMPLETED
    except (GeneratorExit, KeyboardInterrupt):
        reason = FinishReason.CANCELED
        raise
    finally:
        case.finish_run(current, reason.value)
    case.export(csv=True, labels=True)
    yield Finished(reason, case, len(case), time.monotonic() - began)
