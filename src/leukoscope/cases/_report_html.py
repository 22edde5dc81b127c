"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

import base64
from functools import singledispatch
from html import escape
from pathlib import Path
from string import Template

from ._files import whole_file
from ._report_parts import RESEARCH_USE, Examples, Heading, Line, Part, Picture, Report, Table

__all__ = ["write_html"]

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>$name – Leukoscope</title><style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem } th, td { padding: 0.25rem 0.8rem; text-align: right }
th:first-child, td:first-child, td.text, th.text { text-align: left } tr { border-bottom: 1px solid #ddd }
.chip { display: inline-block; width: 0.8em; height: 0.8em; border: 1px solid #888; margin-right: 0.5em }
.verdict { font-size: 1.3em; font-weight: 600 } .only { background: #fff3cd; padding: 0.5rem 1rem }
.warning { background: #fde2e2; padding: 0.5rem 1rem } img { max-width: 100% } figure { margin: 0 0 1rem }
.gallery img { height: 72px; margin: 2px } td.text { overflow-wrap: anywhere }
</style></head><body>
<h1>$name</h1>
<p class="only">$only</p>
$parts
</body></html>
""")


def write_html(report: Report, target: Path) -> Path:
    """Write a report as HTML, whole or not at all."""
    parts = "\n".join(_html(part) for part in report.parts)
    page = _PAGE.substitute(name=escape(report.name), only=RESEARCH_USE, parts=parts)
    with whole_file(target) as part:
        part.write_text(page, encoding="utf-8")
    return target


@singledispatch
def _html(part: Part) -> str:
    raise TypeError(f"a part of kind {type(part).__name__}")


@_html.register
def _(part: Heading) -> str:
    return f"<h2>{escape(part.text)}</h2>"


@_html.register
def _(part: Line) -> str:
    text = escape(part.text)
    return {"plain": f"<p>{text}</p>", "strong": f"<p><b>{text}</b></p>"}.get(
        part.kind, f'<p class="{part.kind}">{text}</p>'
    )


@_html.register
def _(part: Table) -> str:
    classes = ['<{0} class="text">{1}</{0}>' if i == part.prose else "<{0}>{1}</{0}>" for i in range(_columns(part))]
    rows = [[escape(text) for text in row.texts] for row in part.rows]
    for row, texts in zip(part.rows, rows, strict=True):
        texts[0] = (_chip(row.color) if row.color else "") + texts[0]
    lines = [("th", [escape(text) for text in part.head])] if part.head else []
    lines += [("td", texts) for texts in rows]
    body = ("".join(cell.format(tag, text) for cell, text in zip(classes, texts, strict=True)) for tag, texts in lines)
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in body)}</table>"


@_html.register
def _(part: Picture) -> str:
    return f"<figure>{_image(part)}</figure>"


@_html.register
def _(part: Examples) -> str:
    pictures = "".join(_image(picture) for picture in part.pictures)
    return f'<p class="gallery">{_chip(part.color)}{escape(part.name)}<br>{pictures}</p>'


def _columns(table: Table) -> int:
    return len(table.head or table.rows[0].texts)


def _chip(color: str) -> str:
    return f'<span class="chip" style="background:{color}"></span>'


def _image(picture: Picture) -> str:
    data = base64.b64encode(picture.jpeg).decode("ascii")
    says = escape(picture.says)
    return f'<img alt="{says}" title="{says}" src="data:image/jpeg;base64,{data}">'
