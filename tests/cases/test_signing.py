"""A random sample for review, signatures that hold, and amendments after them."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pypdf import PdfReader

from leukoscope.cases import Case, CellRow, open_case
from leukoscope.classification.taxonomy import CellClass
from leukoscope.errors import CaseError, SettingsError
from leukoscope.hematology import Profile, Threshold, corrected_prevalence, load_profile, save_profiles


@pytest.fixture
def many(tmp_path, slide, settings, make_cell):
    """A completed case of 40 cells: 20 blasts, 10 lymphocytes, 6 unidentified, 4 smudges."""
    labels = ["blast"] * 20 + ["lymphocyte"] * 10 + ["unidentified"] * 6 + ["smudge"] * 4
    with Case.create(tmp_path / "many.leuko", slide, settings) as case:
        run = case.begin_run(settings, 1)
        cells = [replace(make_cell(20 * i, 100, radius=5), label=label) for i, label in enumerate(labels)]
        case.add_block(run, 0, cells)
        case.finish_run(run, "completed")
        yield case


def page(signature):
    return (signature.folder / "report.html").read_text(encoding="utf-8")


def test_a_sample_is_of_the_cells_that_count_and_of_those_without_a_name(many):
    many.relabel([1, 2], "smudge", "mk")  # what reviewers say plays no part in the draw
    sample = many.draw_sample(36, seed=3, reviewer="mk")
    assert sorted(sample.cells) == list(range(1, 37))
    assert sample.population == {"blast": 20, "lymphocyte": 10, "unidentified": 6}
    assert sample.model[1] == "blast"
    assert (sample.labels, sample.reviewed) == ({1: "smudge", 2: "smudge"}, tuple(c for c in sample.cells if c < 3))
    assert (sample.event.kind, sample.event.reviewer, sample.profile, sample.seed) == ("sample", "mk", "blood", 3)
    assert many.draw_sample(36, seed=4).cells != sample.cells
    assert many.labels([1]) == {1: "smudge"}


def test_a_larger_sample_begins_with_the_smaller(many):
    small, large = many.draw_sample(5, seed=9), many.draw_sample(20, seed=9)
    assert large.cells[:5] == small.cells
    with pytest.raises(CaseError, match="37 cells cannot be drawn of 36"):
        many.draw_sample(37, seed=0)
    for n, seed in [(0, 0), (3, -1)]:
        with pytest.raises(CaseError, match="Draw 1 to 36 cells"):
            many.draw_sample(n, seed)
    assert many.sample.cells == large.cells


def test_every_cell_is_drawn_as_often(many):
    draws = [many.draw_sample(9, seed).cells for seed in range(300)]
    often = np.bincount(np.concatenate(draws), minlength=41)
    assert often[37:].sum() == often[0] == 0
    assert abs(often[1:37] - 75).max() < 4.5 * np.sqrt(300 * 0.25 * 0.75)


def test_the_review_of_a_sample_survives_the_program(many):
    cells = many.draw_sample(4, seed=1).cells
    many.confirm(cells[0], "mk")
    many.relabel(cells[2], "monocyte", "mk")
    many.close()
    with open_case(many.path) as case:
        sample = case.sample
        assert sample.cells == cells
        assert sample.reviewed == (cells[0], cells[2])
        assert sample.remaining == (cells[1], cells[3])
        assert sample.in_order == (cells[0],)
        assert sample.labels == {cells[0]: sample.model[cells[0]], cells[2]: "monocyte"}
        case.undo()
        assert case.sample.reviewed == (cells[0],)


def test_a_reviewed_sample_corrects_the_models_count(many):
    assert many.prevalence is None
    sample = many.draw_sample(30, seed=1)
    assert (many.prevalence.cells, many.prevalence.called, many.prevalence.reviewed) == (36, 20, 0)
    called = [cell for cell in sample.cells if sample.model[cell] == "blast"]
    others = [cell for cell in sample.cells if sample.model[cell] != "blast"]
    many.confirm(sample.cells, "mk")
    many.relabel(called[0], "monocyte", "mk")
    many.relabel(called[1], "smudge", "mk")
    many.relabel(others[0], "blast", "mk")
    unnamed = [cell for cell in others[1:] if sample.model[cell] == "unidentified"]
    many.relabel(unnamed, "artefact", "mk")
    chosen = next(cell for cell in range(1, 37) if cell not in sample.cells)
    many.relabel(chosen, "monocyte", "mk")  # somebody picked it: it says nothing about the rest
    rows = np.arange(1, 37)
    model, now = many._population(load_profile("blood")), many.labels(rows.tolist())
    expected = corrected_prevalence(
        [model[cell] == "blast" for cell in rows],
        [now[cell] == "blast" for cell in rows],
        [cell in sample.cells for cell in rows],
        counted=[now[cell] not in ("smudge", "artefact", "unidentified") for cell in rows],
    )
    assert many.prevalence == expected
    many.draw_sample(36, seed=1)
    left = many.sample.cells[30:]
    assert many.sample.in_order == (sample.cells if left[0] != chosen else many.sample.cells[:31])
    assert many.sample.blasts == ("blast",)


def test_a_sample_is_of_the_analysis_that_it_was_drawn_from(many, settings, make_cell, tmp_path, slide):
    many.draw_sample(4, seed=1)
    run = many.begin_run(replace(settings, model="other"), 2)
    many.add_block(run, 0, [make_cell(1, 1)])
    assert many.sample is not None
    many.add_block(run, 1, [])
    many.finish_run(run, "completed")
    assert many.sample is None
    with Case.create(tmp_path / "a.leuko", slide, settings) as case:
        with pytest.raises(CaseError, match=r"no sample can be drawn \(empty\)"):
            case.draw_sample(1, 1)
        case.add_block(case.begin_run(settings, 2), 0, [make_cell(1, 1)])
        with pytest.raises(CaseError, match="partial: 1 of 2"):
            case.draw_sample(1, 1)


def test_a_signature_keeps_what_was_signed(case):
    case.relabel(1, "monocyte", "mk")
    signature = case.sign("Dr. <K>")
    assert signature.folder == case.path / "signed" / "1"
    assert sorted(file.name for file in signature.folder.iterdir()) == ["counts.csv", "report.html", "report.pdf"]
    for name, digest in signature.files.items():
        file = signature.folder / name
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
        assert not file.stat().st_mode & 0o222
    assert not signature.folder.stat().st_mode & 0o222
    assert signature.counts == {"blast": 1, "lymphocyte": 2, "monocyte": 1}
    assert signature.event.detail["profile"]["min_cells"] == 200
    text = page(signature)
    assert f"Signed by Dr. &lt;K&gt;, {signature.at}: report 1 of this case" in text
    assert "research use only" in text
    assert signature.verdict in text
    assert pd.read_csv(signature.folder / "counts.csv")["counted"].sum() == 4
    pages = [sheet.extract_text() for sheet in PdfReader(signature.folder / "report.pdf").pages]
    assert f"Signed by Dr. <K>, {signature.at}: report 1 of this case" in " ".join(pages[0].split())
    assert all("report 1, signed by Dr. <K>" in text for text in pages)
    assert case.verify() == signature.verify() == ()
    case.close()
    with open_case(case.path, readonly=True) as again:
        assert again.signed == signature
        assert again.verify() == ()


def test_labels_of_a_signed_case_change_only_after_an_amendment(case, settings, make_cell):
    case.relabel([1], "monocyte", "mk")
    case.relabel([2], "monocyte", "mk")
    case.undo()
    reader = case.second_reader("al")
    run = case.begin_run(replace(settings, model="late"), 1)  # under way while the case is signed
    case.sign("mk")
    before = case.events
    refused = [
        lambda: case.relabel(1, "blast", "mk"),
        lambda: case.confirm(1, "mk"),
        case.undo,
        case.redo,
        lambda: case.sign("al"),
        lambda: case.begin_run(replace(settings, model="other"), 2),
        lambda: case.begin_run(settings, 2, resume=False),
        lambda: case.add_block(run, 0, [make_cell(1, 1)]),
        lambda: case.finish_run(run, "completed"),
    ]
    for change in refused:
        with pytest.raises(CaseError, match=r"signed by mk \(report 1, .*Open an amendment with amend"):
            change()
    assert case.events == before
    case.finish_run(run, "canceled")
    assert case.begin_run(settings, 2).complete  # nothing is left to do
    reader.relabel(1, "blast")  # a second reading changes nothing that was signed
    reader.undo()
    case.draw_sample(2, 1)

    for who, why in [(" ", "x"), ("mk", "")]:
        with pytest.raises(CaseError, match=r"an amendment needs a (name|reason)\. Give one"):
            case.amend(who, why)
    case.amend("al", "cell 2 <seen> again")
    with pytest.raises(CaseError, match="an amendment is open already"):
        case.amend("al", "again")
    assert case.signed is None
    case.redo()
    assert case.labels([2]) == {2: "monocyte"}
    assert "Amendment 1 is open since report 1" in case.export(csv=False, report=True)["report.html"].read_text("utf-8")

    second = case.sign("al", "marrow")
    assert (second.number, second.amendment, second.profile) == (2, 1, "marrow")
    assert "cell 2 &lt;seen&gt; again" in page(second)
    first = case.signatures[0]
    assert first.counts["monocyte"] == 1
    assert second.counts["monocyte"] == 2
    assert case.verify() == ()
    assert [event.kind for event in case.events][-4:] == ["sample", "amend", "redo", "sign"]
    with open_case(case.path, readonly=True) as again:
        assert again.signed == second
        assert [event.detail["reason"] for event in again.amendments] == ["cell 2 <seen> again"]


def test_names_and_reasons_are_one_line_whatever_was_typed(case):
    assert case.sign("Ada\ud800\n\x00 Lovelace " + "x" * 5000).reviewer == ("Ada Lovelace " + "x" * 200)[:200]
    opened = case.amend("\u202eAda", "one\nmore\ud800 look")
    assert (opened.reviewer, opened.detail["reason"]) == ("Ada", "one more look")
    with pytest.raises(CaseError, match="needs a name"):
        case.second_reader("\ud800\n")
    assert case.second_reader("Bo\nDe").name == "Bo De"


def test_what_is_missing_before_a_signature(many):
    with pytest.raises(CaseError, match=r"6 cells are unidentified\. Label each"):
        many.sign("mk")
    many.relabel(range(31, 36), "artefact", "mk")
    with pytest.raises(CaseError, match=r"1 cell is unidentified"):
        many.sign("mk")
    many.relabel(36, "lymphocyte", "mk")
    with pytest.raises(CaseError, match=r"no sample has been drawn"):
        many.sign("mk", review="sample")
    sample = many.draw_sample(30, 2)
    left = len(sample.remaining)
    with pytest.raises(CaseError, match=rf"{left} cells are not reviewed\. Review all 30 that are of the sample"):
        many.sign("mk", review="sample")
    with pytest.raises(CaseError, match=r"20 cells are not reviewed\. Review all 20 that are labeled as blasts"):
        many.sign("mk", review="blasts")
    with pytest.raises(CaseError, match=r"30 cells are not reviewed\. Review all 31 that are counted"):
        many.sign("mk", review="all")
    strict = replace(load_profile("blood"), review="all")
    with pytest.raises(CaseError, match=r"30 cells are not reviewed"):
        many.sign("mk", strict)
    with pytest.raises(CaseError, match=r"'most' is no kind of review"):
        many.sign("mk", review="most")
    with pytest.raises(CaseError, match=r"a signature needs a name"):
        many.sign("")
    assert many.signatures == ()
    assert not (many.path / "signed").exists()
    many.confirm(range(1, 31), "mk")
    assert many.sign("mk", strict).review == "all"
    many.amend("mk", "less")
    assert many.sign("mk", review="blasts").number == 2
    many.amend("mk", "sample")
    many.confirm(many.sample.remaining or [1], "mk")
    assert "every cell of the random sample reviewed" in page(many.sign("mk", review="sample"))


def test_a_part_of_an_analysis_is_not_signed(tmp_path, slide, settings, make_cell):
    with Case.create(tmp_path / "a.leuko", slide, settings) as case:
        with pytest.raises(CaseError, match=r"not complete \(empty\)"):
            case.sign("mk")
        case.add_block(case.begin_run(settings, 2), 0, [make_cell(1, 1)])
        with pytest.raises(CaseError, match="partial: 1 of 2"):
            case.sign("mk")


def test_whatever_happens_to_a_signed_file_is_seen(case):
    signature = case.sign("mk")
    for folder in (signature.folder, case.path / "signed"):
        with pytest.raises(CaseError, match="never written over"):
            case.export(folder=folder)
    assert case.verify() == ()
    signature.folder.chmod(0o755)
    report = signature.folder / "report.html"
    report.chmod(0o644)
    report.write_text("blasts 0 %")
    (signature.folder / "counts.csv").unlink()
    (signature.folder / "report.pdf").chmod(0o644)
    (signature.folder / "report.pdf").write_bytes(b"%PDF")
    assert case.verify() == (
        "signed/1/report.html is not as it was signed",
        "signed/1/report.pdf is not as it was signed",
        "signed/1/counts.csv cannot be read (No such file or directory)",
    )
    (case.path / "signed" / "7").mkdir()
    assert case.verify()[-1] == "signed/7 is of no signature"
    case.amend("mk", "repair")
    assert case.sign("mk").number == 8  # no number is used twice


def test_a_signature_that_fails_leaves_nothing(case, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    for place in ("os.fsync", "pathlib.Path.rename"):
        with monkeypatch.context() as patch:
            patch.setattr(place, full)
            with pytest.raises(CaseError, match="the disk is full"):
                case.sign("mk")
    case._store.db.execute("PRAGMA query_only = ON")
    with pytest.raises(CaseError):
        case.sign("mk")
    case._store.db.execute("PRAGMA query_only = OFF")
    assert (case.events, case.verify(), case.signed) == ((), (), None)
    assert list((case.path / "signed").iterdir()) == []
    assert case.sign("mk").number == 1
    with open_case(case.path, readonly=True) as other, pytest.raises(CaseError, match="reading only"):
        other.sign("mk")


def test_a_report_that_is_not_signed_says_so(case):
    def report():
        return case.export(csv=False, report=True)["report.html"].read_text("utf-8")

    assert "<b>Not signed.</b>" in report()
    case.sign("mk")
    assert "A copy, not signed. The case was signed by mk" in report()
    assert "signed/1/report.html" in report()


@pytest.fixture
def own(tmp_path):
    """A profile of the laboratory's own, in a file: roll-ups and a class of its own are blasts."""
    threshold = (Threshold(20, "ours"),)
    blasts = ("blast", "immature_granulocyte", "promonocyte")
    save_profiles([Profile("day 28", "nucleated", 5, threshold, blasts, review="blasts")], tmp_path / "mine.json")
    return f"{tmp_path}/mine.json:day 28"


