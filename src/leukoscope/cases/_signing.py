"""Signed counts: reports that stay as they were signed, and amendments after them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from ..classification.taxonomy import UNIDENTIFIED
from ..errors import CaseError
from ..hematology import Profile
from ..wording import cells_said
from . import _log
from ._dating import DatedCase
from ._export import write_csv
from ._report import Seal, report_of
from ._report_html import write_html
from ._reviewing import one_line
from ._signature import SIGNED, Signature, folders, kept, sha256
from .records import Event

if TYPE_CHECKING:
    from .case import Case

__all__ = ["SignedCase"]

_FILES = ("report.html", "report.pdf", "counts.csv")


class SignedCase(DatedCase):
    """Signing and amending, for `leukoscope.cases.Case`."""

    def sign(
        self,
        reviewer: str,
        profile: str | Profile | None = None,
        review: Literal["none", "sample", "blasts", "all"] | None = None,
        overview: NDArray[np.uint8] | None = None,
    ) -> Signature:
        """Sign the count: its report and counts are kept as they are, and labels change only after an amendment.

        ``report.html``, ``report.pdf`` and ``counts.csv`` go into ``signed/<number>/``, which nothing writes again;
        their SHA-256 is in the log.

        Parameters
        ----------
        reviewer : str
            Who signs.
        profile : str or Profile, optional
            How to count; the run's by default.
        review : {"none", "sample", "blasts", "all"}, optional
            Which cells a reviewer must have seen; what the profile asks for by default.
        overview : uint8 (Y, X, 3), optional
            The whole slide, small, for the report; read from the slide where it is not given and the slide is at hand.

        Returns
        -------
        Signature

        Raises
        ------
        CaseError
            If a cell is unidentified, or one that must be reviewed is not; if the analysis is not complete, the case is
            signed already, nobody is named, or the case cannot be written. Nothing has changed then.
        """
        from ._report_pdf import write_pdf  # half a second to import

        with self._store.mutex:
            self._check_writable()
            reviewer = _said(reviewer, 200, "a signature needs a name", self.path)
            self._check_open()
            if not self.complete:
                raise CaseError(f"the analysis is not complete ({self.status})", "Let it finish, then sign.", self.path)
            chosen = self.profile(profile)
            asked = chosen.review if review is None else review
            self._check_reviewed(chosen, asked)
            number = 1 + max([signature.number for signature in self.signatures] + folders(self.path), default=0)
            at = _log.now()
            count = self.differential(chosen)
            case = cast("Case", self)
            with kept(self.path / SIGNED / str(number)) as (part, keep):
                report = report_of(case, chosen, overview, Seal(number, reviewer, at, asked))
                write_html(report, part / "report.html")
                write_pdf(report, part / "report.pdf")
                write_csv(count.table(), part / "counts.csv")
                detail = {
                    "number": number,
                    "profile": asdict(chosen),
                    "review": asked,
                    "amendment": len(self.amendments),
                    "counts": dict(count.counts),
                    "denominator": count.denominator,
                    "verdict": count.verdict,
                    "files": {name: sha256(part / name) for name in _FILES},
                }
                with self._store.transaction() as db:
                    event = _log.append(db, self._draft("sign", at=at, reviewer=reviewer, detail=detail))
                    keep()  # before the log says so: a signature in the log always has its files
                changed = self._take_in(event)
        self._tell(event, changed)
        return self._as_signature(event)

    def amend(self, reviewer: str, reason: str) -> Event:
        """Open an amendment: labels of a signed case may change again, until it is signed anew.

        Parameters
        ----------
        reviewer : str
            Who.
        reason : str
            Why. It stands in every later report.

        Raises
        ------
        CaseError
            If the case is not signed, an amendment is open already, name or reason are missing, or it cannot be
            written.
        """
        with self._store.mutex:
            reviewer = _said(reviewer, 200, "an amendment needs a name", self.path)
            reason = _said(reason, 2000, "an amendment needs a reason", self.path)
            if not self._review.locked:
                what = "an amendment is open already" if self._review.seals else "the case is not signed"
                raise CaseError(what, "Correct it as it is: nothing more is needed.", self.path)
            detail = {"number": len(self.amendments) + 1, "reason": reason}
            told = self._record([self._draft("amend", reviewer=reviewer, detail=detail)])
        return self._tell_all(told)[0]

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """Every signature, in order."""
        with self._store.mutex:
            seals = [event for event in self._review.seals if event.kind == "sign"]
        return tuple(self._as_signature(event) for event in seals)

    @property
    def signed(self) -> Signature | None:
        """The signature that holds; None where there is none, or an amendment is open."""
        return self.signatures[-1] if self._review.locked else None

    @property
    def amendments(self) -> tuple[Event, ...]:
        """Every amendment, in order; ``detail["reason"]`` says why."""
        with self._store.mutex:
            return tuple(event for event in self._review.seals if event.kind == "amend")

    def verify(self) -> tuple[str, ...]:
        """Return what is wrong with the signed reports, a line for each; nothing where all are as they were signed.

        A folder that no signature speaks of is named, too: an interrupted signature leaves one.
        """
        known = {signature.number for signature in self.signatures}
        strays = [f"{SIGNED}/{number} is of no signature" for number in sorted(set(folders(self.path)) - known)]
        return tuple(line for signature in self.signatures for line in signature.verify()) + tuple(strays)

    def _as_signature(self, event: Event) -> Signature:
        detail: Mapping[str, Any] = event.detail
        number = int(detail["number"])
        return Signature(
            event=event,
            number=number,
            at=event.at,
            reviewer=event.reviewer,
            profile=detail["profile"]["name"],
            review=detail["review"],
            amendment=detail["amendment"],
            counts=detail["counts"],
            denominator=detail["denominator"],
            verdict=detail["verdict"],
            files=detail["files"],
            folder=self.path / SIGNED / str(number),
        )

    def _check_reviewed(self, profile: Profile, asked: str) -> None:
        if unnamed := self.counts().get(UNIDENTIFIED, 0):
            remedy = f"Label each: whether it belongs in the denominator of {profile.name} is not known."
            raise CaseError(f"{_cells(unnamed)} unidentified", remedy, self.path)
        if asked == "none":
            return
        done = set(self._review.reviewed())
        labels = self._labels_by(self.ids)
        if asked == "sample":
            sample = self.sample
            if sample is None:
                raise CaseError("no sample has been drawn for review", "Draw one with draw_sample.", self.path)
            wanted = set(sample.cells)
            done = set(sample.reviewed)
        elif asked == "blasts":
            blasts = profile.blast_labels(self.taxonomy)
            wanted = {cell for cell, label in labels.items() if label in blasts}
        elif asked == "all":
            counted = {label for label, cell_class in self.taxonomy.items() if profile.counts(cell_class)}
            wanted = {cell for cell, label in labels.items() if label in counted}
        else:
            raise CaseError(f"{asked!r} is no kind of review", "Choose none, sample, blasts or all.", self.path)
        if left := len(wanted - done):
            which = {"sample": "of the sample", "blasts": "labeled as blasts", "all": "counted"}[asked]
            remedy = f"Review all {len(wanted)} that are {which}: relabel or confirm each."
            raise CaseError(f"{_cells(left)} not reviewed", remedy, self.path)


def _cells(number: int) -> str:
    return f"{cells_said(number)} {'is' if number == 1 else 'are'}"


def _said(text: str, most: int, cause: str, path: Path) -> str:
    line = one_line(text, most)
    if not line:
        raise CaseError(cause, "Give one.", path)
    return line
