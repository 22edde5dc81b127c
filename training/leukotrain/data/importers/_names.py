"""From the names in a data set to labels of the taxonomy, and to groups."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from leukoscope.classification.taxonomy import TAXONOMY
from leukoscope.errors import LeukoscopeError, SettingsError

__all__ = ["Progress", "label_map", "pictures", "rule"]

Progress = Callable[[int, int], None]  # takes what is done, and what there is in all

_PICTURES: Final = frozenset({".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})


def label_map(names: Iterable[str], mapping: Mapping[str, str], file: str | os.PathLike[str]) -> dict[str, str]:
    """Give the label of each name found in a data set.

    Parameters
    ----------
    names : iterable of str
        All that occur.
    mapping : mapping of str to str
        Labels by name: a class, several joined by "|" where a cell may be of any of them, or "" to leave such cells
        out. A roll-up (`neutrophil`) stands for its parts.
    file : path
        For messages.

    Raises
    ------
    SettingsError
        Names that the mapping lacks, all of them listed, or a label that the taxonomy lacks.
    """
    found = sorted(set(names))
    unknown = [name for name in found if name not in mapping]
    if unknown:
        shown = ", ".join(repr(name) for name in unknown)
        known = ", ".join(repr(name) for name in mapping) or "nothing"
        raise SettingsError(
            f"no label is given for {shown} (known: {known})",
            'Add them to the mapping, each with a class of the taxonomy, or with "" to leave them out.',
            file,
        )
    labels = {}
    for name in found:
        parts: list[str] = []
        for label in mapping[name].split("|") if mapping[name] else ():
            if label not in TAXONOMY:
                remedy = f"Use of {', '.join(TAXONOMY)}."
                raise SettingsError(f"{name!r} is mapped to the unknown class {label!r}", remedy, file)
            own, *rolled = TAXONOMY.parts(label)
            parts += rolled or [own]
        labels[name] = "|".join(dict.fromkeys(parts))
    return labels


def rule(group: str, source: str) -> Callable[[str], str]:
    """Give the function that tells a picture's group from its path.

    Parameters
    ----------
    group : str
        "folder": the folder that the picture lies in. "image": every picture is a group of its own, which is right only
        where no patient has two. "source": the whole set is one group, which is right whatever it holds. Else a regular
        expression, searched for in the path (with "/" between folders), whose first bracket is the group.
    source : str
        Comes before the group's name: two sets may both have a patient 1.

    Raises
    ------
    SettingsError
        No such rule; from the function: a path in which the expression finds nothing.
    """
    if group == "source":
        return lambda path: source
    if group == "image":
        return lambda path: f"{source}-{path.rsplit('.', 1)[0]}"
    if group == "folder":
        return lambda path: f"{source}-{_parent(path)}"
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise SettingsError(f"{group!r} is no regular expression ({error})", "Correct it.") from error
    if not pattern.groups:
        remedy = 'Give "folder", "image", "source", or an expression such as "(P[0-9]+)_".'
        raise SettingsError(f"{group!r} has no bracket to tell the group by", remedy)

    def by_pattern(path: str) -> str:
        match = pattern.search(path)
        if match is None or not match[1]:
            raise SettingsError(f"{group!r} finds no group in {path}", "Let it fit the name of every picture.")
        return f"{source}-{match[1]}"

    return by_pattern


def _parent(path: str) -> str:
    if "/" not in path:
        raise SettingsError(f"{path} lies in no folder that could be its group", "Give another rule for the group.")
    return path.rsplit("/", 2)[-2]


def pictures(folder: Path) -> list[Path]:
    """List the pictures in a folder and below, by name.

    Raises
    ------
    LeukoscopeError
        There are none.
    """
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PICTURES and not p.name.startswith("."))
    if not found:
        raise LeukoscopeError("no pictures in this folder", "Give the folder of the unpacked data set.", folder)
    return found
