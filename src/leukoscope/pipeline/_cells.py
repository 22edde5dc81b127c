"""Asking a model about a case's cells again, from their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.classification import load_model
from leukoscope.errors import LeukoscopeError, SettingsError

from ._blocks import cell_crop, level_for, slide_model

if TYPE_CHECKING:
    from leukoscope.cases import Case
    from leukoscope.classification import Classifier
    from leukoscope.slides import Slide

__all__ = ["BATCH", "CanceledError", "Counter", "ask_cells", "case_model", "model_for"]

BATCH: Final = 256  # cells whose pixels are held at a time
READERS: Final = 4  # threads that read them

Counter = Callable[[int, int], None]
"""Takes cells done, and cells in all."""

Ask = Callable[[list[NDArray[np.uint8]], list[NDArray[np.bool_]], float], NDArray[np.float32]]


class CanceledError(LeukoscopeError):
    """Work was stopped by whoever started it; what was finished is kept."""


def case_model(case: Case, slide: Slide, device: str = "auto") -> Classifier:
    """Load the model that a case was made with, for its slide.

    Raises
    ------
    SettingsError
        The case was made without a model, or with another state of it.
    BundleError
        The model is not where it was.
    """
    settings = case.settings
    if not settings.model:
        raise SettingsError("this case was made without a model", "Analyze the slide again with one.", case.path)
    if load_model(settings.model, device).fingerprint != settings.model_fingerprint:
        cause = f"the model {settings.model} is not the one that this case was made with"
        raise SettingsError(cause, "Analyze the slide again.", case.path)
    return model_for(slide, settings.model, settings.model_fingerprint, device)


def model_for(slide: Slide, name: str, fingerprint: str, device: str = "auto") -> Classifier:
    """Load a model for a slide; `fingerprint` is the model's, and tells a bundle that was written anew."""
    return slide_model(slide.address, name, device, f"{slide.fingerprint} {fingerprint}")


def ask_cells(
    case: Case,
    slide: Slide,
    ids: Sequence[int],
    model: Classifier,
    ask: Ask,
    take: Callable[[NDArray[np.float32]], None],
    progress: Counter | None = None,
    cancel: Callable[[], bool] | None = None,
    total: int | None = None,
) -> None:
    """Show cells to a model, as the analysis did, batch by batch.

    Parameters
    ----------
    case : Case
    slide : Slide
        The case's.
    ids : sequence of int
        Of shown cells.
    model : Classifier
        As it is for this slide.
    ask : callable
        `model.embed` or `model.predict_proba`: takes images, masks and µm per pixel.
    take : callable
        Takes what the model gave of each batch, float32 (b, columns), in the order of the ids.
    progress : callable, optional
        Takes cells done, and cells in all.
    cancel : callable, optional
        Asked before each batch; True ends the work.
    total : int, optional
        Cells in all, where those before these count as done; the number of ids unless given.

    Raises
    ------
    SettingsError
        µm per pixel is not known.
    CanceledError
        `cancel` said so.
    SlideError
        The slide's pixels cannot be read.
    """
    mpp = case.mpp
    if mpp is None:
        raise SettingsError("µm per pixel of this case is not known", "Analyze the slide again with it.", case.path)
    level = level_for(slide, mpp, model.mpp)
    total = len(ids) if total is None else total
    done = total - len(ids)
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(ids), BATCH):
            if cancel is not None and cancel():
                raise CanceledError("stopped", "Ask again: what is done is kept.")
            some = ids[start : start + BATCH]
            outlines = case.outlines(some)
            read: Any = pool.map(lambda cell: cell_crop(slide, level, cell, mpp), [outlines[i][0] for i in some])
            images, masks, _ = zip(*read, strict=True)
            take(ask(list(images), list(masks), mpp * slide.downsamples[level]))
            done += len(some)
            if progress is not None:
                progress(done, total)