def test_a_profile_of_a_file_is_kept_with_the_case(tmp_path, slide, settings, make_cell, own):
    settings = replace(settings, profile=own)
    with Case.create(tmp_path / "own.leuko", slide, settings) as case:
        run = case.begin_run(settings, 1)
        case.add_block(run, 0, [make_cell(50 * i, 100) for i in range(1, 11)])
        case.finish_run(run, "completed")
    (tmp_path / "mine.json").unlink()
    with open_case(tmp_path / "own.leuko") as case:
        assert case.differential().profile.name == case.profile().name == "day 28"
        assert case.differential(own).profile == case.profile(own) == case.profile()
        assert case.count(["blast"]).profile.min_cells == 5
        assert (case.export(report=True)["counts.csv"].read_text().splitlines()[1]).endswith(",10,day 28")
        assert case.draw_sample(3, 1).profile == "day 28"
        case.confirm(case.ids, "mk")
        assert case.sign("Dr. K").profile == "day 28"
        with pytest.raises(SettingsError, match="cannot be read"):
            case.differential(own.replace("28", "29"))


def test_roll_ups_and_own_classes_are_blasts_everywhere(many, own):
    many.add_class(CellClass("promonocyte", "Promonocyte", "#123456"))
    profile = load_profile(own)
    many.draw_sample(36, seed=3, profile=profile)
    many.confirm(range(1, 37), "mk")
    many.relabel([21, 22, 23], "myelocyte", "mk")
    many.relabel([24, 25], "promonocyte", "mk")
    many.relabel([31, 32, 33, 34, 35, 36], "lymphocyte", "mk")
    assert many.differential(profile).blasts == 25
    assert many.prevalence.percent == many.differential(profile).blast_percent
    many.relabel(37, "promyelocyte", "mk")
    many.undo()
    other = many.second_reader("al")  # nothing of what they say is a review
    other.relabel(38, "promyelocyte")
    many.edit_outlines([], [replace(many_row(many), label="myelocyte")])
    with pytest.raises(CaseError, match="Review all 26 that are labeled as blasts"):
        many.sign("Dr. K", profile=profile)


