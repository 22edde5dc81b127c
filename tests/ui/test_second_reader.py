"""The tabs Readers, Sign, History and Series of the Review dock, and the import from QuPath."""

from __future__ import annotations

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QDate, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMessageBox

from leukoscope import open_case
from leukoscope.cases import CellRow
from leukoscope.errors import CaseError
from leukoscope.hematology import agreement, change, load_profile
from leukoscope.ui import session_of
from leukoscope.ui.commands import import_geojson, show_counts, show_gallery, show_review
from leukoscope.ui.review_dock.hindrances import hindrances
from leukoscope.ui.review_dock.in_gallery import spans


@pytest.fixture
def session(viewer: Any, case_dir: Path) -> Any:
    session = session_of(viewer)
    session.open(case_dir)
    return session


@pytest.fixture
def dock(viewer: Any, session: Any) -> Any:
    """The dock, in a window of its own: those of the tests' viewers stay hidden."""
    dock = show_review(viewer)
    window = dock.parent()
    window.setFloating(True)
    window.resize(520, 860)
    window.show()
    QApplication.processEvents()
    return dock


@pytest.fixture
def readers(dock: Any) -> Any:
    dock.show_tab(dock.readers)
    return dock.readers


def begin(readers: Any, name: str = "al") -> None:
    readers.name.setText(name)
    readers.begin.click()


# -- readers ------------------------------------------------------------------------------------------------------


def test_a_reading_begins_goes_from_cell_to_cell_and_ends(dock: Any, readers: Any, session: Any) -> None:
    whole = session.case
    whole.draw_sample(5, 3)
    begin(readers)
    assert "al is reading" in readers.state.text()
    assert [dock.tabs.isTabEnabled(i) for i, tab in enumerate(dock.all) if tab is not readers] == [False] * 5
    cells = whole.sample.cells
    assert readers.stepper.current == cells[0]
    QTest.keyClick(readers.stepper, "R")
    QTest.keyClick(readers.stepper, Qt.Key.Key_Return)
    assert readers.stepper.current == cells[2]
    assert "2 of 5" in readers.progress.text()
    readers.end.click()
    assert session.case is whole
    assert whole.read_by("al")[cells[0]] == "erythroblast"
    assert all(dock.tabs.isTabEnabled(i) for i in range(len(dock.all)))
    assert not readers.stepper.isVisible()


def test_a_reader_from_whom_the_model_is_hidden_cannot_confirm_it(readers: Any, session: Any, notes: list[str]) -> None:
    readers.hide_model.setChecked(True)
    begin(readers)
    assert "Unidentified" in readers.stepper.what.text()
    QTest.keyClick(readers.stepper, Qt.Key.Key_Return)
    assert "not been read" in notes[-1]
    assert readers.stepper.current == 1


def test_a_nameless_reader_is_refused(readers: Any, session: Any, notes: list[str]) -> None:
    begin(readers, " ")
    assert "needs a name" in notes[-1]
    assert session.reading is None


@pytest.fixture
def read_twice(readers: Any, session: Any) -> tuple[str, str]:
    """Eight cells read by two, two of them not alike."""
    case = session.case
    case.confirm(range(1, 9), "mk")
    reader = case.second_reader("al")
    reader.confirm(range(1, 9))
    reader.relabel([2, 7], "monocyte")
    readers.compute()
    return "mk", "al"


def test_agreement_is_that_of_the_library(readers: Any, session: Any, read_twice: tuple[str, str]) -> None:
    view = readers.agreement
    view.first.setCurrentText("mk")
    view.second.setCurrentText("al")
    found = session.case.compare("mk", "al")
    expected = agreement(found.labels_a, found.labels_b)
    assert f"κ {expected.kappa.value:.2f} ({expected.kappa.low:.2f}–{expected.kappa.high:.2f})" in view.summary.text()
    assert "6 of 8" in view.summary.text()
    assert "differ on 2, 2 not decided" in view.differ.text()
    names = [session.case.taxonomy.name(one) for one in expected.labels]
    assert [row[0] for row in view.classes.rows] == names
    assert [row[0].split("  ")[1] for row in view.confusion.rows] == names
    figures = [[0 if text == "·" else int(text) for text in row[1:]] for row in view.confusion.rows]
    assert figures == expected.table.tolist()


