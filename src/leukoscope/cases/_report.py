"""What the report of a case says; `_report_html` and `_report_pdf` write it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import LeukoscopeError
from ..hematology import Differential, Profile, clopper_pearson
from ._log import now
from ._report_parts import Examples, Heading, Line, Part, Picture, Report, Row, Table
from ._signature import SIGNED

if TYPE_CHECKING:
    from .case import Case

__all__ = ["Seal", "report_of"]

_EXAMPLES = 6


class Seal(NamedTuple):
    """The signature that a report is written for."""

    number: int
    reviewer: str
    at: str
    review: str


def report_of(
    case: Case,
    profile: str | Profile | None = None,
    overview: NDArray[np.uint8] | None = None,
    seal: Seal | None = None,
) -> Report:
    """Put together a report; without an overview (uint8 (Y, X, 3), the whole slide), one is read if the slide is there.

    With a seal it is the signed report; without one it says where that is, or that there is none.
    """
    count, slide = case.differential(profile), _slide(case)
    if overview is None and slide is not None:
        overview = slide.overview(1024)
    at = seal.at if seal else now()
    parts: list[Part] = [] if case.complete else [Line(f"Not a whole analysis: {case.status}.", "warning")]
    parts += _signature(case, seal)
    if case.taken is not None:
        parts.append(Line(f"Smear of {case.taken}."))
    parts += [Line(count.verdict, "verdict"), Line(_summary(case, count))]
    parts += [Heading("Differential"), *_differential(case, count)]
    parts += [Heading("Not in the denominator"), _ledger(case, count)]
    if overview is not None:
        parts += [Heading("Overview"), _overview(case, overview)]
    if slide is not None and len(case):
        parts += [Heading("Examples"), *_gallery(case, slide)]
    parts += [Heading("How it was made"), _settings(case), Line(f"Written {at}.")]
    signed = f"report {seal.number}, signed by {seal.reviewer}" if seal else "not a signed report"
    return Report(case.slide.name, tuple(parts), f"{case.slide.name} · {signed} · {at}")


_REVIEWED = {
    "none": "no review asked for",
    "sample": "every cell of the random sample reviewed",
    "blasts": "every blast reviewed",
    "all": "every counted cell reviewed",
}


def _signature(case: Case, seal: Seal | None) -> Iterator[Line]:
    past, amendments = case.signatures, case.amendments
    if seal:
        text = f"Signed by {seal.reviewer}, {seal.at}: report {seal.number} of this case, {_REVIEWED[seal.review]}."
    elif held := case.signed:
        where = f"{SIGNED}/{held.number}/report.html"
        text = f"A copy, not signed. The case was signed by {held.reviewer}, {held.at}: {where}."
    elif past:
        text = f"Not signed. Amendment {len(amendments)} is open since report {past[-1].number}."
    else:
        text = "Not signed."
    yield Line(text, "strong")
    for event in amendments:
        yield Line(f"Amendment {event.detail['number']} ({event.reviewer}, {event.at}): {event.detail['reason']}")


def _summary(case: Case, count: Differential) -> str:
    reviewed = int((case.cells["source"] == "reviewer").sum())
    noun = "leukocytes" if count.profile.denominator == "leukocytes" else "nucleated cells"
    text = f"{count.denominator} {noun} counted of {len(case)} cells found; {reviewed} labeled by a reviewer."
    if count.erythroblasts_per_100 is not None:
        text += f" {count.erythroblasts_per_100:.1f} erythroblasts per 100 leukocytes."
    if orphans := len(case.orphans):
        text += f" {orphans} reviewed cells of an earlier analysis were not found again and are not counted."
    return text


def _differential(case: Case, count: Differential) -> tuple[Part, ...]:
    rows = []
    for label, percent in count.percent.items():
        low, high = clopper_pearson(count.counts[label], count.denominator)
        texts = (case.taxonomy.name(label), str(count.counts[label]), f"{percent:.1f}", f"{low:.1f}–{high:.1f}")
        rows.append(Row(texts, case.taxonomy.color(label)))
    if not rows:
        return (Line("No cell is counted."),)
    head = ("Class", "Cells", "%", "95 % interval (Clopper–Pearson)")
    thresholds = "; ".join(f"{t.percent:g} %: {t.name}" for t in count.profile.thresholds)
    note = f"Profile {count.profile.name}, at least {count.profile.min_cells} cells. {thresholds}."
    return Table(tuple(rows), head), Line(note)


def _ledger(case: Case, count: Differential) -> Part:
    rows = tuple(
        Row((case.taxonomy.name(entry.label), str(entry.count), entry.reason), case.taxonomy.color(entry.label))
        for entry in count.ledger
        if entry.count
    )
    return Table(rows, ("Class", "Cells", "Why"), prose=2) if rows else Line("Nothing was left out.")


def _settings(case: Case) -> Table:
    from .. import __version__

    settings, run = case.settings, case.run
    rows: dict[str, Any] = {
        "Leukoscope": __version__,
        "Segmenter": f"{settings.segmenter} {settings.segmenter_fingerprint}",
        "Model": f"{settings.model} {settings.model_fingerprint}",
        "µm per pixel": "unknown" if case.mpp is None else f"{case.mpp:.4g} ({_mpp_source(case)})",
        "Slide's fingerprint": case.slide.fingerprint,
        "Case": f"{case.id}, {len(case.events)} events",
        "Analysis": f"{case.status}{f', {run.detail}' if run and run.detail else ''}",
        "Options": json.dumps(dict(settings.options), ensure_ascii=False, sort_keys=True),
        "Notes": json.dumps(dict(settings.notes), ensure_ascii=False, sort_keys=True),
    }
    return Table(tuple(Row((name, str(value))) for name, value in rows.items()), prose=1)


def _mpp_source(case: Case) -> str:
    return case.slide.mpp_source if case.settings.mpp is None else case.settings.mpp_source


def _slide(case: Case) -> Any:
    """Return the slide if it is where it was, and still the same; None otherwise: a report does without pictures."""
    from ..slides import open_slide

    try:
        slide = open_slide(case.slide.address)
        return slide if case.is_of(slide) else None
    except (LeukoscopeError, OSError):
        return None


def _overview(case: Case, picture: NDArray[np.uint8]) -> Picture:
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture).convert("RGB")
    scale = image.width / case.slide.shapes[0][1]
    pen = ImageDraw.Draw(image)
    table = case.cells
    table = table.iloc[(table["label"] == "blast").argsort(kind="stable")]  # blasts on top
    radius = max(1.5, image.width / 400)
    for x, y, label in zip(table["x"] * scale, table["y"] * scale, table["label"], strict=True):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=case.taxonomy.color(label))
    return Picture(_jpeg(image), "the slide, a dot for each cell")


def _gallery(case: Case, slide: Any) -> Iterator[Examples]:
    from PIL import Image

    table = case.cells
    outlines = case.outlines()
    for label in case.taxonomy.order(set(table["label"])):
        ids = table["cell_id"][table["label"] == label].to_numpy()
        some = ids[np.linspace(0, len(ids) - 1, min(_EXAMPLES, len(ids))).astype(int)]  # evenly: not the best ones only
        pictures = []
        for cell in some:
            left, top, right, bottom = outlines[int(cell)][0].bounds
            margin = 0.2 * max(right - left, bottom - top)
            y, x = int(max(0, top - margin)), int(max(0, left - margin))
            pixels = slide.read((y, x, int(bottom + margin) - y + 1, int(right + margin) - x + 1))
            image = Image.fromarray(np.asarray(pixels))
            image.thumbnail((144, 144))
            pictures.append(Picture(_jpeg(image), f"cell {cell}"))
        yield Examples(case.taxonomy.name(label), case.taxonomy.color(label), tuple(pictures))


def _jpeg(image: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
