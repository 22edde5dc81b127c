"""The Retrain dock: choose cases, retrain with a live curve, look at the gate, and at the cells that would change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QTabWidget, QVBoxLayout, QWidget

from leukoscope.classification.taxonomy import BLAST, TAXONOMY
from leukoscope.errors import LeukoscopeError, SettingsError

from .._state import Session, session_of
from .._ties import Ties
from ..choices import duration
from ..docks import Docked
from ..job import Job
from ..layers import slide_of
from ..notify import reporting_errors, say, show_error_line
from ..review_dock.tab import label, line
from ..settings import prefer_model, user_settings
from .bench import Outcome, Wish, check_training, perform
from .cases_view import LEARN, LOCK, CasesView
from .choices import RetrainChoices
from .curve_plot import CurvePlot
from .flips_view import FlipsView
from .gate_view import GateView

if TYPE_CHECKING:
    from leukoscope.cases import Case
    from leukotrain.retrain import RetrainPlan, RetrainProgress

__all__ = ["RetrainWidget"]

NARROWEST = 400  # px, at which the gate's table still fits
STAGES = {
    "embed": "Looking at the cells",
    "search": "How far to leave the old model: cells left out say",
    "fit": "Fitting",
    "gate": "Asking both models about every cell",
}

STEPS = {"head": "steps", "full": "steps; dots: cells left out"}
CANCELED = {
    "head": "Canceled; nothing was written. What is embedded is kept.",
    "full": "Canceled; no model was written. Finished epochs are kept: under the same name it goes on from there.",
}


class RetrainWidget(Docked):
    """Retrains a model from reviewed cases; the new one is chosen for the next analysis.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose case is offered first, and which shows the cells that would change.

    Attributes
    ----------
    job : Job or None
        The retraining that is under way.
    outcome : Outcome or None
        What came of the last one.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.session: Session = session_of(napari_viewer)
        self.job: Job | None = None
        self.outcome: Outcome | None = None
        self._ready: tuple[Case, ...] = ()
        self._strength = 0.0
        self._usable = False
        self._build()
        self._ties = Ties(
            self,
            (self.session.case_changed, self._on_case),
            (self.session.cells_added, self.cases.soon),
            (self.session.relabeled, self.cases.soon),
        )
        self._on_case()

    def _build(self) -> None:
        self.notice = label(bold=True)
        self.cases = CasesView(self.session)
        self.choices = RetrainChoices()
        self.retrain = QPushButton("Retrain")
        self.retrain.setToolTip("Learn from what is reviewed now; a gate measures before and after")
        self.retrain.clicked.connect(lambda *_: self.start())
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Write no model; what is embedded, and finished epochs, are kept for the next time")
        self.cancel.clicked.connect(lambda *_: self._cancel())
        self.progress = QProgressBar()
        self.status = label()
        color = TAXONOMY.color(BLAST)
        self.search = CurvePlot("Loss of cells left out", "near the old model … far from it", "#56b4e9")
        self.fit = CurvePlot("Loss of the fit", STEPS["head"], color)
        self.gate = GateView()
        self.gate.overruled.connect(self._overrule)
        self.flips = FlipsView(self.session)
        self.tabs = QTabWidget()
        for widget, title in ((self.cases, "Cases"), (line(self.search, self.fit), "Curves"), (self.gate, "Gate")):
            self.tabs.addTab(widget, title)
        self.tabs.addTab(self.flips, "Changes")
        buttons = QHBoxLayout()
        buttons.addWidget(self.retrain)
        buttons.addWidget(self.cancel)
        self.body = QWidget()
        page = QVBoxLayout(self.body)
        page.setContentsMargins(0, 0, 0, 0)
        page.addWidget(self.choices)
        page.addLayout(buttons)
        for widget in (self.progress, self.status):
            page.addWidget(widget)
        page.addWidget(self.tabs, stretch=1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.addWidget(self.notice)
        layout.addWidget(self.body, stretch=1)
        self.setMinimumWidth(NARROWEST)
        self._idle()

    # -- the case -------------------------------------------------------------------------------------------------

    def _on_case(self, *_: Any) -> None:
        if self.job is not None and any(case is not self.session.whole for case in self._ready):
            self._cancel()  # it reads a case that is closed now
        says = ""
        if self.session.reading is not None:
            says = "A blinded reading is under way: what others said is not for this reader. End it in Review, Readers."
        else:
            try:
                check_training()
            except SettingsError as error:
                says = str(error)
        self._usable = not says
        self.notice.setText(says)
        self.notice.setVisible(bool(says))
        self.body.setVisible(self._usable)
        if self._usable:
            self.cases.on_case()
            self.flips.show_outcome(self.outcome)

    # -- running --------------------------------------------------------------------------------------------------

    def wish(self) -> Wish:
        """Give what is chosen.

        Raises
        ------
        SettingsError
            Something is missing.
        """
        if self.session.busy:
            raise SettingsError("an analysis is running in this viewer", "Cancel it or wait for its end.")
        cases = self.cases.paths(LEARN)
        if not cases:
            raise SettingsError("there is no case to learn from", "Add one whose cells were reviewed.")
        whole, shown = self.session.whole, slide_of(self.session.slide)
        slides = {}
        if whole is not None and shown is not None:
            now = str(shown.address)
            if now != whole.slide.address:  # it has moved, and been found again
                slides[whole.path.name] = now
        return Wish(
            cases,
            self.cases.paths(LOCK),
            self.choices.model.currentText().strip(),
            self.choices.mode.currentData(),
            self.choices.out,
            self.choices.flips.isChecked(),
            user_settings().device,
            slides,
        )

    def start(self) -> None:
        """Begin the retraining that is chosen."""
        if self.job is None:
            with reporting_errors():
                self._run(self.wish())

    def _overrule(self, name: str) -> None:
        if self.job is None and self.outcome is not None and name:
            self._run(self.outcome.wish, self.outcome.plan, name)

    def _run(self, wish: Wish, plan: RetrainPlan | None = None, overrule: str = "") -> None:
        whole = self.session.whole
        paths = {*wish.cases, *wish.locked}
        self._ready = ready = (whole,) if whole is not None and whole.path in paths else ()
        self.search.clear()
        self.fit.clear()
        self.search.setVisible(wish.mode == "head")
        self.fit.along = STEPS[wish.mode]
        self.status.setText("Starting: reading the cases and the model…")
        self.progress.setRange(0, 0)
        job = self.job = Job(
            lambda report, canceled: perform(wish, ready, plan, overrule, report, canceled), "Retraining", self
        )
        job.advanced.connect(self._on_advanced)
        job.done.connect(self._on_done)
        job.failed.connect(self._on_failed)
        job.canceled.connect(lambda: self.status.setText(CANCELED[wish.mode]))
        job.ended.connect(self._on_ended)
        if not overrule:
            self.outcome = None
            self.gate.show_outcome(None)
            self.flips.show_outcome(None)
            self.tabs.setCurrentIndex(1)
        self._idle()
        job.start()

    def _cancel(self) -> None:
        if self.job is not None:
            self.job.cancel()
            self.status.setText("Canceling…")
            self.cancel.setEnabled(False)

    def _on_advanced(self, said: list[tuple[int, int, RetrainProgress]]) -> None:
        for _, _, at in said:
            if at.stage == "search" and at.left_out is not None and at.strength is not None:
                again = at.strength > self._strength or not self.search.lines
                self.search.add(-math.log10(at.strength), at.left_out, new_line=again)
                self._strength = at.strength
            elif at.stage == "fit":
                if at.left_out is not None:  # an epoch's end; its mean loss is no step's
                    self.fit.mark(at.done, at.left_out)
                elif at.loss is not None:
                    self.fit.add(at.done, at.loss)
        done, total, at = said[-1]
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        if self.job is not None and not self.job.canceling:
            figure = at.loss if at.loss is not None else at.left_out
            loss = "" if figure is None else f", loss {figure:.4f}"
            self.status.setText(f"{STAGES[at.stage]}: {done:,} of {total:,}{loss}")

    def _on_done(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.gate.show_outcome(outcome)
        self.flips.show_outcome(outcome)
        self.tabs.setCurrentWidget(self.gate)
        plan = outcome.plan
        learned = f"{plan.cells:,} cells of {plan.slides} slide{'s' if plan.slides != 1 else ''}"
        learned += f" ({plan.corrected:,} corrected, {plan.confirmed:,} confirmed)"
        if outcome.folder is None:
            self.status.setText(f"Refused by the gate; nothing was written. Learned from {learned}.")
            return
        chosen = prefer_model(outcome.folder)
        then = "Chosen for the next analysis." if chosen else "Choose its folder in the Analyze dock."
        new = f"{outcome.folder.name}: from {plan.bundle.name} and {learned}, {duration(outcome.seconds)}"
        self.status.setText(f"{new}. {then}")
        self.status.setToolTip(str(outcome.folder))
        self.choices.suggest()
        say(f"Retrained: {outcome.folder.name}. {then}")

    def _on_failed(self, error: Exception) -> None:
        if not isinstance(error, LeukoscopeError):
            self.status.setText("Retraining failed; see the notification.")
            raise error  # a fault of ours: napari shows where
        self.status.setText(str(error))
        show_error_line(error)

    def _on_ended(self) -> None:
        self.job, self._ready = None, ()
        self._idle()

    def _idle(self) -> None:
        running = self.job is not None
        self.retrain.setEnabled(not running)
        self.cancel.setEnabled(running)
        self.progress.setVisible(running)
        for widget in (self.choices, self.cases, self.gate.overruling):
            widget.setEnabled(not running)
