"""A random sample of the cells, reviewed one by one, and what it makes of the model's count."""

from __future__ import annotations

from math import isnan

from qtpy.QtWidgets import QFormLayout, QLabel, QProgressBar, QSpinBox, QWidget

from leukoscope.cases import Case, Sample
from leukoscope.classification.taxonomy import BLAST, TAXONOMY
from leukoscope.errors import LeukoscopeError
from leukoscope.hematology import Prevalence, Profile, cells_to_review, profile_from_dict
from leukoscope.hematology.differential import finding_against

from .._state import Session
from ..interval_bar import IntervalBar
from ..notify import reporting_errors, show_error_line
from ..settings import user_settings
from .stepper import CorrectingStepper
from .tab import Tab, button, label, line

__all__ = ["SampleTab"]

USUAL = 100


class SampleTab(Tab):
    """Draws a sample, goes through it, and shows the corrected percentage beside the model's."""

    title = "Sample"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.number = QSpinBox()
        self.number.setRange(1, 1_000_000)
        self.number.setValue(USUAL)
        self.number.setToolTip("A larger number with the same seed begins with the same cells")
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("Any number: the sample follows from it. It is kept with the case")
        self.draw_button = button("Draw", self.draw, "Draw cells at random; kept with the case, like every event")
        self.about = label()
        self.progress = QProgressBar()
        self.progress.setFormat("%v of %m reviewed")
        self.stepper = CorrectingStepper(session)
        self.verdict = label(bold=True)
        self.more = label()
        color = TAXONOMY.color(BLAST)
        self.bars = {name: IntervalBar(color) for name in ("model", "slide", "patient")}
        self.texts = {name: label() for name in self.bars}
        self._prevalence: Prevalence | None = None
        self._build()

    def _build(self) -> None:
        self.page.addWidget(line(QLabel("Cells"), self.number, QLabel("Seed"), self.seed, self.draw_button))
        for widget in (self.about, self.progress, self.stepper, self.verdict):
            self.page.addWidget(widget)
        self.results = QWidget()
        form = QFormLayout(self.results)
        form.setContentsMargins(0, 0, 0, 0)
        tips = {
            "model": ("Model's count", "Exact interval: knows of no error of the model"),
            "slide": ("Corrected, this slide", "What is open until every cell has been reviewed"),
            "patient": ("Corrected, the patient", "What counting no more cells than these leaves open, too"),
        }
        for name, (title, tip) in tips.items():
            heading = QLabel(title)
            heading.setToolTip(tip)
            self.bars[name].setToolTip(tip)
            form.addRow(heading, self.texts[name])
            form.addRow(self.bars[name])
        self.page.addWidget(self.results)
        self.page.addWidget(self.more)
        self.page.addStretch(1)

    # -- what is done ---------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw as many cells as asked for, and go to the first that is not reviewed."""
        case = self.session.case
        if case is not None:
            with reporting_errors():
                case.draw_sample(self.number.value(), self.seed.value(), reviewer=user_settings().reviewer)
                self.stepper.next()

    # -- what is shown --------------------------------------------------------------------------------------------

    def on_case(self) -> None:
        """Take the number and the seed of the sample that the case has."""
        self.stepper.current = None
        sample = self._sample()
        self.number.setValue(USUAL if sample is None else len(sample.cells))
        self.seed.setValue(0 if sample is None else sample.seed)

    def on_relabeled(self, ids: list[int]) -> None:
        """Go on when the cell at hand was done, by whatever way."""
        sample = self._sample()
        if sample is not None and self.isVisible():
            self.stepper.show_cells(sample.cells, sample.labels)
            self.stepper.advance(ids)

    def refresh(self) -> None:
        """Show how far the review has come, and what follows."""
        case, sample = self.session.case, self._sample()
        readonly = case is None or case.readonly
        self.draw_button.setEnabled(not readonly)
        self.about.setText(_about(case, sample))
        self.progress.setVisible(sample is not None)
        self.results.setVisible(sample is not None)
        self.stepper.setVisible(sample is not None)
        self.stepper.show_cells(*((sample.cells, sample.labels) if sample else ((), ())))
        if case is None or sample is None:
            self.verdict.clear()
            self.more.clear()
            return
        self.progress.setRange(0, len(sample.cells))
        self.progress.setValue(len(sample.reviewed))
        try:
            self._show(case, profile_from_dict(sample.event.detail["profile"]), sample)
        except LeukoscopeError as error:
            show_error_line(error)

    def _sample(self) -> Sample | None:
        case = self.session.case
        return None if case is None or self.session.reading is not None else case.sample

    def _show(self, case: Case, profile: Profile, sample: Sample) -> None:
        found = case.prevalence
        if found is None:
            return
        marks = [threshold.percent for threshold in profile.thresholds]
        # what the model alone said: corrections are what the sample is compared with
        alone = case.count(sample.population, profile)
        values = {
            "model": (alone.blast_percent, *alone.blast_interval()),
            "slide": (found.percent, *found.interval()),
            "patient": (found.percent, *found.patient_interval()),
        }
        if not found.reviewed:
            values |= dict.fromkeys(("slide", "patient"), (None, 0.0, 0.0))
        reach = max(high for _, _, high in values.values())
        for name, (percent, low, high) in values.items():
            known = percent is not None and not isnan(percent)
            self.bars[name].set_values(percent if known else None, low, high, marks, reach)
            self.texts[name].setText(f"{percent:.1f} % ({low:.1f}–{high:.1f})" if known else "–")
        self.verdict.setText(_verdict(found, profile, marks))
        self.more.setText(_more(found, marks, len(sample.cells), sample))


