"""The reading half of a case: what the file says, and what follows from it."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import shapely
from psygnal import Signal
from shapely.geometry.base import BaseGeometry

from ..classification.taxonomy import TAXONOMY, class_from_dict
from ..errors import CaseError
from ..hematology import Differential, Profile, differential, load_profile, profile_from_dict
from . import _log, _runs
from ._history import history_frame
from ._ids import numbers
from ._labels import Painter
from ._review import Hand, Review
from ._store import Store
from ._table import ModelCells, cells_frame
from .records import Event, Run, RunSettings, SlideInfo

if TYPE_CHECKING:
    import dask.array as da
    import pandas as pd

__all__ = ["CaseReader"]


class CaseReader:
    """What a case knows, for `leukoscope.cases.Case`; nothing here writes."""

    cells_added: ClassVar[Signal] = Signal(object, description="range of the ids that a block added to the shown cells")
    labels_changed: ClassVar[Signal] = Signal(
        object, description="dict of id to label, of the shown cells that changed"
    )
    events_changed: ClassVar[Signal] = Signal(object, description="the Event that was appended")
    outlines_changed: ClassVar[Signal] = Signal(
        object, description="the Event by which shown cells were `removed` and others `drawn`; undo and redo, too"
    )
    run_changed: ClassVar[Signal] = Signal(object, description="the Run that began, went on or ended")
    view_replaced: ClassVar[Signal] = Signal(description="other cells are shown: read everything again")

    def __init__(self, store: Store) -> None:
        self._store = store
        self.path = store.folder
        self.readonly = store.readonly
        with store.mutex:
            self._load()

    def close(self) -> None:
        """Close the file, so that another process may write the case."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Case {self.slide.name!r}: {len(self)} cells, {self.status}>"

    def __len__(self) -> int:
        """Return how many cells are shown."""
        with self._store.mutex:
            return self._counts.total() - len(self._review.edits.hidden)

    @property
    def ids(self) -> list[int]:
        """The ids of the shown cells, ascending: 1 to `last_id`, without those that reviewers removed."""
        with self._store.mutex:
            hidden = self._review.edits.hidden
            return [cell for cell in range(1, self.last_id + 1) if cell not in hidden]

    @property
    def last_id(self) -> int:
        """The highest id that was given, of a cell that is shown or was removed; 0 before there is any."""
        with self._store.mutex:
            return self._counts.total()

    def _load(self) -> None:
        store = self._store
        try:
            meta = dict(store.rows("SELECT key, value FROM meta"))
            self.id = uuid.UUID(meta["id"])
            self.slide = SlideInfo.from_json(store.rows("SELECT info FROM slide")[0][0])
            self._first_settings = RunSettings.from_json(meta["settings"])
            classes = [
                class_from_dict(json.loads(row[0])) for row in store.rows("SELECT info FROM classes ORDER BY rowid")
            ]
            self.taxonomy = TAXONOMY.with_classes(classes)
            self._runs, self._dropped = _runs.read_runs(store)
            self._shown = int(meta["shown"]) if "shown" in meta else None
            self._events = _log.read(store)
            self._review = Review()
            for event in self._events:
                self._review.apply(event)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            remedy = "Restore case.sqlite from a backup, or analyze the slide into another folder."
            raise CaseError(f"the case is damaged ({error!r})", remedy, store.file) from error
        self._read_view()

    def _read_view(self) -> None:
        """Count the shown run's cells, and fetch what the model called the reviewed ones."""
        shown = self._shown or 0
        if self._shown is not None:
            self._review.show(self._shown)
        counts = self._store.rows("SELECT label, COUNT(*) FROM cells WHERE run = ? GROUP BY label", (shown,))
        self._counts: Counter[str] = Counter(dict(counts))
        self._model_cells: ModelCells | None = None
        self._model_labels: dict[int, str] = {}
        self._note_model_labels(self._review.reviewed())

    def _note_model_labels(self, ids: Iterable[int]) -> None:
        """Fetch what the model called these cells, where that is not known yet."""
        missing = [cell for cell in ids if cell not in self._model_labels]
        if missing:
            statement = "SELECT id, label FROM cells WHERE run = ? AND id IN (SELECT value FROM json_each(?))"
            self._model_labels.update(dict(self._store.rows(statement, (self._shown, json.dumps(missing)))))

    @property
    def run(self) -> Run | None:
        """The run whose cells are shown, as it stands now; None before any block."""
        return None if self._shown is None else self._runs[self._shown]

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every run, in order."""
        with self._store.mutex:
            return tuple(self._runs.values())

    @property
    def settings(self) -> RunSettings:
        """The settings of the run whose cells are shown; before any, those the case was made for."""
        return self.run.settings if self.run else self._first_settings

    @property
    def status(self) -> str:
        """What is shown, in words: "completed", "empty", or "partial: 12 of 40 blocks, canceled"."""
        run = self.run
        if run is None:
            return "empty"
        if run.complete:
            return "completed"
        return f"partial: {run.done} of {run.blocks} blocks, {run.status}"

    @property
    def complete(self) -> bool:
        """Whether what is shown is a whole analysis."""
        return self.run is not None and self.run.complete

    @property
    def mpp(self) -> float | None:
        """µm per level-0 pixel: what the shown run used, else the slide's own."""
        return self.slide.mpp if self.settings.mpp is None else self.settings.mpp

    @property
    def events(self) -> tuple[Event, ...]:
        """The whole log, in order."""
        with self._store.mutex:
            return tuple(self._events)

    @property
    def history(self) -> pd.DataFrame:
        """The whole log as a table, for people to read.

        One row an event: id, at (ISO 8601, UTC), who, kind, cells (how many), was and is (the label before and after;
        of several, each with its number of cells; for a signature or an amendment, what it says), model (with its
        fingerprint), version (of Leukoscope; empty where an old one did not write it down, nor what was), undone
        (whether it stands undone now).
        """
        return history_frame(self.events)

    @property
    def cells(self) -> pd.DataFrame:
        """The shown cells, a new table at each access.

        One row a cell: cell_id, x, y (centroid, level-0 px), x_um, y_um (µm; NaN where the resolution is unknown),
        area_um2, nucleus_area_um2 (µm²), label, source ("model" or "reviewer"), probability (of the shown label; NaN
        for a class the model does not know; the highest there is for "unidentified"), entropy (bits), p_<class>…,
        reviewed_by, reviewed_at (ISO 8601, UTC), model, segmenter ("reviewer" where the outline was drawn by hand).
        """
        return self._cells_by()

    @property
    def all_cells(self) -> pd.DataFrame:
        """The shown cells and those that were removed, row i of cell i + 1; as `cells`, and a last column: removed."""
        return self._all_cells_by()

    def _cells_by(self, hand: Hand | None = None) -> pd.DataFrame:
        with self._store.mutex:
            table = self._all_cells_by(hand)
        removed = table.pop("removed")
        return table[~removed].reset_index(drop=True) if removed.any() else table

    def _all_cells_by(self, hand: Hand | None = None) -> pd.DataFrame:
        with self._store.mutex:
            if self._model_cells is None:
                self._model_cells = ModelCells(self._shown or 0, len(self.settings.classes))
            table = self._model_cells
            table.extend(self._store.rows(table.query, (table.run, table.last)))
            reviewed, drawn = self._review.reviewed(hand), self._review.edits.drawn_ids(self._shown)
            frame = cells_frame(table, reviewed, drawn, self.settings.classes, self.settings, self.mpp)
            removed = np.zeros(len(frame), dtype=bool)
            removed[[cell - 1 for cell in self._review.edits.hidden]] = True
        return frame.assign(removed=removed)

    def labels(self, ids: Iterable[int] | int) -> dict[int, str]:
        """Return the labels of these shown cells as they stand, by id."""
        with self._store.mutex:
            return self._labels_by(self._known(ids))

    def _labels_by(self, ids: Iterable[int], hand: Hand | None = None, unread: str = "") -> dict[int, str]:
        """Return the labels of shown cells in the eyes of a hand: its own, else the model's, or `unread`."""
        return self._named({cell: self._review.label(cell, hand) for cell in ids}, unread)

    def _named(self, events: Mapping[int, Event | None], unread: str = "") -> dict[int, str]:
        """Return the label that each cell has by its event; the model's, or `unread`, where it has none."""
        self._note_model_labels(events)
        return {cell: event.label if event else unread or self._model_labels[cell] for cell, event in events.items()}

    def counts(self) -> dict[str, int]:
        """Return how many shown cells have each label."""
        return self._counts_by()

    def _counts_by(self, hand: Hand | None = None) -> dict[str, int]:
        with self._store.mutex:
            counts = self._counts.copy()
            reviewed, hidden = self._review.reviewed(hand), self._review.edits.hidden
            self._note_model_labels((*reviewed, *hidden))
            counts.subtract(self._model_labels[cell] for cell in hidden)
            for cell, event in reviewed.items():
                counts[self._model_labels[cell]] -= 1
                counts[event.label] += 1
            return {label: counts[label] for label in self.taxonomy.order(counts) if counts[label]}

    def differential(self, profile: str | Profile | None = None) -> Differential:
        """Count the shown cells under a profile, by default the one the run was asked for.

        Raises
        ------
        SettingsError
            If there is no such profile.
        """
        return self.count(self.counts(), profile)

    def count(self, labels: Iterable[str] | Mapping[str, int], profile: str | Profile | None = None) -> Differential:
        """Count labels (of a field, a selection) in this case's way: its profile, taxonomy and classes."""
        return differential(labels, self.profile(profile), self.taxonomy, self.settings.classes)

    def profile(self, profile: str | Profile | None = None) -> Profile:
        """Return a profile; without a name the one that the run was asked for, as it was then, wherever its file is.

        Raises
        ------
        SettingsError
            If there is no such profile.
        """
        chosen = self.settings.profile if profile is None else profile
        if isinstance(chosen, Profile):
            return chosen
        kept = self.settings.notes.get("profile") if chosen == self.settings.profile else None
        return profile_from_dict(kept) if kept else load_profile(chosen)

    def outlines(self, ids: Iterable[int] | int | None = None) -> dict[int, tuple[BaseGeometry, BaseGeometry | None]]:
        """Return the outlines of the shown cells, (cell, nucleus or None) by id, level-0 pixels; of all without ids.

        Those of removed cells are there, too, for who asks for them by id.
        """
        with self._store.mutex:
            wanted = None if ids is None else self._known(ids, removed=True)
            found = _runs.outlines_of(self._store, self._shown or 0, wanted)
            if wanted is None:
                found = {cell: pair for cell, pair in found.items() if cell not in self._review.edits.hidden}
        cells = shapely.from_wkb([pair[0] for pair in found.values()])
        nuclei = shapely.from_wkb([pair[1] for pair in found.values()])
        return dict(zip(found, zip(cells, nuclei, strict=True), strict=True))

    def painter(self, ids: Iterable[int] | None = None) -> Painter:
        """Return the outlines of the shown cells, or some, as they are now, ready to be drawn as label images."""
        outlines = {cell: pair[0] for cell, pair in self.outlines(ids).items()}
        return Painter(outlines, self.slide.shapes, self.slide.downsamples)

    def label_levels(self) -> list[da.Array]:
        """Return the ids of the shown cells as a pyramid for a viewer: int32 (Y, X) a level, drawn when looked at."""
        return self.painter().levels()

    def uuid(self, cell: int) -> uuid.UUID:
        """Return the UUID that a shown cell has in every export."""
        return uuid.uuid5(self.id, f"{self._shown}/{cell}")

    def _known(self, ids: Iterable[int] | int, removed: bool = False) -> list[int]:
        last = self.last_id
        try:
            wanted = numbers(ids)
            unknown = next((str(cell) for cell in wanted if not 1 <= cell <= last), None)
        except ValueError as error:
            unknown = str(error)
        if unknown is not None:
            raise CaseError(f"there is no cell {unknown}", f"The ids are 1 to {last}.", self.path)
        if not removed and (hidden := self._review.edits.hidden.intersection(wanted)):
            remedy = "Choose cells that are shown; undo brings it back."
            raise CaseError(f"cell {min(hidden)} was removed by a reviewer", remedy, self.path)
        return wanted

    def refresh(self) -> None:
        """Read again what another process has written since; for a case that is open for reading only."""
        with self._store.mutex:
            self._load()
        self.view_replaced.emit()