def many_row(case):
    """A cell that nobody has reviewed."""
    cell, nucleus = case.outlines(1)[1]
    return CellRow(
        cell, nucleus, 1.0, 1.0, 1.0, 1.0, 1.0, {"blast": 0.8, "lymphocyte": 0.15, "monocyte": 0.05}, "blast"
    )


def test_a_class_that_would_change_a_signed_count_waits_for_an_amendment(tmp_path, slide, settings, make_cell):
    settings = replace(settings, classes=("blast", "lymphocyte", "own"))
    row = make_cell(100, 100)
    row = replace(row, label="own", probabilities={"blast": 0.1, "lymphocyte": 0.1, "own": 0.8})
    with Case.create(tmp_path / "own.leuko", slide, settings) as case:
        run = case.begin_run(settings, 1)
        case.add_block(run, 0, [row, replace(row, label="blast")])
        case.finish_run(run, "completed")
        case.sign("Dr. K")
        case.add_class(CellClass("other", "Other", "#123456"))
        with pytest.raises(CaseError, match="the case was signed"):
            case.add_class(CellClass("own", "Own", "#123456"))
        assert case.differential().denominator == case.signed.denominator == 1
        case.amend("Dr. K", "the class is ours")
        case.add_class(CellClass("own", "Own", "#123456"))
        assert case.differential().denominator == 2


def test_a_sample_takes_whole_numbers_of_any_kind(many):
    assert many.draw_sample(np.int64(3), np.uint8(4)).cells == many.draw_sample(3, 4).cells
    for n, seed in (("a", 0), (3.5, 0), (3, 1.5)):
        with pytest.raises(CaseError, match="no whole numbers"):
            many.draw_sample(n, seed)