def _about(case: Case | None, sample: Sample | None) -> str:
    if case is None:
        return "No case is open: analyze a slide, or open a *.leuko folder."
    if sample is None:
        return (
            "No sample yet. Cells are drawn at random from those that the model counts or could not name; what you "
            "say of them corrects the model's count of all."
        )
    total = sum(sample.population.values())
    when = f"{sample.event.at[:10]} by {sample.event.reviewer}"
    return f"{len(sample.cells):,} of {total:,} cells, profile {sample.profile}, seed {sample.seed}; drawn {when}."


def _verdict(found: Prevalence, profile: Profile, marks: list[float]) -> str:
    if not found.reviewed:
        return "Nothing reviewed yet."
    low, high = found.patient_interval()
    said = f"Blasts {found.percent:.1f} %, in the patient {low:.1f}–{high:.1f} %"
    if found.total < profile.min_cells:
        return f"{said}: too few cells, {found.total:.0f} of the {profile.min_cells} that {profile.name} asks for"
    if marks:
        crossed = " and ".join(f"{mark:g} %" for mark in marks if low < mark <= high)
        said += f": {finding_against(low, high, marks).value}" + (
            f", the interval crosses {crossed}" if crossed else ""
        )
    return said


def _more(found: Prevalence, marks: list[float], drawn: int, sample: Sample) -> str:
    says = []
    if found.reviewed:
        errors = found.false_blasts + found.missed_blasts
        says.append(
            f"Of {found.reviewed} reviewed in order, {errors} called wrongly: {found.false_blasts} no blasts, "
            f"{found.missed_blasts} blasts missed."
        )
        more = cells_to_review(found, marks)
        if more:
            larger = f" Draw {found.reviewed + more:,} to have as many." if found.reviewed + more > drawn else ""
            says.append(f"Review about {more:,} more to bring this slide's interval clear of the thresholds.{larger}")
        elif more is None:
            says.append("No review decides it: the estimate is at a threshold.")
    if skipped := len(sample.reviewed) - len(sample.in_order):
        says.append(f"{skipped} reviewed out of order do not count until the gap before them is closed.")
    return " ".join(says)