def test_differences_are_decided_one_by_one(readers: Any, session: Any, read_twice: tuple[str, str]) -> None:
    view = readers.agreement
    kappa = view.summary.text()
    view.decide.click()
    assert view.stepper.current == 2
    assert "Monocyte" in view.said.text()
    QTest.keyClick(view.stepper, "C")
    assert view.stepper.current == 7
    QTest.keyClick(view.stepper, Qt.Key.Key_Return)
    found = session.case.compare("mk", "al")
    assert found.undecided == ()
    assert found.adjudicated[2] == "plasma_cell"
    assert session.case.labels([2]) == {2: "plasma_cell"}
    assert view.summary.text() == kappa, "deciding is nobody's reading"
    assert "0 not decided" in view.differ.text()


def test_the_gallery_shows_the_disagreements_only(
    viewer: Any, readers: Any, read_twice: tuple[str, str], qtbot: Any
) -> None:
    readers.agreement.gallery.click()
    gallery = show_gallery(viewer)
    qtbot.waitUntil(lambda: gallery.model.rowCount() == 2)
    assert sorted(gallery.model.cell(i) for i in range(2)) == [2, 7]


def test_labels_given_to_them_in_the_gallery_decide(
    viewer: Any, session: Any, readers: Any, read_twice: tuple[str, str], qtbot: Any, notes: list[str]
) -> None:
    view = readers.agreement
    kappa, before = view.summary.text(), session.case.compare("mk", "al").pairs
    view.gallery.click()
    assert "decides between al and mk" in notes[-1]
    gallery = show_gallery(viewer)
    qtbot.waitUntil(lambda: gallery.model.rowCount() == 2)
    gallery.relabel("plasma_cell", [2])
    session.confirm([7])
    found = session.case.compare("mk", "al")
    assert found.pairs == before, "deciding is nobody's reading"
    assert found.undecided == ()
    assert found.adjudicated[2] == "plasma_cell"
    assert view.summary.text() == kappa
    session.relabel([3], "eosinophil")  # they did not differ there
    assert session.case.events[-1].detail.get("adjudicates") is None
    gallery.controls.clear_filters()
    session.relabel([2], "eosinophil")
    assert session.case.events[-1].detail.get("adjudicates") is None


def test_ids_are_written_as_the_gallery_reads_them() -> None:
    from leukoscope.ui.gallery.cells import parse_ids

    assert spans([5, 3, 17, 4, 18, 30]) == "3-5, 17-18, 30"
    assert parse_ids(spans([5, 3, 17, 4])) == [(3, 5), (17, 17)]
    assert spans([]) == ""


# -- sign ---------------------------------------------------------------------------------------------------------


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


# -- import -------------------------------------------------------------------------------------------------------


def imported(viewer: Any, file: Path, monkeypatch: Any, qtbot: Any, notes: list[str]) -> None:
    told = len(notes)
    monkeypatch.setattr("leukoscope.ui.importing.QFileDialog.getOpenFileName", lambda *_, **__: (str(file), "GeoJSON"))
    import_geojson(viewer)
    qtbot.waitUntil(lambda: len(notes) > told, timeout=60_000)


def test_corrections_come_back_from_qupath(
    viewer: Any, session: Any, tmp_path: Path, monkeypatch: Any, qtbot: Any, notes: list[str]
) -> None:
    file = session.case.export(csv=False, geojson=True, folder=tmp_path)["cells.geojson"]
    content = json.loads(file.read_text())
    objects = content["features"] if isinstance(content, dict) else content
    objects[3]["properties"]["classification"] = {"name": "Monocyte"}
    file.write_text(json.dumps(content))
    imported(viewer, file, monkeypatch, qtbot, notes)
    assert "1 cells relabeled" in notes[-1]
    (changed,) = session.case.events[-1].cells
    assert session.cells.features["label"][changed - 1] == "monocyte"
    assert session.cells.features["source"][changed - 1] == "reviewer"


