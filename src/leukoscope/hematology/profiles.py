"""How a laboratory counts: which cells, how many, and the thresholds it names. Editable, in JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ..classification.taxonomy import BLAST, CellClass, Taxonomy
from ..errors import SettingsError

__all__ = [
    "Profile",
    "Threshold",
    "load_profile",
    "load_profiles",
    "profile_from_dict",
    "profile_names",
    "save_profiles",
]


@dataclass(frozen=True)
class Threshold:
    """A percentage of blasts that means something to somebody, and what.

    Parameters
    ----------
    percent : float
        Of the counted cells, above 0 and below 100.
    name : str
        What it stands for, and by whose definition.
    """

    percent: float
    name: str


@dataclass(frozen=True)
class Profile:
    """How a differential is counted.

    Parameters
    ----------
    name : str
        What settings and files call it.
    denominator : {"leukocytes", "nucleated"}
        Percent of which cells: blood counts leukocytes, marrow all nucleated cells.
    min_cells : int
        Counted cells below which no verdict is given.
    thresholds : tuple of Threshold
        Kept in ascending order.
    blasts : tuple of str
        The labels that are counted as blasts: blast equivalents (promonocytes, say) may be added. A roll-up stands for
        its parts, too.
    title : str
        What people read; the name where empty.
    review : {"none", "sample", "blasts", "all"}
        Which cells a reviewer must have seen before a count is signed: none, those of the random sample, all that are
        labeled as blasts, or all that are counted.

    Raises
    ------
    SettingsError
        If the denominator or the review is none of these, fewer than one cell is asked for, no label is a blast, or a
        threshold is not between 0 and 100.
    """

    name: str
    denominator: Literal["leukocytes", "nucleated"]
    min_cells: int
    thresholds: tuple[Threshold, ...]
    blasts: tuple[str, ...] = (BLAST,)
    title: str = ""
    review: Literal["none", "sample", "blasts", "all"] = "none"

    def __post_init__(self) -> None:
        faults = {
            f"denominator {self.denominator!r}": self.denominator in _DENOMINATORS,
            f"review {self.review!r}": self.review in _REVIEWS,
            f"{self.min_cells!r} cells": self.min_cells >= 1 and self.min_cells == int(self.min_cells),
            "no blasts": bool(self.blasts),
            **{f"a threshold of {t.percent:g} %": 0 < t.percent < 100 for t in self.thresholds},
        }
        for fault, holds in faults.items():
            if not holds:
                remedy = "See the packaged profiles for what a profile says."
                raise SettingsError(f"the profile {self.name!r} asks for {fault}", remedy)
        object.__setattr__(self, "min_cells", int(self.min_cells))
        object.__setattr__(self, "thresholds", tuple(sorted(self.thresholds, key=lambda t: t.percent)))

    def counts(self, cell_class: CellClass) -> bool:
        """Return whether cells of a class are in this profile's denominator."""
        return cell_class.leukocyte if self.denominator == "leukocytes" else cell_class.nucleated

    def blast_labels(self, taxonomy: Taxonomy) -> frozenset[str]:
        """Return every label that is counted as a blast: those named, and the parts of a roll-up.

        Raises
        ------
        SettingsError
            If one that is named is not in the denominator: such blasts would count nowhere.
        """
        for label in self.blasts:
            if label in taxonomy and not self.counts(taxonomy[label]):
                cause = f"the profile {self.name!r} calls {label} a blast, and does not count it ({self.denominator})"
                raise SettingsError(cause, "Take it out of the blasts, or count all nucleated cells.")
        parts = {part for label in self.blasts for part in taxonomy.parts(label)}
        return frozenset(part for part in parts if part not in taxonomy or self.counts(taxonomy[part]))


