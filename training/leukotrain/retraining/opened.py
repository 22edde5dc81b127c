"""Cases with their slides and the model's view of their cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leukoscope.cases import Case, open_case
from leukoscope.errors import CaseError, SlideError
from leukoscope.pipeline import CanceledError as EmbeddingCanceledError
from leukoscope.pipeline import embed_case, embed_cells
from leukoscope.pipeline._cells import model_for
from leukoscope.slides import Slide, open_slide

from ..settings import CanceledError
from .plan import RetrainPlan
from .reviewed import ReviewedCase
from .told import Stage, Tell

__all__ = ["Seen", "check_slides_there", "opened", "see"]

Embedded = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Seen:
    """What a model sees of a case's cells.

    Attributes
    ----------
    reviewed : float32 array (n, d)
        Of the reviewed cells, in the plan's order.
    every : float16 or float32 array (cells, d) or None
        Of all shown cells, in the order of their ids, where these were asked for.
    """

    reviewed: Embedded
    every: NDArray[np.floating[Any]] | None


@contextmanager
def opened(one: ReviewedCase, ready: Sequence[Case] = ()) -> Iterator[tuple[Case, Slide]]:
    """Open a case and its slide, or take the case from those that are open already.

    A case is opened for writing where that is possible: its embedding is kept then.

    Raises
    ------
    CaseError
        The case was analyzed anew since the plan was made, or its slide is another or cannot be read.
    """
    with ExitStack() as stack:
        case = next((case for case in ready if case.path == one.path), None)
        if case is None:
            case = stack.enter_context(open_case(one.path))
        slide = stack.enter_context(_slide_of(one))
        case.check_slide(slide)
        if str(case.id) != one.id or len(case) != one.cells or case.settings.model_fingerprint != one.model:
            raise CaseError("the case has changed since the plan was made", "Make the plan anew.", one.path)
        yield case, slide


def _slide_of(one: ReviewedCase) -> Slide:
    try:
        return open_slide(one.slide)
    except SlideError as error:
        remedy = f"Say where it is now: --slide {one.name}=FILE, or Find slide… with the case open in the viewer."
        raise CaseError(f"its slide cannot be read ({one.slide}: {error.cause})", remedy, one.path) from error


def check_slides_there(cases: Iterable[ReviewedCase], ready: Sequence[Case] = ()) -> None:
    """Open each case with its slide once: what has moved is told before the first of them is worked on.

    Raises
    ------
    LeukoscopeError
        See `opened`.
    """
    for one in cases:
        with opened(one, ready):
            pass


def see(plan: RetrainPlan, whole: bool, device: str, tell: Tell, ready: Sequence[Case] = ()) -> dict[str, Seen]:
    """Embed the cells of a plan's cases, or read what the cases keep.

    Parameters
    ----------
    plan : RetrainPlan
    whole : bool
        Every cell of the cases, not only the reviewed ones.
    device : str
    tell : Tell
    ready : sequence of Case
        Cases that are open already.

    Returns
    -------
    dict of str to Seen
        By the case's id.

    Raises
    ------
    CanceledError
        What is embedded is kept.
    LeukoscopeError
        See `opened` and `embed_case`.
    """
    out: dict[str, Seen] = {}
    cases = plan.every if whole else (*plan.cases, *plan.locked)
    total = sum(one.cells if whole else len(one) for one in cases)
    before = 0

    def told(done: int, _: int) -> None:
        tell(Stage.EMBED, before + done, total)

    for one in cases:
        try:
            with opened(one, ready) as (case, slide):
                if one.model == plan.bundle.fingerprint and whole:
                    every = embed_case(case, slide, device, told, tell.cancel)
                    values: NDArray[Any] = every.values
                    if every.removed:
                        values = values[np.array(case.ids) - 1]
                    out[one.id] = Seen(every.of(one.ids.tolist()), values)
                else:
                    model = model_for(slide, plan.model, plan.bundle.fingerprint, device)
                    ids = case.ids if whole else one.ids.tolist()
                    rows = embed_cells(case, slide, ids, model, told, tell.cancel)
                    out[one.id] = Seen(rows[np.searchsorted(ids, one.ids)], rows) if whole else Seen(rows, None)
        except EmbeddingCanceledError as stopped:
            raise CanceledError("retraining was stopped", "Start it again: what is embedded is kept.") from stopped
        before += one.cells if whole else len(one)
        tell(Stage.EMBED, before, total)
    return out
