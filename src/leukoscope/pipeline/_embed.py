"""What the model's last layer sees of every cell of a case: to find cells alike, and to fit that layer anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from leukoscope.errors import SettingsError

from ._cells import CanceledError, Counter, ask_cells, case_model
from ._embed_store import EmbeddingFile

if TYPE_CHECKING:
    from leukoscope.cases import Case
    from leukoscope.classification import Classifier
    from leukoscope.slides import Slide

__all__ = ["Embeddings", "embed_case", "embed_cells"]

FORMAT: Final = 1
PRODUCT: Final = 2**18  # numbers of a chunk of the product: 1 MB, which stays in the cache

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, eq=False)
class Embeddings:
    """The embedding of every cell of a case's shown run.

    Attributes
    ----------
    values : float16 array (n, d)
        Row 0 is of cell 1, removed cells included. Mapped from the case's file, where it is kept in one.
    run : int
        The run's number.
    model : str
        The model's fingerprint.
    removed : frozenset of int
        Cells that a reviewer had removed then; they are not found.
    """

    values: NDArray[np.float16]
    run: int
    model: str
    removed: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return len(self.values)

    def of(self, ids: Iterable[int]) -> NDArray[np.float32]:
        """Give the embedding of some cells, float32 (k, d), in the order of the ids.

        Raises
        ------
        SettingsError
            There is no such cell.
        """
        return np.asarray(self.values[self._rows(ids)], np.float32)

    def nearest(
        self, ids: Iterable[int] | int, k: int, exclude: Iterable[int] = ()
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the cells that look most like any of some cells.

        Parameters
        ----------
        ids : int or iterable of int
            The cells to find more of; they are not among those found.
        k : int
            How many to find; fewer where there are no more.
        exclude : iterable of int
            Cells that are not to be found either.

        Returns
        -------
        ids : int64 array (k,)
            The most alike first; of equals, the lower id.
        similarity : float32 array (k,)
            Cosine of the angle to the nearest of the cells asked about, -1 to 1.

        Raises
        ------
        SettingsError
            There is no such cell, none is given, or `k` is not positive.
        """
        asked = self._rows([ids] if isinstance(ids, int | np.integer) else ids)
        if not len(asked) or k < 1:
            raise SettingsError("no cells are asked for", "Give one cell or more, and how many to find.")
        likeness = self._likeness(np.unique(asked))
        likeness[asked] = -np.inf
        likeness[self._rows({*exclude, *self.removed})] = -np.inf
        count = min(k, int(np.isfinite(likeness).sum()))
        if count == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        least = np.partition(likeness, len(likeness) - count)[len(likeness) - count]
        found = np.flatnonzero(likeness >= least)
        found = found[np.argsort(-likeness[found], kind="stable")][:count]
        return found + 1, likeness[found]

    def _likeness(self, asked: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give each cell's highest cosine with any of the rows asked about."""
        wanted = _directions(self.values[asked])
        step = max(PRODUCT // max(self.values.shape[1], len(asked)), 1)
        best = np.empty(len(self), np.float32)
        for start in range(0, len(self), step):
            part = np.asarray(self.values[start : start + step], np.float32)
            lengths = np.sqrt(np.einsum("nd,nd->n", part, part))
            cosines = (part @ wanted.T).max(axis=1) / np.where(lengths > 0, lengths, 1)
            best[start : start + step] = np.clip(cosines, -1, 1)
        return best

    def _rows(self, ids: Iterable[int]) -> NDArray[np.int64]:
        rows = np.fromiter(ids, np.int64) - 1
        wrong = rows[(rows < 0) | (rows >= len(self))]
        if len(wrong):
            raise SettingsError(f"there is no cell {wrong[0] + 1}", f"The ids are 1 to {len(self)}.")
        return rows


def _directions(values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    plain = np.asarray(values, np.float32)
    lengths = np.linalg.norm(plain, axis=1, keepdims=True)
    return np.asarray(plain / np.where(lengths > 0, lengths, 1), np.float32)


def embed_case(
    case: Case,
    slide: Slide,
    device: str = "auto",
    progress: Counter | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Embeddings:
    """Embed every cell of a case's shown run with the model that classified it; once, for the case keeps them.

    They are kept beside ``case.sqlite``. Work that was canceled, or killed, goes on where it was at the next call, and
    cells that were drawn since are added. A case that is open for reading only is embedded in memory, where it is not
    kept already.

    Parameters
    ----------
    case : Case
    slide : Slide
        The case's.
    device : str
        Where the network runs, see `resolve_device`.
    progress : callable, optional
        Takes cells done, and cells in all, after each batch.
    cancel : callable, optional
        Asked before each batch, such as `threading.Event().is_set`.

    Returns
    -------
    Embeddings

    Raises
    ------
    SettingsError
        The case was made without a model, or with another state of it.
    BundleError
        The model is not where it was.
    CaseError
        The slide is another, or the embedding cannot be written.
    SlideError
        The slide's pixels cannot be read.
    CanceledError
        `cancel` said so; what is done is kept.
    """
    case.check_slide(slide)
    model = case_model(case, slide, device)
    with _alone(cancel):
        table = case.all_cells  # an outline drawn anew is another cell, and a removed one keeps its id
        run, count = case.run.id if case.run else 0, len(table)
        places = table[["x", "y", "area_um2"]].to_numpy(np.float64)
        about = {
            "format": FORMAT,
            "case": str(case.id),
            "slide": slide.fingerprint,
            "run": run,
            "model": model.fingerprint,
        }
        file = EmbeddingFile(case.path, about, places, model.embed([]).shape[1])
        before = file.read()
        values = before
        if before is not None and len(before) == count:
            pass
        elif case.readonly:
            first = 0 if before is None else len(before)
            rest = embed_cells(case, slide, range(first + 1, count + 1), model, progress, cancel).astype(np.float16)
            values = rest if before is None else np.concatenate([before, rest])
        else:
            with file.writing(before) as (done, stream):

                def take(rows: NDArray[np.float32]) -> None:
                    stream.write(_halves(rows).tobytes())
                    stream.flush()

                ids = range(done + 1, count + 1)
                ask_cells(case, slide, ids, model, model.embed, take, progress, cancel, count)
            values = file.read()
        if values is None or len(values) != count:  # pragma: no cover - another program wrote there meanwhile
            raise RuntimeError("the embedding that was just written cannot be read")
        removed = frozenset(table.loc[table["removed"], "cell_id"].tolist())
    return Embeddings(values, run, model.fingerprint, removed)


def embed_cells(
    case: Case,
    slide: Slide,
    ids: Sequence[int],
    model: Classifier,
    progress: Counter | None = None,
    cancel: Callable[[], bool] | None = None,
) -> NDArray[np.float32]:
    """Embed some cells of a case with any model; nothing is kept. Parameters and errors as for `embed_case`.

    Returns
    -------
    float32 array (k, d)
        In the order of the ids, each number one that float16 holds: the same as `embed_case` gives.
    """
    parts: list[NDArray[np.float32]] = [model.embed([])]

    def take(rows: NDArray[np.float32]) -> None:
        parts.append(_halves(rows).astype(np.float32))

    ask_cells(case, slide, ids, model, model.embed, take, progress, cancel)
    return np.concatenate(parts)


def _halves(rows: NDArray[np.float32]) -> NDArray[np.float16]:
    most = np.finfo(np.float16).max
    return np.clip(np.nan_to_num(rows), -most, most).astype("<f2")


@contextmanager
def _alone(cancel: Callable[[], bool] | None) -> Iterator[None]:
    """Let one thread embed at a time: two would write one file."""
    while not _one_at_a_time.acquire(timeout=0.2):
        if cancel is not None and cancel():
            raise CanceledError("stopped", "Ask again: what is done is kept.")
    try:
        yield
    finally:
        _one_at_a_time.release()
