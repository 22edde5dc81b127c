"""Outlines colored by class over a slide of any size: a pyramid of cell ids, read as class codes.

A Labels layer with one color for each of 100,000 ids needs numba and rebuilds its whole map for one changed color. So
the pyramid that napari sees holds small codes, ``class · 17 + id mod 16``, looked up from the ids as a region is read:
the color map has a few hundred entries, one changed label is one changed number, and touching cells of one class keep
an outline between them because their codes differ. Selected cells have the seventeenth code of their class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from leukoscope.classification.taxonomy import TAXONOMY, Taxonomy

if TYPE_CHECKING:
    from leukoscope.cases._labels import Painter

__all__ = ["MARK", "ClassOverlay", "painted_levels", "rgba"]

VARIANTS = 16
STRIDE = VARIANTS + 1
MARK = "#ffd54a"  # of selected cells, in the gallery too; no class has it


def rgba(color: str) -> npt.NDArray[np.float32]:
    """Convert ``#rrggbb`` to float32 (4,), 0..1, opaque."""
    return np.array([*(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)), 1.0], np.float32)


class ClassOverlay:
    """The pyramid and the color map of a Labels layer.

    Parameters
    ----------
    levels : sequence of array-like
        Cell ids, integer (Y, X), finest level first; 0 is background. Anything with a shape that can be sliced.
    ids, labels : iterable
        Every cell's id and label.
    taxonomy : Taxonomy
        Names and colors.
    """

    def __init__(
        self, levels: Sequence[Any], ids: Iterable[int], labels: Iterable[str], taxonomy: Taxonomy = TAXONOMY
    ) -> None:
        self._sources = list(levels)
        self._taxonomy = taxonomy
        self._window: tuple[tuple[int, str], npt.NDArray[Any]] | None = None
        self._classes: list[str] = list(taxonomy)
        self._codes: npt.NDArray[np.uint16] = np.zeros(1, np.uint16)
        self._marked: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.assign(ids, labels)
        self.levels = [_CodedLevel(self, i) for i in range(len(self._sources))]

    def replace_levels(self, levels: Sequence[Any]) -> None:
        """Read ids from another pyramid of the same shape from now on."""
        self._sources = list(levels)
        self._window = None

    def assign(self, ids: Iterable[int], labels: Iterable[str]) -> None:
        """Set the labels of cells; those not named keep theirs."""
        ids = np.fromiter(ids, np.int64)
        if not ids.size:
            return
        if ids.max() >= self._codes.size:
            grown = np.zeros(int(ids.max() * 1.25) + 1, np.uint16)
            grown[: self._codes.size] = self._codes
            self._codes = grown
        names, inverse = np.unique(np.asarray(list(labels), dtype=str), return_inverse=True)
        self._classes += [str(name) for name in names if str(name) not in self._classes]
        ranks = np.array([self._classes.index(str(name)) for name in names])
        self._codes[ids] = 1 + ranks[inverse] * STRIDE + ids % VARIANTS

    def mark(self, ids: Iterable[int]) -> bool:
        """Outline these cells, and no others, as selected; return whether that changes anything."""
        marked = np.fromiter(sorted(ids), np.int64)
        changed = not np.array_equal(marked, self._marked)
        self._marked = marked
        return changed

    def codes(self, ids: npt.ArrayLike) -> npt.NDArray[np.uint16]:
        """Look up the codes of an array of ids; 0 for background and for ids that are not known."""
        ids, codes = np.asarray(ids), self._codes
        if self._marked.size:
            marked = self._marked[self._marked < codes.size]
            marked = marked[codes[marked] > 0]
            codes = codes.copy()
            codes[marked] = (codes[marked] - 1) // STRIDE * STRIDE + STRIDE
        return np.where(ids < codes.size, codes[np.minimum(ids, codes.size - 1)], 0).astype(np.uint16)

    def colormap(self) -> Any:
        """Make napari's color map from codes to class colors."""
        # A list of colors by code. napari's map by dictionary compiles a function with numba first, for seconds.
        from napari.utils import CyclicLabelColormap

        colors = [np.zeros(4, np.float32)]
        for label in self._classes:
            colors += [*[rgba(self._taxonomy.color(label))] * VARIANTS, rgba(MARK)]
        return CyclicLabelColormap(colors=np.stack(colors))

    def names(self) -> dict[str, list[Any]]:
        """Make the layer's features, so that the status bar names the class under the mouse."""
        codes = [0, *range(1, len(self._classes) * STRIDE + 1)]
        labels = [""] + [self._taxonomy.name(label) for label in self._classes for _ in range(STRIDE)]
        return {"index": codes, "class": labels}

    def _read(self, level: int, key: Any) -> npt.NDArray[np.uint16]:
        # napari asks for the same window again whenever it repaints, so a changed label costs a look-up, not a drawing
        wanted = (level, repr(key))
        if self._window is None or self._window[0] != wanted:
            self._window = (wanted, np.asarray(self._sources[level][key]))
        return self.codes(self._window[1])

    def _shape(self, level: int) -> tuple[int, ...]:
        return tuple(self._sources[level].shape)


class _CodedLevel:
    """One level of the pyramid, as far as napari looks: an array that is computed where it is sliced."""

    dtype = np.dtype(np.uint16)
    ndim = 2

    def __init__(self, overlay: ClassOverlay, level: int) -> None:
        self._overlay = overlay
        self._level = level
        self.shape = overlay._shape(level)
        self.size = int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint16]:
        return self._overlay._read(self._level, key)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        whole = self[...]
        return whole if dtype is None else whole.astype(dtype)

    def __len__(self) -> int:
        return self.shape[0]


def painted_levels(painter: Painter) -> list[Any]:
    """Give a case's outlines as a pyramid of ids that is drawn where it is sliced.

    `Case.label_levels` gives the same as dask arrays; without dask a slice costs less, and napari slices often.
    """
    return [_PaintedLevel(painter, level) for level in range(len(painter.shapes))]


class _PaintedLevel:
    """One level of a case's label image."""

    def __init__(self, painter: Painter, level: int) -> None:
        self._painter = painter
        self._level = level
        self.shape = painter.shapes[level]

    def __getitem__(self, key: Any) -> npt.NDArray[np.int32]:
        rows, columns = (slice(None), slice(None)) if key is Ellipsis else key
        y0, y1, step_y = rows.indices(self.shape[0])
        x0, x1, step_x = columns.indices(self.shape[1])
        window = self._painter.paint(self._level, y0, x0, max(y1 - y0, 0), max(x1 - x0, 0))
        return window[::step_y, ::step_x]
