"""Names in scripts that the PDF report has no letters for: named, never boxes."""

from __future__ import annotations

import pytest
from pypdf import PdfReader

from leukoscope.cases._report_parts import Heading, Line, Report, Row, Table
from leukoscope.cases._report_pdf import UNDRAWN, write_pdf
from leukoscope.cases._report_script import CHINESE, runs


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("สมชาย ใจดี", "[Thai]"),
        ("Dr. प्रिया शर्मा (२)", "Dr. [Devanagari] ([Devanagari])"),
        ("சிவா & สม", "[Tamil] & [Thai]"),
        ("Ana 🩸🩸\N{LEFT-TO-RIGHT ISOLATE}", "Ana [sign]"),
        ("\N{CJK UNIFIED IDEOGRAPH-20000}", "[Chinese]"),
        ("[a] [a]", "[a] [a]"),
    ],
)
def test_a_script_without_letters_is_named(name, drawn):
    assert "".join(text for _, text in runs(name)) == drawn


def test_what_is_drawn_beside_it_stays_as_it_is():
    assert runs("王 สม") == [(CHINESE, "王"), ("", " [Thai]")]


def test_a_report_says_what_it_does_not_draw(tmp_path):
    def said(name: str) -> str:
        parts = (Heading("Differential"), Table((Row(("Blast", name)),)), Line(f"Signed by {name}."))
        pages = PdfReader(write_pdf(Report("smear", parts, "smear"), tmp_path / "r.pdf")).pages
        return " ".join(" ".join(page.extract_text() for page in pages).split())

    assert said("สมชาย").count("[Thai]") == 2
    assert UNDRAWN in said("สมชาย")
    assert UNDRAWN not in said("Łukasz 王小明 محمد")
