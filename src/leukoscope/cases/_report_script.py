"""Names in any of many scripts, as reportlab draws them: which font has a letter, and in which order they stand."""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont

__all__ = ["BOLD", "PLAIN", "all_drawn", "markup", "register_fonts", "runs"]

PLAIN, BOLD = "DejaVuSans", "DejaVuSans-Bold"  # PDF's own fonts know no µ–≥, and no names beyond Western Europe's
# Not embedded: PDF names them, and viewers bring glyphs for them. Nothing of them ships.
CHINESE, JAPANESE, KOREAN = "STSong-Light", "HeiseiKakuGo-W5", "HYGothic-Medium"
KANA: Final = ("HIRAGANA", "KATAKANA")
ASIAN: Final = ("CJK", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH", "BOPOMOFO", *KANA)


@cache
def register_fonts() -> None:
    """Make the fonts known to reportlab, once."""
    folder = Path(__file__).parent / "fonts"
    for name in (PLAIN, BOLD):
        pdfmetrics.registerFont(TTFont(name, folder / f"{name}.ttf"))
    for name in (CHINESE, JAPANESE, KOREAN):
        pdfmetrics.registerFont(UnicodeCIDFont(name))


def markup(text: str) -> str:
    """Write a text for a paragraph, the font named where it is not the paragraph's own."""
    return "".join(f'<font name="{font}">{escape(run)}</font>' if font else escape(run) for font, run in runs(text))


def runs(text: str) -> list[tuple[str, str]]:
    """Cut a text, in the order that it is drawn, where another font begins; "" is the font around it."""
    kana = any(unicodedata.name(letter, "").startswith(KANA) for letter in text)
    han = JAPANESE if kana else CHINESE
    fonts = ((_font(letter, han), letter) for letter in _in_drawing_order(_drawable(text)))
    return [(font, "".join(letter for _, letter in some)) for font, some in groupby(fonts, lambda pair: pair[0])]


def _font(letter: str, han: str) -> str:
    if ord(letter) in _known():
        return ""
    name = unicodedata.name(letter, "")
    if name.startswith("HANGUL"):
        return KOREAN
    return han if name.startswith(ASIAN) else ""


@cache
def _known() -> frozenset[int]:
    register_fonts()
    face: Any = pdfmetrics.getFont(PLAIN).face
    return frozenset(face.charToGlyph)


# -- what no font here has ----------------------------------------------------------------------------------------


def all_drawn(text: str) -> bool:
    """Tell whether a text is drawn letter by letter; else `runs` names scripts in place of some."""
    return _drawable(text) == text


def _drawable(text: str) -> str:
    """Put "[Thai]" in the place of letters that would be boxes.

    Fonts of the computer are no way out: letters of these scripts have to be shaped, which reportlab does not do, and
    a name wrongly written is worse than one that is not.
    """
    out, last = "", None  # the script named last, while only spaces follow: a name of two words is named once
    for script, letters in groupby(text, _unknown_script):
        run = "".join(letters)
        if script is None:
            out, last = out + run, last if run.isspace() else None
        elif script:
            out, last = out.rstrip() if script == last else f"{out}[{script}]", script
    return out


@cache
def _unknown_script(letter: str) -> str | None:
    """Name the script of a letter that no font here has; None for one that is drawn, "" for what is nothing to see."""
    if ord(letter) in _known() or letter.isspace() or (ord(letter) <= 0xFFFF and _font(letter, CHINESE)):
        return None
    name, kind = unicodedata.name(letter, ""), unicodedata.category(letter)
    if kind in ("Cc", "Cf") or name.startswith("VARIATION SELECTOR"):
        return ""
    first = name.partition(" ")[0]
    if kind[0] not in "LMN" or first in ("", "COMBINING", "MODIFIER", "MATHEMATICAL"):
        return "sign"
    return {"CJK": "Chinese"}.get(first, first.capitalize())


# -- right to left ------------------------------------------------------------------------------------------------


def _in_drawing_order(text: str) -> str:
    """Turn right-to-left words around, and join Arabic letters: enough for names, not Unicode's whole algorithm.

    python-bidi 0.6, tried in place of this, tears brackets apart that stand beside an Arabic name, as in "محمد (2)".
    """
    kinds = [unicodedata.bidirectional(letter) for letter in text]
    if not {"R", "AL"} & set(kinds):
        return text
    out, at = "", 0
    while at < len(text):
        if kinds[at] not in ("R", "AL"):
            out, at = out + text[at], at + 1
            continue
        end = last = at  # up to the last right-to-left letter before one that is read left to right
        while end < len(text) and kinds[end] not in ("L", "EN", "AN"):
            last, end = (end if kinds[end] in ("R", "AL", "NSM") else last), end + 1
        letters: list[str] = []
        for letter in _joined(text[at : last + 1]):
            if letters and unicodedata.combining(letter):
                letters[-1] += letter  # a mark stays behind its letter
            else:
                letters.append(letter)
        out, at = out + "".join(reversed(letters)), last + 1
    return out


def _joined(word: str) -> str:
    """Give each Arabic letter the shape that it has beside its neighbors."""
    shapes = _arabic_shapes()
    letters = [i for i, letter in enumerate(word) if not unicodedata.combining(letter)]
    out = list(word)
    for n, i in enumerate(letters):
        forms = shapes.get(word[i])
        if forms is None:
            continue
        before = word[letters[n - 1]] if n else ""
        after = word[letters[n + 1]] if n + 1 < len(letters) else ""
        joins_before = "<initial>" in shapes.get(before, {}) and "<final>" in forms
        joins_after = "<initial>" in forms and "<final>" in shapes.get(after, {})
        form = {(1, 1): "<medial>", (1, 0): "<final>", (0, 1): "<initial>"}.get((joins_before, joins_after), "")
        out[i] = forms.get(form, word[i])
    return "".join(out)


@cache
def _arabic_shapes() -> dict[str, dict[str, str]]:
    """Give the presentation forms of each letter, by their position in a word, as Unicode lists them."""
    shapes: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFDFC), *range(0xFE80, 0xFEF5)):
        form, *of = unicodedata.decomposition(chr(code)).split() or [""]
        if len(of) == 1 and form in ("<initial>", "<medial>", "<final>") and code in _known():
            shapes.setdefault(chr(int(of[0], 16)), {})[form] = chr(code)
    return shapes