def test_cells_drawn_in_qupath_are_added_if_wanted(
    viewer: Any, session: Any, tmp_path: Path, monkeypatch: Any, qtbot: Any, notes: list[str]
) -> None:
    def square(x: float, y: float, side: float) -> list[list[list[float]]]:
        return [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]]

    def classified(case: Any, slide: Any, outlines: Any, device: str) -> list[CellRow]:
        case.check_slide(slide)
        chances = {label: float(label == "blast") for label in case.settings.classes}
        return [CellRow(o, None, o.centroid.x, o.centroid.y, 10.0, None, 1.0, chances, "blast") for o in outlines]

    asked: list[str] = []
    monkeypatch.setattr("leukoscope.ui.importing.reclassify", classified)
    answer = QMessageBox.StandardButton.No
    monkeypatch.setattr(
        "leukoscope.ui.importing.QMessageBox.question", lambda *texts: asked.append(texts[-1]) or answer
    )
    case = session.case
    file = case.export(csv=False, geojson=True, folder=tmp_path)["cells.geojson"]
    content = json.loads(file.read_text())
    objects = content["features"] if isinstance(content, dict) else content
    boxes = [outline.buffer(30).bounds for outline, _ in case.outlines().values()]
    x, y = next(
        (x, y)
        for x in range(0, 800, 20)
        for y in range(0, 800, 20)
        if not any(a < x + 40 and x < c and b < y + 40 and y < d for a, b, c, d in boxes)
    )
    on_a_cell = case.outlines([1])[1][0].centroid
    for shape in (square(x, y, 40), square(0, 0, 850), square(on_a_cell.x - 10, on_a_cell.y - 10, 20)):
        new = {"type": "Feature", "id": str(uuid.uuid4()), "geometry": {"type": "Polygon", "coordinates": shape}}
        objects.append({**new, "properties": {"objectType": "annotation", "classification": {"name": "Monocyte"}}})
    file.write_text(json.dumps(content))

    imported(viewer, file, monkeypatch, qtbot, notes)
    qtbot.waitUntil(lambda: bool(asked))
    assert asked[-1].startswith("1 cells were drawn")  # not the region, nor what lies on a cell
    assert case.events == ()

    answer = QMessageBox.StandardButton.Yes
    imported(viewer, file, monkeypatch, qtbot, notes)
    qtbot.waitUntil(lambda: notes[-1] == "Cells added: 1.", timeout=60_000)
    assert [event.kind for event in case.events] == ["outline", "relabel"]
    new_one = case.last_id
    assert case.labels([new_one]) == {new_one: "monocyte"}
    assert session.cells.features["label"][new_one - 1] == "monocyte"
    assert session.cells.features["source"][new_one - 1] == "reviewer"
    asked.clear()
    imported(viewer, file, monkeypatch, qtbot, notes)
    assert asked == []  # it is a cell of this case now
    session.undo()
    session.undo()
    assert new_one not in case.ids


def test_a_file_that_is_no_geojson_is_refused_in_one_line(
    viewer: Any, session: Any, tmp_path: Path, monkeypatch: Any, qtbot: Any, notes: list[str]
) -> None:
    (tmp_path / "bad.geojson").write_text("no")
    imported(viewer, tmp_path / "bad.geojson", monkeypatch, qtbot, notes)
    assert "bad.geojson" in notes[-1]
    assert "\n" not in notes[-1]
    assert session.case.events == ()


# -- history ------------------------------------------------------------------------------------------------------


@pytest.fixture
def history(dock: Any) -> Any:
    dock.show_tab(dock.history)
    dock.history.compute()
    return dock.history


def texts(history: Any, row: int) -> list[str]:
    return [history.model.data(history.model.index(row, column)) for column in range(history.model.columnCount())]