_DENOMINATORS = ("leukocytes", "nucleated")
_REVIEWS = ("none", "sample", "blasts", "all")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _parse(text: str, file: str | os.PathLike[str]) -> dict[str, Profile]:
    from jsonschema import Draft202012Validator  # only here: most sessions use the packaged profiles, checked by a test

    try:
        content = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"is not valid JSON ({error})", "Correct the syntax.", file) from error
    schema = json.loads((files(__package__) / "profiles.schema.json").read_text(encoding="utf-8"))
    for fault in Draft202012Validator(schema).iter_errors(content):
        where = "/".join(map(str, fault.path)) or "the top"
        raise SettingsError(f"is no list of profiles: at {where}, {fault.message}", "Correct that entry.", file)
    profiles: dict[str, Profile] = {}
    for entry in content["profiles"]:
        if entry["name"] in profiles:
            raise SettingsError(f"defines the profile {entry['name']!r} twice", "Give each a name of its own.", file)
        profiles[entry["name"]] = profile_from_dict(entry)
    return profiles


def profile_from_dict(entry: Mapping[str, Any]) -> Profile:
    """Return the profile that an entry of a profile file, or `dataclasses.asdict`, describes."""
    return Profile(
        entry["name"],
        entry["denominator"],
        entry["min_cells"],
        tuple(Threshold(t["percent"], t["name"]) for t in entry["thresholds"]),
        tuple(entry.get("blasts", [BLAST])),
        entry.get("title", ""),
        entry.get("review", "none"),
    )


@cache
def _packaged() -> dict[str, Profile]:
    return _parse((files(__package__) / "profiles.json").read_text(encoding="utf-8"), "profiles.json")


def load_profiles(file: str | os.PathLike[str]) -> dict[str, Profile]:
    """Read profiles from a file of the form of the packaged ``profiles.json``.

    Returns
    -------
    dict of str to Profile
        By name, in the file's order.

    Raises
    ------
    SettingsError
        If the file cannot be read or does not hold to the schema.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")  # Windows' editors begin a file with a byte order mark
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError, too
        cause = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"cannot be read ({cause})", "Check the path of the profiles.", file) from error
    return _parse(text, file)


def save_profiles(profiles: Iterable[Profile], file: str | os.PathLike[str]) -> None:
    """Write profiles to a file that `load_profiles` reads.

    Raises
    ------
    SettingsError
        If a profile does not hold to the schema, or the file cannot be written.
    """
    text = json.dumps({"profiles": [asdict(profile) for profile in profiles]}, indent=2, ensure_ascii=False) + "\n"
    _parse(text, file)
    target = Path(file)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SettingsError(f"cannot be written ({error.strerror})", "Choose another folder.", file) from error


def profile_names() -> tuple[str, ...]:
    """Return the names of the packaged profiles."""
    return tuple(_packaged())


def load_profile(name: str | os.PathLike[str], file: str | os.PathLike[str] | None = None) -> Profile:
    """Return a profile by name, or from a file.

    Parameters
    ----------
    name : str
        A packaged name ("blood", "marrow"), one in `file`, or the path of a ``.json`` file with a single profile
        (``"mine.json"``) or with several (``"mine.json:day-28"``).
    file : path, optional
        Profiles of the laboratory's own; they come before the packaged ones.

    Raises
    ------
    SettingsError
        If there is no such profile, or the file is not valid.
    """
    name = os.fspath(name)
    if file is None and ".json" in name:
        path, _, wanted = name.rpartition(".json")
        profiles = load_profiles(f"{path}.json")
        wanted = wanted.lstrip(":")
        if not wanted and len(profiles) == 1:
            return next(iter(profiles.values()))
        if not wanted:
            remedy = f"Name one, as in {path}.json:{next(iter(profiles))}. There are {', '.join(profiles)}."
            raise SettingsError("holds several profiles", remedy, f"{path}.json")
        name, file = wanted, f"{path}.json"
    else:
        profiles = _packaged() if file is None else _packaged() | load_profiles(file)
    if name not in profiles:
        raise SettingsError(f"there is no profile {name!r}", f"Choose one of {', '.join(profiles)}.", file)
    return profiles[name]
