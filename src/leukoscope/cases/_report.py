"""A report of one case: one HTML page that needs nothing else, and says that it is for research use only."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import LeukoscopeError
from ..hematology import Differential, Profile
from ._files import whole_file
from ._log import now
from ._signature import SIGNED

if TYPE_CHECKING:
    from .case import Case

__all__ = ["Seal", "write_report"]

_EXAMPLES = 6
_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>$name – Leukoscope</title><style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem } th, td { padding: 0.25rem 0.8rem; text-align: right }
th:first-child, td:first-child, td.text, th.text { text-align: left } tr { border-bottom: 1px solid #ddd }
.chip { display: inline-block; width: 0.8em; height: 0.8em; border: 1px solid #888; margin-right: 0.5em }
.verdict { font-size: 1.3em; font-weight: 600 } .only { background: #fff3cd; padding: 0.5rem 1rem }
.warn { background: #fde2e2; padding: 0.5rem 1rem } img { max-width: 100% } figure { margin: 0 0 1rem }
.gallery img { height: 72px; margin: 2px } dt { font-weight: 600 } pre { white-space: pre-wrap; font-size: 13px }
</style></head><body>
<h1>$name</h1>
<p class="only">For research use only. Not for diagnosis.</p>
$warning
$signature
<p class="verdict">$verdict</p>
<p>$summary</p>
<h2>Differential</h2>$differential
<h2>Not in the denominator</h2>$ledger
$pictures
<h2>How it was made</h2>$settings
<p>Written $time.</p>
</body></html>
""")


class Seal(NamedTuple):
    """The signature that a report is written for."""

    number: int
    reviewer: str
    at: str
    review: str


def write_report(
    case: Case,
    target: Path,
    profile: str | Profile | None = None,
    overview: NDArray[np.uint8] | None = None,
    seal: Seal | None = None,
) -> Path:
    """Write the report; without an overview (uint8 (Y, X, 3), the whole slide), one is read if the slide is at hand.

    With a seal it is the signed report; without one it says where that is, or that there is none.
    """
    count = case.differential(profile)
    slide = _slide(case)
    if overview is None and slide is not None:
        overview = slide.overview(1024)
    pictures = "" if overview is None else _overview(case, overview)
    if slide is not None:
        pictures += _gallery(case, slide)
    page = _PAGE.substitute(
        name=escape(case.slide.name),
        warning="" if case.complete else f'<p class="warn">Not a whole analysis: {escape(case.status)}.</p>',
        signature=_signature(case, seal),
        verdict=escape(count.verdict),
        summary=escape(_summary(case, count)),
        differential=_differential(case, count),
        ledger=_ledger(case, count),
        pictures=pictures,
        settings=_settings(case),
        time=seal.at if seal else now(),
    )
    with whole_file(target) as part:
        part.write_text(page, encoding="utf-8")
    return target


_REVIEWED = {
    "none": "no review asked for",
    "sample": "every cell of the random sample reviewed",
    "blasts": "every blast reviewed",
    "all": "every counted cell reviewed",
}


def _signature(case: Case, seal: Seal | None) -> str:
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
    lines = [f"<p><b>{escape(text)}</b></p>"]
    for event in amendments:
        detail = f"Amendment {event.detail['number']} ({event.reviewer}, {event.at}): {event.detail['reason']}"
        lines.append(f"<p>{escape(detail)}</p>")
    return "".join(lines)


def _summary(case: Case, count: Differential) -> str:
    reviewed = int((case.cells["source"] == "reviewer").sum())
    noun = "leukocytes" if count.profile.denominator == "leukocytes" else "nucleated cells"
    text = f"{count.denominator} {noun} counted of {len(case)} cells found; {reviewed} labeled by a reviewer."
    if count.erythroblasts_per_100 is not None:
        text += f" {count.erythroblasts_per_100:.1f} erythroblasts per 100 leukocytes."
    if orphans := len(case.orphans):
        text += f" {orphans} reviewed cells of an earlier analysis were not found again and are not counted."
    return text


def _chip(case: Case, label: str) -> str:
    return f'<span class="chip" style="background:{case.taxonomy.color(label)}"></span>'


def _differential(case: Case, count: Differential) -> str:
    rows = []
    for label, percent in count.percent.items():
        low, high = count.interval(label)
        name = _chip(case, label) + escape(case.taxonomy.name(label))
        cells = f"<td>{count.counts[label]}</td><td>{percent:.1f}</td><td>{low:.1f}–{high:.1f}</td>"
        rows.append(f"<tr><td>{name}</td>{cells}</tr>")
    if not rows:
        return "<p>No cell is counted.</p>"
    head = "<tr><th>Class</th><th>Cells</th><th>%</th><th>95 % interval (Clopper–Pearson)</th></tr>"
    thresholds = "; ".join(f"{t.percent:g} %: {t.name}" for t in count.profile.thresholds)
    note = (
        f"<p>Profile {escape(count.profile.name)}, at least {count.profile.min_cells} cells. {escape(thresholds)}.</p>"
    )
    return f"<table>{head}{''.join(rows)}</table>{note}"


def _ledger(case: Case, count: Differential) -> str:
    rows = [
        f"<tr><td>{_chip(case, entry.label)}{escape(case.taxonomy.name(entry.label))}</td><td>{entry.count}</td>"
        f'<td class="text">{escape(entry.reason)}</td></tr>'
        for entry in count.ledger
        if entry.count
    ]
    if not rows:
        return "<p>Nothing was left out.</p>"
    return f'<table><tr><th>Class</th><th>Cells</th><th class="text">Why</th></tr>{"".join(rows)}</table>'


def _settings(case: Case) -> str:
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
    cells = (f"<tr><td>{escape(k)}</td><td class='text'>{escape(str(v))}</td></tr>" for k, v in rows.items())
    return f"<table>{''.join(cells)}</table>"


def _mpp_source(case: Case) -> str:
    return case.slide.mpp_source if case.settings.mpp is None else case.settings.mpp_source


def _slide(case: Case) -> Any:
    """Return the slide if it is where it was, and still the same; None otherwise: a report does without pictures."""
    from ..slides import open_slide

    try:
        slide = open_slide(case.slide.address)
        return slide if slide.fingerprint == case.slide.fingerprint else None
    except (LeukoscopeError, OSError):
        return None


def _overview(case: Case, picture: NDArray[np.uint8]) -> str:
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture).convert("RGB")
    scale = image.width / case.slide.shapes[0][1]
    pen = ImageDraw.Draw(image)
    table = case.cells
    table = table.iloc[(table["label"] == "blast").argsort(kind="stable")]  # blasts on top
    radius = max(1.5, image.width / 400)
    for x, y, label in zip(table["x"] * scale, table["y"] * scale, table["label"], strict=True):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=case.taxonomy.color(label))
    return f'<h2>Overview</h2><figure><img alt="the slide, a dot for each cell" src="{_uri(image)}"></figure>'


def _gallery(case: Case, slide: Any) -> str:
    from PIL import Image

    table = case.cells
    outlines = case.outlines()
    parts = ["<h2>Examples</h2>"]
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
            pictures.append(f'<img alt="cell {cell}" title="cell {cell}" src="{_uri(image)}">')
        name = escape(case.taxonomy.name(label))
        parts.append(f'<p class="gallery">{_chip(case, label)}{name}<br>{"".join(pictures)}</p>')
    return "".join(parts) if len(table) else ""


def _uri(image: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
