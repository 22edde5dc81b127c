"""What a report consists of, whatever it is written as: headings, lines, tables and pictures, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["RESEARCH_USE", "Examples", "Heading", "Line", "Part", "Picture", "Report", "Row", "Table"]

RESEARCH_USE = "For research use only. Not for diagnosis."


@dataclass(frozen=True)
class Heading:
    """The title of what follows."""

    text: str


@dataclass(frozen=True)
class Line:
    """A paragraph.

    Parameters
    ----------
    text : str
        What it says.
    kind : {"plain", "strong", "verdict", "warning"}
        How much it matters.
    """

    text: str
    kind: Literal["plain", "strong", "verdict", "warning"] = "plain"


@dataclass(frozen=True)
class Row:
    """A row of a table; `color` (#rrggbb) is that of a swatch before the first text."""

    texts: tuple[str, ...]
    color: str | None = None


@dataclass(frozen=True)
class Table:
    """Texts in columns.

    Parameters
    ----------
    rows : tuple of Row
        Its rows.
    head : tuple of str
        The titles of the columns; none for a table of names and values.
    prose : int
        The column that holds text; the others but the first hold numbers. -1 for none.
    """

    rows: tuple[Row, ...]
    head: tuple[str, ...] = ()
    prose: int = -1


@dataclass(frozen=True)
class Picture:
    """A JPEG file, and what it shows in words."""

    jpeg: bytes
    says: str


@dataclass(frozen=True)
class Examples:
    """Cells of one class."""

    name: str
    color: str
    pictures: tuple[Picture, ...]


Part = Heading | Line | Table | Picture | Examples


@dataclass(frozen=True)
class Report:
    """A whole report.

    Parameters
    ----------
    name : str
        The slide's.
    parts : tuple of Part
        What it says, in order; after the mark that it is for research use only.
    foot : str
        What tells this report from another: it stands on each page.
    """

    name: str
    parts: tuple[Part, ...]
    foot: str

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is written in it, what pictures show left out."""
        found = [self.name, self.foot]
        for part in self.parts:
            if isinstance(part, Heading | Line):
                found.append(part.text)
            elif isinstance(part, Table):
                found += [*part.head, *(text for row in part.rows for text in row.texts)]
            elif isinstance(part, Examples):
                found.append(part.name)
        return tuple(found)
