"""Cells drawn at random for review, so that what a reviewer finds wrong among them speaks for the whole slide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import takewhile
from operator import index
from typing import Final

from ..classification.taxonomy import UNIDENTIFIED
from ..errors import CaseError
from ..hematology import Prevalence, Profile, draw_sample, profile_from_dict
from ._comparing import ComparedCase
from ._reviewing import who
from .records import Event

__all__ = ["Sample", "SampledCase"]

NO_CELL: Final = "artefact"


@dataclass(frozen=True)
class Sample:
    """A simple random sample of the cells that a profile counts, and how far its review has come.

    Parameters
    ----------
    event : Event
        The draw.
    cells : tuple of int
        The cells drawn, in the order in which to review them. Where one was drawn anew, split or merged since, the cell
        in its place; one that has none counts as reviewed, and as an artefact.
    model : mapping of int to str
        The model's label of each.
    labels : mapping of int to str
        The label that each has now by a reviewer; only of those reviewed.
    population : mapping of str to int
        Of how many cells with each label of the model they were drawn.
    profile : str
        The name of the profile that says which cells are counted.
    blasts : tuple of str
        The labels that the profile counts as blasts.
    seed : int
        What the draw followed from.
    """

    event: Event
    cells: tuple[int, ...]
    model: Mapping[int, str]
    labels: Mapping[int, str]
    population: Mapping[str, int]
    profile: str
    blasts: tuple[str, ...]
    seed: int

    @property
    def reviewed(self) -> tuple[int, ...]:
        """The cells drawn that a reviewer has labeled or confirmed, in the order of the draw."""
        return tuple(cell for cell in self.cells if cell in self.labels)

    @property
    def remaining(self) -> tuple[int, ...]:
        """The cells drawn that nobody has reviewed, in the order of the draw."""
        return tuple(cell for cell in self.cells if cell not in self.labels)

    @property
    def in_order(self) -> tuple[int, ...]:
        """The cells up to the first that is not reviewed: a simple random sample too, when the review stops early."""
        return tuple(takewhile(self.labels.__contains__, self.cells))


class SampledCase(ComparedCase):
    """The review of a random sample, for `leukoscope.cases.Case`."""

    def draw_sample(
        self, n: int, seed: int, profile: str | Profile | None = None, reviewer: str | None = None
    ) -> Sample:
        """Draw cells at random for review; the draw is an event, so that nobody draws until they like what they get.

        They are drawn, without replacement, from the shown cells whose class **by the model** the profile counts, and
        from those that the model could not name ("unidentified"): without these the sample would be of easy cells only.
        What reviewers said already plays no part. Cells that the model takes for smudges, platelets or artefacts are
        not in it: what is hidden among them is not estimated. The same seed with a larger number begins with the same
        cells, so that a sample is extended by drawing again.

        Parameters
        ----------
        n : int
            How many.
        seed : int
            Any number from 0 up.
        profile : str or Profile, optional
            Which cells are counted; the run's by default.
        reviewer : str, optional
            Who draws.

        Returns
        -------
        Sample

        Raises
        ------
        CaseError
            If the analysis is not complete, there are fewer cells, or the case cannot be written.
        """
        with self._store.mutex:
            if not self.complete:
                remedy = "Let the analysis finish: a sample of a part does not speak for the slide."
                raise CaseError(f"no sample can be drawn ({self.status})", remedy, self.path)
            chosen = self.profile(profile)
            labels = self._population(chosen)
            try:
                n, seed = index(n), index(seed)
            except TypeError:
                cause = f"{n!r} cells and seed {seed!r} are no whole numbers"
                raise CaseError(cause, "Give whole numbers.", self.path) from None
            if not 1 <= n <= len(labels) or seed < 0:
                remedy = f"Draw 1 to {len(labels)} cells, with a seed of 0 or more."
                raise CaseError(f"{n} cells cannot be drawn of {len(labels)} (seed {seed})", remedy, self.path)
            drawn = draw_sample(labels, n, seed).tolist()
            found = Counter(labels.values())
            population = {label: found[label] for label in self.taxonomy.order(found)}
            detail = {"seed": seed, "profile": asdict(chosen), "population": population}
            told = self._record([self._draft("sample", cells=drawn, reviewer=who(reviewer), detail=detail)])
        return self._as_sample(self._tell_all(told)[0])

    @property
    def sample(self) -> Sample | None:
        """The sample drawn last, and what of it is reviewed; None where none was drawn of the cells shown."""
        with self._store.mutex:
            samples = self._review.samples
            if not samples or samples[-1].run != self._shown:  # a new analysis found other cells: draw again
                return None
            return self._as_sample(samples[-1])

    def _as_sample(self, event: Event) -> Sample:
        with self._store.mutex:
            self._note_model_labels(event.cells)
            heirs = self._review.edits.heirs(event.cells, event.run)
            now = {cell: cell if heir is None else heir for cell, heir in heirs.items()}
            model = {now[cell]: self._model_labels[cell] for cell in event.cells}
            said = {heir: self._review.label(heir) for heir in heirs.values() if heir is not None}
        labels = {cell: last.label for cell, last in said.items() if last}
        labels |= dict.fromkeys((cell for cell, heir in heirs.items() if heir is None), NO_CELL)
        profile = event.detail["profile"]
        return Sample(
            event,
            tuple(now[cell] for cell in event.cells),
            model,
            labels,
            event.detail["population"],
            profile["name"],
            tuple(profile["blasts"]),
            event.detail["seed"],
        )

    @property
    def prevalence(self) -> Prevalence | None:
        """The slide's blast percentage by the model's count and the review of the sample, as far as it has come.

        What is reviewed in order (`Sample.in_order`) corrects the model's count of all cells; other corrections play no
        part in it. None where no sample was drawn.
        """
        sample = self.sample
        if sample is None:
            return None
        profile = profile_from_dict(sample.event.detail["profile"])
        counted = {label for label, cell_class in self.taxonomy.items() if profile.counts(cell_class)}
        blasts = profile.blast_labels(self.taxonomy) & counted
        called = [sample.labels[cell] for cell in sample.in_order if sample.model[cell] in blasts]
        others = [sample.labels[cell] for cell in sample.in_order if sample.model[cell] not in blasts]
        return Prevalence(
            cells=sum(sample.population.values()),
            called=sum(count for label, count in sample.population.items() if label in blasts),
            reviewed=len(sample.in_order),
            reviewed_called=len(called),
            false_blasts=sum(label not in blasts for label in called),
            missed_blasts=sum(label in blasts for label in others),
            uncounted_called=sum(label not in counted for label in called),
            uncounted_others=sum(label not in counted for label in others),
        )

    def _population(self, profile: Profile) -> dict[int, str]:
        """Return the model's labels of the shown cells that a profile counts, or that the model could not name."""
        rows = self._store.rows("SELECT id, label FROM cells WHERE run = ? ORDER BY id", (self._shown,))
        counted = {label for label, cell_class in self.taxonomy.items() if profile.counts(cell_class)} | {UNIDENTIFIED}
        hidden = self._review.edits.hidden
        return {cell: label for cell, label in rows if label in counted and cell not in hidden}
