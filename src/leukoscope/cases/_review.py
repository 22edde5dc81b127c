"""What the log of events adds up to: pure Python, no file, so that a test can hold it against a simpler model."""

from __future__ import annotations

from collections.abc import Iterable

from .records import Event

__all__ = ["Review", "Track"]

Track = tuple[int, int]
"""A reviewed cell, by the run and the id under which it was first relabeled: that name outlives later analyses."""


class Review:
    """The reviewers' labels, recomputed from the events alone.

    A relabel goes on top of the stack of each of its cells; undo takes the latest relabel off all of them, redo puts it
    back, and a new relabel forgets what was undone (the log does not). A carry moves stacks to the cells of another
    run: undo and redo reach through it, and act on the cell that took the old one's place. A cell that found no
    counterpart keeps its stack as an orphan, and a later run may find it again.
    """

    def __init__(self) -> None:
        self.run: int | None = None
        self.labels: dict[Track, list[Event]] = {}
        self.home: dict[Track, int | None] = {}
        self.overlap: dict[Track, float] = {}
        self._at: dict[int, Track] = {}
        self._touched: dict[int, tuple[Track, ...]] = {}
        self._done: list[Event] = []
        self._undone: list[Event] = []
        self.last = 0

    @property
    def next_undo(self) -> Event | None:
        """The relabel that undo would take back."""
        return self._done[-1] if self._done else None

    @property
    def next_redo(self) -> Event | None:
        """The relabel that redo would bring back."""
        return self._undone[-1] if self._undone else None

    @property
    def empty(self) -> bool:
        """Whether no reviewer's label stands and none could be brought back."""
        return not self._done and not self._undone

    def show(self, run: int) -> None:
        """Follow the case to another run's cells, to which nothing has to be carried."""
        if run != self.run:
            self._at.clear()
            self.home = dict.fromkeys(self.home)
            self.run = run

    def apply(self, event: Event) -> set[int]:
        """Take in the next event; return the ids of the shown cells whose label it may have changed."""
        self.last = event.id
        if event.kind == "carry":
            self._carry(event)
            return set(self._at)
        self.show(event.run)
        if event.kind == "relabel":
            tracks = tuple(self._track(cell) for cell in event.cells)
            self._touched[event.id] = tracks
            self._done.append(event)
            self._undone.clear()
            for track in tracks:
                self.labels.setdefault(track, []).append(event)
            return set(event.cells)
        source, goal = (self._done, self._undone) if event.kind == "undo" else (self._undone, self._done)
        moved = source.pop()
        goal.append(moved)
        for track in self._touched[moved.id]:
            if event.kind == "undo":
                self.labels[track].pop()
            else:
                self.labels[track].append(moved)
        homes = (self.home[track] for track in self._touched[moved.id])
        return {cell for cell in homes if cell is not None}

    def _track(self, cell: int) -> Track:
        if cell not in self._at:
            track = (self.run or 0, cell)
            self._at[cell] = track
            self.home[track] = cell
        return self._at[cell]

    def _carry(self, event: Event) -> None:
        self.run = event.run
        self.home = dict.fromkeys(self.home)
        for entry in event.carried:
            self.home[entry.run, entry.cell] = entry.to
            self.overlap[entry.run, entry.cell] = entry.overlap
        self._at = {cell: track for track, cell in self.home.items() if cell is not None}

    def label(self, cell: int) -> Event | None:
        """Return the relabel that a shown cell's label comes from, None where the model's stands."""
        track = self._at.get(cell)
        stack = self.labels.get(track) if track else None
        return stack[-1] if stack else None

    def reviewed(self) -> dict[int, Event]:
        """Return, for each shown cell with a reviewer's label, the relabel it comes from."""
        return {cell: stack[-1] for cell, track in self._at.items() if (stack := self.labels.get(track))}

    def living(self) -> list[Track]:
        """Return the cells that have a reviewer's label, or would by a redo: those that a new run must take over."""
        kept = {track for event in (*self._done, *self._undone) for track in self._touched[event.id]}
        return sorted(kept)

    def tracks(self) -> Iterable[Track]:
        """Return every cell that was ever reviewed."""
        return self.labels.keys()