def test_events_stand_there_newest_first(history: Any, session: Any, qtbot: Any) -> None:
    was = session.case.labels([3])[3]
    session.relabel([3], "smudge")
    session.relabel([4, 5], "blast")
    qtbot.waitUntil(lambda: history.model.rowCount() == 2)
    assert texts(history, 0)[2:4] == ["relabel", "2"]
    name = session.case.taxonomy.name
    assert texts(history, 1)[2:] == ["relabel", "1", f"{name(was)} → {name('smudge')}"]
    session.confirm([3])
    qtbot.waitUntil(lambda: history.model.rowCount() == 3)
    assert texts(history, 0)[4] == f"✓ {name('smudge')}"
    session.undo()
    session.undo()
    qtbot.waitUntil(lambda: history.model.rowCount() == 5)
    assert texts(history, 0)[2:4] == ["undo", "2"]
    struck = [history.model.data(history.model.index(row, 0), Qt.ItemDataRole.FontRole) for row in range(5)]
    assert [font is not None and font.strikeOut() for font in struck] == [False, False, True, True, False]


def test_a_click_selects_the_cells_of_an_event(history: Any, session: Any) -> None:
    session.relabel([3], "smudge")
    session.relabel([4, 5], "blast")
    session.undo()
    history.compute()
    for row, rows in ((0, {3, 4}), (1, {3, 4}), (2, {2})):
        history.table.clicked.emit(history.model.index(row, 0))
        assert set(session.cells.selected_data) == rows


def test_rows_in_sight_stay_when_the_log_grows(history: Any, session: Any, qtbot: Any) -> None:
    session.relabel([3], "smudge")
    history.compute()
    with qtbot.assertNotEmitted(history.model.modelReset), qtbot.waitSignal(history.model.rowsInserted):
        session.relabel([4], "smudge")


# -- series -------------------------------------------------------------------------------------------------------


def test_a_series_says_what_has_changed(dock: Any, session: Any, case_dir: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(case_dir, tmp_path / "later.leuko"))
    with open_case(other) as case:
        case.relabel([int(i) for i in case.cells["cell_id"]], "lymphocyte")
        later = case.differential()
    now = session.case.differential()
    dock.show_tab(dock.series)
    series = dock.series
    series._add_here()
    series.add(other)
    assert all(row[0].endswith("(file)") for row in series.model.rows)
    series.model.setData(series.model.index(0, 0), QDate(2024, 5, 1))
    row = next(i for i, count in enumerate(series._rows) if count.path != other)
    series.set_day(row, series._rows[row].day.replace(year=2023, month=2, day=3))
    expected = change((now.blasts, now.denominator), (later.blasts, later.denominator))
    assert [count.path.name for count in series._rows] == [case_dir.name, "later.leuko"]
    assert series.model.rows[0][0] == "2023-02-03"
    assert series.model.rows[1][0].endswith("(file)")
    series.set_day(1, series._rows[1].day.replace(year=2024, month=5, day=1))
    assert [row[0] for row in series.model.rows] == ["2023-02-03", "2024-05-01"]
    assert str(session.case.taken) == "2023-02-03"  # kept in the case, not in the dock
    with open_case(other, readonly=True) as case:
        assert str(case.taken) == "2024-05-01"
    assert series.model.rows[0][2] == "–"
    said = f"{expected.points:+.1f} ({expected.low:+.1f}…{expected.high:+.1f})".replace("-", "−")
    assert series.model.rows[1][3].startswith(said)
    low, high = series.plot.place(0, 0.0), series.plot.place(0, series.plot.top)
    assert low.y() > high.y()
    assert not series.plot.grab().isNull()
    series.table.setCurrentIndex(series.model.index(1, 0))
    series.remove.click()
    assert len(series.model.rows) == 1


def test_what_is_no_case_is_refused(dock: Any, tmp_path: Path, notes: list[str]) -> None:
    dock.series.add(tmp_path)
    assert str(tmp_path) in notes[-1]
    assert dock.series.paths == []
