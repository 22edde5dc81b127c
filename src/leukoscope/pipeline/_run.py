"""The analysis of a slide, as a stream of events."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from leukoscope import __version__
from leukoscope.cases import Case, CellRow, Run, RunSettings
from leukoscope.classification import load_model, resolve_device
from leukoscope.errors import CaseError, SettingsError
from leukoscope.hematology import load_profile
from leukoscope.segmentation import get_segmenter, guess_mpp
from leukoscope.slides import Slide, open_slide

from ._blocks import Block, analyze_block, blocks_of, calibrate
from ._events import BlockDone, Finished, FinishReason, Progress, Started
from ._reporters import reporter
from ._schedule import check_scheduler, in_order, open_executor
from ._settings import Settings

__all__ = ["analyze", "case_folder", "run"]

PathLike = str | os.PathLike[str]

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")  # a scanner's format without a scale is asked for it
LARGEST_PICTURE = 4096**2  # px; up to this a picture without a scale may be measured by its white cells
BLOCK_UM = 512  # side of a block


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
    try:
        with closing(stream), reporter(progress) as report:
            for event in stream:
                if not isinstance(event, BlockDone):
                    case = event.case
                report(event)
    except BaseException:
        if case is not None:
            case.close()  # nobody else can: let another program, or another try, write it
        raise
    if case is None:  # pragma: no cover - the stream begins with Started or raises
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
    check_scheduler(scheduler, workers)
    slide = slide if isinstance(slide, Slide) else open_slide(slide)
    settings, record = _resolve(slide, segmenter, model, device, profile, mpp)
    blocks = blocks_of(slide, settings)
    case = Case.open_or_create(case_folder(slide, out), slide, record)
    current = case.begin_run(record, blocks=len(blocks), resume=resume)
    cells = case.cell_count(current)
    started = Started(case, blocks=len(blocks), done=current.done, cells=cells)
    if current.complete:
        yield started
    else:
        reason, detail = FinishReason.ERRORED, ""
        try:
            yield started
            work: Callable[[Block], list[CellRow]] = partial(_work, slide.address, settings)
            with open_executor(scheduler, workers) as (executor, count):
                for block, rows in in_order(executor, work, blocks[current.done :], ahead=2 * count):
                    ids = case.add_block(current, block.index, rows)
                    cells += len(ids)
                    yield BlockDone(block.index + 1, len(blocks), cells, ids, time.monotonic() - began)
            reason = FinishReason.COMPLETED
        except (GeneratorExit, KeyboardInterrupt):
            reason = FinishReason.CANCELED
            raise
        except Exception as error:
            detail = str(error)
            raise
        finally:
            _finish(case, current, reason, detail)
        case.export(csv=True, labels=True)
    yield Finished(FinishReason.COMPLETED, case, len(case), time.monotonic() - began)


def _finish(case: Case, current: Run, reason: FinishReason, detail: str) -> None:
    try:
        case.finish_run(current, reason.value, detail)
    except CaseError:
        # What stopped the run (a full disk, say) may also stop this note of it; the run then counts as interrupted.
        if reason is FinishReason.COMPLETED:
            raise


def _resolve(
    slide: Slide, segmenter: str, model: str | PathLike | None, device: str, profile: str, mpp: float | None
) -> tuple[Settings, RunSettings]:
    """Check every setting before a case is made, and give them for the blocks and for the record."""
    if mpp is not None and not 0.01 <= mpp <= 10:
        raise SettingsError(f"{mpp} µm per pixel is no resolution of a smear", "Give a number such as 0.25.")
    scale, source = (mpp, "given") if mpp is not None else (slide.mpp, slide.mpp_source)
    if scale is None:
        scale, source = _scale_of_picture(slide)
    if scale is None:
        raise SettingsError(
            "µm per pixel is not in the file and cannot be told from red cells",
            "Give it: mpp=0.25 in Python, --mpp 0.25 on the command line, µm/px in the viewer.",
            slide.address,
        )
    load_profile(profile)
    resolve_device(device)
    name = None if model is None else os.fspath(model)
    classifier = None if name is None else load_model(name, device=device)
    engine = get_segmenter(segmenter, device=device)
    version = f"{slide.fingerprint} {classifier.fingerprint if classifier else ''}"
    block = round(BLOCK_UM / engine.mpp)
    settings = Settings(segmenter, name, device, profile, float(scale), source, block=block, version=version)
    if len(slide.fields) == 1:
        settings = replace(settings, calibration=calibrate(slide, 0, settings).to_json())
    record = RunSettings(
        segmenter=segmenter,
        model=name or "",
        segmenter_fingerprint=getattr(engine, "fingerprint", __version__),
        model_fingerprint=classifier.fingerprint if classifier else "",
        classes=classifier.classes if classifier else (),
        mpp=settings.mpp,
        mpp_source=source,
        profile=profile,
        options={"block": settings.block, "calibration": settings.calibration},
        notes={"device": device, "leukoscope": __version__, "slide": slide.address},
    )
    return settings, record


def _work(address: str, settings: Settings, block: Block) -> list[CellRow]:
    return analyze_block(address, block, settings)


def _scale_of_picture(slide: Slide) -> tuple[float | None, str]:
    """Estimate µm per pixel of a single picture with hardly a red cell, such as a crop; None for anything larger."""
    height, width = slide.levels[0].shape[:2]
    if not slide.address.lower().endswith(PICTURES) or height * width > LARGEST_PICTURE:
        return None, "unknown"
    mpp, source = guess_mpp(slide.read((0, 0, height, width)))
    return (mpp, source) if source != "assumed" else (None, "unknown")
