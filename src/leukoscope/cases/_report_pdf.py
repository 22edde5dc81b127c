"""A report as PDF, on A4: what the HTML page says, with the mark for research use on each page."""

from __future__ import annotations

import io
from functools import singledispatch
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from ._files import whole_file
from ._report_parts import RESEARCH_USE, Examples, Heading, Line, Part, Picture, Report, Table
from ._report_script import BOLD, PLAIN, all_drawn, markup, register_fonts, runs

__all__ = ["write_pdf"]

INK, GRAY, RULE = HexColor("#222222"), HexColor("#666666"), HexColor("#dddddd")
MARGIN, BAR = 18 * mm, 8 * mm
INSET = 6.0  # by which platypus keeps text from its frame
WIDTH = A4[0] - 2 * MARGIN - 2 * INSET
TALLEST, EXAMPLE = 95 * mm, 17 * mm  # of an overview, of a cell

TEXT = ParagraphStyle("text", fontName=PLAIN, fontSize=9, leading=12.5, textColor=INK, spaceAfter=2 * mm)
NUMBER = ParagraphStyle("number", TEXT, alignment=2)
TITLE = ParagraphStyle("title", TEXT, fontName=BOLD, fontSize=18, leading=23, spaceAfter=3 * mm)
HEADING = ParagraphStyle(
    "heading", TEXT, fontName=BOLD, fontSize=11.5, leading=15, spaceBefore=4 * mm, keepWithNext=True
)
LINES = {
    "plain": TEXT,
    "strong": ParagraphStyle("strong", TEXT, fontName=BOLD),
    "verdict": ParagraphStyle("verdict", TEXT, fontName=BOLD, fontSize=12, leading=16),
    "warning": ParagraphStyle("warning", TEXT, backColor=HexColor("#fde2e2"), borderPadding=2 * mm, spaceAfter=4 * mm),
}

UNDRAWN = (
    "In square brackets: a script, or a sign, that this PDF cannot draw. The HTML report has the letters themselves."
)


def write_pdf(report: Report, target: Path) -> Path:
    """Write a report as PDF, whole or not at all."""
    register_fonts()
    story = [Paragraph(markup(report.name), TITLE), *(flowable for part in report.parts for flowable in _flow(part))]
    if not all(map(all_drawn, report.texts)):
        story.append(Paragraph(UNDRAWN, TEXT))
    with whole_file(target) as part:
        document = SimpleDocTemplate(
            str(part),
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=MARGIN + BAR,
            bottomMargin=MARGIN,
            title=f"{report.name} – Leukoscope",
            author="Leukoscope",
            subject=RESEARCH_USE,
            lang="en",
        )
        document.build(story, canvasmaker=lambda *args, **options: _Pages(report.foot, *args, **options))
    return target


class _Pages(Canvas):  # type: ignore[misc] # reportlab says nothing of types
    """Draws what stands on each page when it is known how many there are."""

    def __init__(self, foot: str, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._foot, self._kept = foot, list[dict[str, Any]]()

    def showPage(self) -> None:  # noqa: N802
        """Keep a page for later."""
        self._kept.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Finish every page, then the file."""
        pages = self._kept
        for number, page in enumerate(pages, start=1):
            self.__dict__.update(page)
            self._frame(f"{number} of {len(pages)}")
            super().showPage()
        super().save()

    def _frame(self, number: str) -> None:
        left, right, top = MARGIN + INSET, A4[0] - MARGIN - INSET, A4[1] - MARGIN
        self.setFillColor(HexColor("#fff3cd"))
        self.rect(left, top - BAR / 2, WIDTH, BAR, stroke=0, fill=1)
        self.setFillColor(INK)
        self.setFont(BOLD, 9)
        self.drawString(left + 3 * mm, top - 1.1 * mm, RESEARCH_USE)
        self.setFillColor(GRAY)
        self.setFont(PLAIN, 7.5)
        self.drawRightString(right, MARGIN - 6 * mm, number)
        foot = self.beginText(left, MARGIN - 6 * mm)
        for font, text in runs(self._foot):
            foot.setFont(font or PLAIN, 7.5)
            foot.textOut(text)
        self.drawText(foot)


@singledispatch
def _flow(part: Part) -> list[Flowable]:
    raise TypeError(f"a part of kind {type(part).__name__}")


@_flow.register
def _(part: Heading) -> list[Flowable]:
    return [Paragraph(markup(part.text), HEADING)]


@_flow.register
def _(part: Line) -> list[Flowable]:
    return [Paragraph(markup(part.text), LINES[part.kind])]


@_flow.register
def _(part: Table) -> list[Flowable]:
    columns = len(part.head or part.rows[0].texts)
    styles = [TEXT if i in (0, part.prose) else NUMBER for i in range(columns)]
    rows = [
        [Paragraph(_swatch(row.color) * (i == 0) + markup(row.texts[i]), styles[i]) for i in range(columns)]
        for row in part.rows
    ]
    if part.head:
        heads = [ParagraphStyle("head", style, fontName=BOLD) for style in styles]
        rows.insert(0, [Paragraph(markup(text), style) for text, style in zip(part.head, heads, strict=True)])
    first = 55 * mm if columns > 2 else 38 * mm
    numbers = 22 * mm
    rest = WIDTH - first - numbers * (columns - 2)
    widths = [first, *[numbers] * (columns - 2), rest] if columns > 1 else [WIDTH]
    grid = Grid(rows, widths, repeatRows=bool(part.head), hAlign="LEFT", splitInRow=1)
    grid.setStyle(
        [
            ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("TOPPADDING", (0, 0), (-1, -1), 0.3 * mm),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 1.1 * mm),
            ("LEFTPADDING", (0, 0), (0, -1), 0),
        ]
    )
    return [grid, Spacer(0, 3 * mm)]


@_flow.register
def _(part: Picture) -> list[Flowable]:
    return [_image(part, WIDTH, TALLEST), Spacer(0, 3 * mm)]


@_flow.register
def _(part: Examples) -> list[Flowable]:
    name = Paragraph(_swatch(part.color) + markup(part.name), ParagraphStyle("name", TEXT, spaceAfter=0))
    pictures = [_image(picture, EXAMPLE, EXAMPLE) for picture in part.pictures]
    row = Grid([pictures], [EXAMPLE + 2 * mm] * len(pictures), hAlign="LEFT")
    row.setStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")])
    return [KeepTogether([name, row])]


def _swatch(color: str | None) -> str:
    return f'<font color="{color}">■</font>&nbsp;&nbsp;' if color else ""


def _image(picture: Picture, width: float, height: float) -> Image:
    across, down = ImageReader(io.BytesIO(picture.jpeg)).getSize()
    scale = min(width / across, height / down)
    return Image(io.BytesIO(picture.jpeg), across * scale, down * scale, hAlign="LEFT")
