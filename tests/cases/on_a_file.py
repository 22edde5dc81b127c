"""Cases that are closed and opened again, by a test or by a machine that does so at any time."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine

from leukoscope.cases import Case, RunSettings, SlideInfo, open_case
from leukoscope.cases._review import Review

__all__ = ["FEW_STEPS", "OnAFile", "reopened"]

FEW_STEPS = settings(deadline=None, max_examples=12, stateful_step_count=16)


def reopened(case: Case) -> Case:
    case.close()
    return open_case(case.path)


class OnAFile(RuleBasedStateMachine):
    """What is done to one real case, whose folder goes at the end."""

    def create(self):
        self.folder = Path(tempfile.mkdtemp())
        slide = SlideInfo("s", "s", "f", ((100, 1000),))
        self.case = Case.create(self.folder / "s.leuko", slide, RunSettings("none", "none"))

    def replayed(self) -> Review:
        """What follows from the log alone."""
        review = Review()
        for event in self.case.events:
            review.apply(event)
        return review

    def teardown(self):
        if hasattr(self, "case"):
            self.case.close()
            shutil.rmtree(self.folder)
