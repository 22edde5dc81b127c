"""What the log of events adds up to: pure Python, no file, so that a test can hold it against a simpler model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ._edits import Edit, Edits, Track
from .records import Event

__all__ = ["Hand", "Review", "Track"]


@dataclass
class Hand:
    """One set of labels, with an undo of its own: the reviewers' shared one, or that of a blinded reader.

    A label goes on top of the stack of each of its cells; undo takes the latest off all of them, redo puts it back, and
    a new label forgets what was undone (the log does not). An edit of outlines is a step too, of no stack.
    """

    labels: dict[Track, list[Event]] = field(default_factory=dict)
    done: list[Event] = field(default_factory=list)
    undone: list[Event] = field(default_factory=list)
    touched: dict[int, tuple[Track, ...]] = field(default_factory=dict)

    def put(self, event: Event, tracks: tuple[Track, ...]) -> None:
        """Take in a label."""
        self.touched[event.id] = tracks
        self.done.append(event)
        self.undone.clear()
        for track in tracks:
            self.labels.setdefault(track, []).append(event)

    def step(self, kind: str) -> tuple[Track, ...]:
        """Undo or redo; return the cells concerned."""
        source, goal = (self.done, self.undone) if kind == "undo" else (self.undone, self.done)
        moved = source.pop()
        goal.append(moved)
        for track in self.touched[moved.id]:
            if kind == "undo":
                self.labels[track].pop()
            else:
                self.labels[track].append(moved)
        return self.touched[moved.id]

    def next(self, kind: str) -> Event | None:
        """Return what undo or redo would act on."""
        events = self.done if kind == "undo" else self.undone
        return events[-1] if events else None

    def after(self, kind: str) -> dict[Track, Event | None]:
        """Return what undo or redo would leave on top of each cell's stack; None where the model's label is left."""
        event = self.next(kind)
        if event is None:
            return {}
        if kind == "redo":
            return dict.fromkeys(self.touched[event.id], event)
        stacks = {track: self.labels[track] for track in self.touched[event.id]}
        return {track: stack[-2] if len(stack) > 1 else None for track, stack in stacks.items()}

    @property
    def empty(self) -> bool:
        """Whether no label stands and none could be brought back."""
        return not self.done and not self.undone


class Review:
    """The reviewers' labels, recomputed from the events alone.

    Relabels are one hand's, whoever made them: that is what the case shows. A blinded reader's labels ("read") are a
    hand of their own. A carry moves the stacks of all of them to the cells of another run: undo and redo reach through
    it, and act on the cell that took the old one's place. A cell that found no counterpart keeps its stacks as an
    orphan, and a later run may find it again. A cell that was drawn anew keeps its stacks, under the new id.

    Attributes
    ----------
    shared : Hand
        The labels that the case shows.
    readers : dict of str to Hand
        The blinded readers' labels, by name.
    edits : Edits
        What reviewers did to outlines.
    seals : list of Event
        Signatures and amendments: after a signature, labels stay as they are until an amendment.
    samples : list of Event
        The samples drawn for review.
    dates : list of Event
        When the smear was taken; the last one holds.
    """

    def __init__(self) -> None:
        self.run: int | None = None
        self.shared = Hand()
        self.readers: dict[str, Hand] = {}
        self.edits = Edits()
        self.seals: list[Event] = []
        self.samples: list[Event] = []
        self.dates: list[Event] = []
        self.home: dict[Track, int | None] = {}
        self.overlap: dict[Track, float] = {}
        self.place: dict[Track, Track] = {}
        self._at: dict[int, Track] = {}
        self._owner: dict[int, Hand] = {}
        self.last = 0

    @property
    def labels(self) -> dict[Track, list[Event]]:
        """The stacks of the labels that the case shows."""
        return self.shared.labels

    @property
    def empty(self) -> bool:
        """Whether no reviewer's or reader's label stands and none could be brought back."""
        return all(hand.empty for hand in self._hands())

    @property
    def locked(self) -> bool:
        """Whether the case is signed, and no amendment is open."""
        return bool(self.seals) and self.seals[-1].kind == "sign"

    def _hands(self) -> tuple[Hand, ...]:
        return self.shared, *self.readers.values()

    def show(self, run: int) -> None:
        """Follow the case to another run's cells, to which nothing has to be carried."""
        if run != self.run:
            self._at.clear()
            self.home = dict.fromkeys(self.home)
            self.edits.hidden.clear()
            self.run = run

    def apply(self, event: Event) -> set[int]:
        """Take in the next event; return the ids of the shown cells whose shown label it may have changed."""
        self.last = event.id
        if event.kind == "carry":
            self._carry(event)
            return set(self._at)
        self.show(event.run)
        if event.kind in ("relabel", "read"):
            hand = self.shared if event.kind == "relabel" else self.readers.setdefault(event.reviewer, Hand())
            self._owner[event.id] = hand
            hand.put(event, tuple(self._track(cell) for cell in event.cells))
            return set(event.cells) if hand is self.shared else set()
        if event.kind == "outline":
            self._edit(event)
            return set()
        if event.kind in ("undo", "redo"):
            hand = self._owner[event.target or 0]
            if edit := self.edits.by_event.get(event.target or 0):
                self._turn(edit, event.kind)
            homes = (self.home[track] for track in hand.step(event.kind))
            return {cell for cell in homes if cell is not None} if hand is self.shared else set()
        if event.kind == "sample":
            self.samples.append(event)
        elif event.kind == "date":
            self.dates.append(event)
        elif event.kind in ("sign", "amend"):
            self.seals.append(event)
        else:
            raise ValueError(f"an event of kind {event.kind!r}")
        return set()

    def _track(self, cell: int) -> Track:
        if cell not in self._at:
            track = (self.run or 0, cell)
            self._at[cell] = track
            self.home[track] = cell
        return self._at[cell]

    def _edit(self, event: Event) -> None:
        """Take in an edit: a cell that keeps labels is the old one under a new id."""
        kept = event.kept
        sources = {cell for some in event.drawn.values() for cell in some}
        replaced = [cell for cell in event.removed if cell in sources and cell not in kept.values()]
        edit = Edit(
            event,
            tuple(self._track(cell) for cell in event.removed if cell not in sources),
            tuple(self._track(cell) for cell in replaced),
            tuple(self._track(cell) for cell in event.drawn if cell not in kept),
            tuple((self._track(old), old, new) for new, old in kept.items()),
        )
        self.edits.by_event[event.id] = edit
        self._owner[event.id] = self.shared
        self.shared.put(event, ())
        self._turn(edit, "redo")

    def _turn(self, edit: Edit, kind: str) -> None:
        gone, come = self.edits.change(edit, kind, self.run, self.home)
        self.edits.turn(edit, kind, gone, come)
        if edit.event.run == self.run:
            for track, old, new in edit.moved:
                before, after = (old, new) if kind == "redo" else (new, old)
                del self._at[before]
                self._at[after] = track
                self.home[track] = after
                self.place[track] = (edit.event.run, after)

    def _carry(self, event: Event) -> None:
        self.run = event.run
        self.home = dict.fromkeys(self.home)
        for entry in event.carried:
            self.home[entry.run, entry.cell] = entry.to
            self.overlap[entry.run, entry.cell] = entry.overlap
        self._at = {cell: track for track, cell in self.home.items() if cell is not None}
        self.edits.hidden = {cell for cell, track in self._at.items() if track in self.edits.deleted}

    def stack(self, cell: int, hand: Hand | None = None) -> list[Event]:
        """Return the labels of a shown cell that stand, the latest last; the shared ones where no hand is given."""
        track = self._at.get(cell)
        return (hand or self.shared).labels.get(track, []) if track else []

    def label(self, cell: int, hand: Hand | None = None) -> Event | None:
        """Return the event that a shown cell's label comes from, None where the model's stands."""
        stack = self.stack(cell, hand)
        return stack[-1] if stack else None

    def reviewed(self, hand: Hand | None = None) -> dict[int, Event]:
        """Return, for each shown cell with a label of that hand, the event it comes from."""
        labels = (hand or self.shared).labels
        hidden = self.edits.hidden
        return {
            cell: stack[-1] for cell, track in self._at.items() if (stack := labels.get(track)) and cell not in hidden
        }

    def after(self, kind: str, hand: Hand | None = None) -> dict[int, Event | None]:
        """Return the label that undo or redo would leave to each shown cell concerned; None for the model's."""
        found = (hand or self.shared).after(kind)
        homes = ((self.home[track], event) for track, event in found.items())
        return {cell: event for cell, event in homes if cell is not None and cell not in self.edits.hidden}

    def edited_after(self, kind: str) -> tuple[set[int], dict[int, int]] | None:
        """Return what undo or redo would do to outlines, as `Edits.change` says it; None where it is about labels."""
        event = self.shared.next(kind)
        edit = self.edits.by_event.get(event.id) if event else None
        return edit and self.edits.change(edit, kind, self.run, self.home)

    def living(self) -> list[Track]:
        """Return the cells that a new run must take over: drawn, or with a label, or a label that a redo would give."""
        kept = {
            track for hand in self._hands() for event in (*hand.done, *hand.undone) for track in hand.touched[event.id]
        }
        return sorted((kept | self.edits.drawn) - self.edits.deleted - self.edits.replaced)

    def deleted(self) -> list[Track]:
        """Return the cells that are none, or would be by a redo: what a new run finds there is none either."""
        steps = (self.edits.by_event.get(event.id) for event in (*self.shared.done, *self.shared.undone))
        return sorted({track for edit in steps if edit for track in edit.deleted} - set(self.living()))

    def tracks(self) -> Iterable[Track]:
        """Return every cell that was ever labeled, removed or drawn."""
        return {track for hand in self._hands() for track in hand.labels} | self.edits.cells()
