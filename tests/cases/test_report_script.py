"""Names of people from anywhere, in the PDF report."""

from __future__ import annotations

import pytest
from pypdf import PdfReader

from leukoscope.cases._report_parts import Heading, Line, Report, Row, Table
from leukoscope.cases._report_pdf import write_pdf
from leukoscope.cases._report_script import CHINESE, JAPANESE, KOREAN, markup, runs


@pytest.mark.parametrize(
    ("name", "fonts"),
    [
        ("Łukasz Żółć µ–≥ Ж Ελένη", [""]),
        ("王小明", [CHINESE]),
        ("陳美玲 (reviewer)", [CHINESE, ""]),
        ("山田 はなこ", [JAPANESE, "", JAPANESE]),
        ("김민준", [KOREAN]),
        ("Dr. 김 & 王", ["", KOREAN, "", CHINESE]),
    ],
)
def test_each_script_has_its_font_and_is_in_the_pdf(tmp_path, name, fonts):
    assert [font for font, _ in runs(name)] == fonts
    parts = (
        Heading(name),
        Line(f"Signed by {name}", "verdict"),
        Table((Row((name, "12", "x")),), ("Class", name, "Note"), prose=2),
        Line(name),
    )
    file = write_pdf(Report(name, parts, f"case of {name}"), tmp_path / "r.pdf")
    assert file.stat().st_size < 60_000  # nothing of an Asian font is in it
    said = "".join(PdfReader(file).pages[0].extract_text().split())
    assert said.count("".join(name.split())) == 7  # the title, five in the parts, the foot


def test_right_to_left_words_stand_in_the_order_they_are_read():
    (run,) = runs("Dr. שרה כהן 12")
    assert run == ("", "Dr. ןהכ הרש 12")  # drawn from left to right
    (run,) = runs("סו")
    assert run == ("", "וס")


def test_arabic_letters_join_their_neighbors():
    (run,) = runs("محمد")
    assert run == (
        "",
        "\N{ARABIC LETTER DAL FINAL FORM}\N{ARABIC LETTER MEEM MEDIAL FORM}"
        "\N{ARABIC LETTER HAH MEDIAL FORM}\N{ARABIC LETTER MEEM INITIAL FORM}",
    )
    (run,) = runs("دار")  # neither joins what follows
    assert run == ("", "راد")


def test_markup_is_escaped():
    assert markup("<b>王&") == f'&lt;b&gt;<font name="{CHINESE}">王</font>&amp;'
