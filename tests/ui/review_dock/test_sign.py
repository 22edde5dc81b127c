"""What hinders a signature, what it keeps, and how a signed case is amended."""

from __future__ import annotations

from typing import Any

import pytest

from leukoscope.errors import CaseError
from leukoscope.hematology import load_profile
from leukoscope.ui.commands import show_counts
from leukoscope.ui.review_dock.hindrances import hindrances


@pytest.fixture
def sign(dock: Any) -> Any:
    dock.show_tab(dock.sign)
    dock.sign.compute()
    return dock.sign


def signed(sign: Any, qtbot: Any, who: str = "Dr. K") -> None:
    sign.reviewer.setText(who)
    sign.compute()
    sign.sign.click()
    qtbot.waitUntil(lambda: not sign._busy, timeout=60_000)


@pytest.mark.parametrize("review", ["none", "sample", "blasts", "all"])
def test_what_hinders_is_what_the_case_refuses(sign: Any, session: Any, review: str) -> None:
    case, profile = session.case, load_profile("blood")
    case.relabel([1], "unidentified")
    sign.review.setCurrentIndex(sign.review.findData(review))
    sign.compute()
    assert "1 cell is unidentified" in sign.hinders.text()
    assert not sign.sign.isEnabled()
    case.relabel([1], "blast")
    if review == "sample":
        assert "No sample" in hindrances(case, profile, review)[0].said
        case.draw_sample(4, 0)
    left = {cell for one in hindrances(case, profile, review) for cell in one.cells}
    assert bool(left) == (review != "none")
    if left:
        with pytest.raises(CaseError, match=f"{len(left)} cells? (is|are) not reviewed"):
            case.sign("Dr. K", profile, review)
        case.confirm(left)
    assert hindrances(case, profile, review) == []


def test_signing_keeps_the_report_and_shows(
    viewer: Any, dock: Any, sign: Any, session: Any, qtbot: Any, notes: list[str]
) -> None:
    counts = show_counts(viewer)
    signed(sign, qtbot)
    signature = session.case.signed
    assert signature.reviewer == "Dr. K"
    assert "Signed by Dr. K" in sign.state.text()
    assert "✓" in dock.tabs.tabText(dock.tabs.indexOf(sign))
    assert "signed by Dr. K" in counts.case_name.text()
    assert any(str(signature.folder) in note for note in notes)
    assert sign.model.rows[0][3] == "as signed"
    before = list(session.cells.features["label"])
    with pytest.raises(CaseError, match=r"signed by Dr\. K"):
        session.relabel([1], "smudge")
    assert list(session.cells.features["label"]) == before


def test_changed_files_are_found(sign: Any, session: Any, qtbot: Any) -> None:
    signed(sign, qtbot)
    file = session.case.signed.folder / "counts.csv"
    file.chmod(0o644)
    file.write_text("label,counted\n")
    sign.verify.click()
    assert "not as it was signed" in sign.model.rows[0][3]


def test_an_amendment_needs_a_reason_and_opens_the_case(sign: Any, session: Any, qtbot: Any) -> None:
    signed(sign, qtbot)
    assert not sign.amend.isEnabled()
    sign.reason.setText("two promonocytes")
    sign.amend.click()
    sign.compute()
    assert session.case.signed is None
    assert "Amendment 1 is open" in sign.state.text()
    assert "two promonocytes" in sign.state.text()
    session.relabel([1], "monocyte")
    signed(sign, qtbot, "Dr. L")
    assert [row[0] for row in sign.model.rows] == ["1", "2"]
