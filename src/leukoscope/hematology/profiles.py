"""How a laboratory counts: which cells, how many, and the thresholds it names. Editable, in JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from ..classification.taxonomy import BLAST, CellClass
from ..errors import SettingsError

__all__ = ["Profile", "Threshold", "load_profile", "load_profiles", "profile_names", "save_profiles"]


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
        In ascending order.
    blasts : tuple of str
        The labels that are counted as blasts: blast equivalents (promonocytes, say) may be added.
    title : str
        What people read; the name where empty.
    review : {"none", "sample", "blasts", "all"}
        Which cells a reviewer must have seen before a count is signed: none, those of the random sample, all that are
        labeled as blasts, or all that are counted.
    """

    name: str
    denominator: Literal["leukocytes", "nucleated"]
    min_cells: int
    thresholds: tuple[Threshold, ...]
    blasts: tuple[str, ...] = (BLAST,)
    title: str = ""
    review: Literal["none", "sample", "blasts", "all"] = "none"

    def counts(self, cell_class: CellClass) -> bool:
        """Return whether cells of a class are in this profile's denominator."""
        return cell_class.leukocyte if self.denominator == "leukocytes" else cell_class.nucleated


def _parse(text: str, file: str | os.PathLike[str]) -> dict[str, Profile]:
    from jsonschema import Draft202012Validator  # only here: most sessions use the packaged profiles, checked by a test

    try:
        content = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"is not valid JSON ({error})", "Correct the syntax.", file) from error
    schema = json.loads((files(__package__) / "profiles.schema.json").read_text(encoding="utf-8"))
    for fault in Draft202012Validator(schema).iter_errors(content):
        where = "/".join(map(str, fault.path)) or "the top"
        raise SettingsError(f"is no list of profiles: at {where}, {fault.message}", "Correct that entry.", file)
    profiles: dict[str, Profile] = {}
    for entry in content["profiles"]:
        if entry["name"] in profiles:
            raise SettingsError(f"defines the profile {entry['name']!r} twice", "Give each a name of its own.", file)
        profiles[entry["name"]] = _profile(entry)
    return profiles


def _profile(entry: dict[str, Any]) -> Profile:
    thresholds = sorted((Threshold(t["percent"], t["name"]) for t in entry["thresholds"]), key=lambda t: t.percent)
    return Profile(
        entry["name"],
        entry["denominator"],
        entry["min_cells"],
        tuple(thresholds),
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
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
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
        name, file = wanted, f"{path}.json"
    else:
        profiles = _packaged() if file is None else _packaged() | load_profiles(file)
    if name not in profiles:
        raise SettingsError(f"there is no profile {name!r}", f"Choose one of {', '.join(profiles)}.", file)
    return profiles[name]
