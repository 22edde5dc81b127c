"""The classes of cell that Leukoscope knows, in one place: names, colors, keys, and what counts where.

Colors are for tinted outlines on a pink and purple smear. Blasts have the one strong red; the other common classes keep
apart from it, and from each other, for readers with protan or deutan color vision too (a test simulates both).
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import SettingsError

__all__ = [
    "BLAST",
    "CLASSES",
    "ROLL_UPS",
    "SUBTYPE_HEADS",
    "TAXONOMY",
    "UNIDENTIFIED",
    "CellClass",
    "Taxonomy",
    "class_from_dict",
    "color",
    "load_taxonomy",
    "roll_up",
]

BLAST = "blast"
UNIDENTIFIED = "unidentified"

_ID = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLOR = re.compile(r"#[0-9a-f]{6}")
_UNKNOWN_COLOR = "#9e9e9e"


@dataclass(frozen=True)
class CellClass:
    """One class of cell.

    Parameters
    ----------
    id : str
        What files and programs call it: lower-case letters, digits and underscores.
    name : str
        What people read.
    color : str
        ``#rrggbb``.
    key : str
        The one letter that relabels a cell to this class, or "" for none. The built-in ones keep clear of a, p, s, v
        and z, which napari binds on a points layer.
    leukocyte : bool
        Counted in the denominator of a blood differential.
    nucleated : bool
        Counted in the denominator of a marrow differential.
    roll_up : str
        The broader class it is summed into, or "".
    reason : str
        Why it stays out of a denominator, for the ledger; "" where it is counted in both.
    """

    id: str
    name: str
    color: str
    key: str = ""
    leukocyte: bool = True
    nucleated: bool = True
    roll_up: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        # Ids become column names, file names and CSV fields: nothing that any of them would need to quote.
        if not _ID.fullmatch(self.id):
            raise SettingsError(
                f"{self.id!r} is no class id",
                "Use up to 40 lower-case letters, digits and underscores, a letter first.",
            )
        if not self.name or not self.name.isprintable():
            raise SettingsError(f"the class {self.id} has no printable name", "Give it a name of one line.")
        if not _COLOR.fullmatch(self.color):
            raise SettingsError(f"{self.color!r} is no color for {self.id}", 'Write it as "#rrggbb", in lower case.')
        if self.key and not (len(self.key) == 1 and "a" <= self.key <= "z"):
            raise SettingsError(f"{self.key!r} is no key for {self.id}", "Use one letter from a to z, or none.")


_NO_CELL = "no intact nucleated cell"

CLASSES: tuple[CellClass, ...] = (
    CellClass("blast", "Blast", "#e8001c", "b"),
    CellClass("lymphocyte", "Lymphocyte", "#0072b2", "l"),
    CellClass("monocyte", "Monocyte", "#56b4e9", "m"),
    CellClass("neutrophil_band", "Band neutrophil", "#7cdc8a", "d", roll_up="neutrophil"),
    CellClass("neutrophil_segmented", "Segmented neutrophil", "#009e73", "n", roll_up="neutrophil"),
    CellClass("eosinophil", "Eosinophil", "#e69f00", "e"),
    CellClass("basophil", "Basophil", "#332288", "o"),
    CellClass("promyelocyte", "Promyelocyte", "#ee99c8", "w", roll_up="immature_granulocyte"),
    CellClass("myelocyte", "Myelocyte", "#a878d8", "y", roll_up="immature_granulocyte"),
    CellClass("metamyelocyte", "Metamyelocyte", "#882255", "t", roll_up="immature_granulocyte"),
    CellClass(
        "erythroblast",
        "Erythroblast",
        "#f0e442",
        "r",
        leukocyte=False,
        reason="not a leukocyte: reported per 100 leukocytes",
    ),
    CellClass("plasma_cell", "Plasma cell", "#00a8a8", "c"),
    CellClass("smudge", "Smudge cell", "#7a6a4f", "k", False, False, reason="damaged: cannot be told apart"),
    CellClass("platelet_clump", "Platelet clump", "#c9c9c9", "g", False, False, reason=_NO_CELL),
    CellClass("artefact", "Artefact", "#000000", "x", False, False, reason=_NO_CELL),
    CellClass(UNIDENTIFIED, "Unidentified", "#ffffff", "u", False, False, reason="below the confidence threshold"),
)
"""The classes every case knows, in the order in which tables list them."""

ROLL_UPS: tuple[CellClass, ...] = (
    CellClass("neutrophil", "Neutrophil", "#2fc993"),
    CellClass("immature_granulocyte", "Immature granulocyte", "#b565a7"),
)
"""The broader classes. They are labels too: data sets and models that do not tell the parts apart use them."""

SUBTYPE_HEADS: Mapping[str, tuple[str, ...]] = {
    "leukemia": ("ALL", "AML", "CLL", "CML"),
    "all_stage": ("benign", "early", "pre", "pro"),
}
"""The optional second heads of a model, and their classes: the leukemia's type, and ALL's stages."""


class Taxonomy(Mapping[str, CellClass]):
    """An immutable, ordered set of classes, by id.

    Parameters
    ----------
    classes : iterable of CellClass
        In the order in which tables list them.

    Raises
    ------
    SettingsError
        If an id or a key is used twice.
    """

    def __init__(self, classes: Iterable[CellClass] = (*CLASSES, *ROLL_UPS)) -> None:
        self._classes: dict[str, CellClass] = {}
        keys: dict[str, str] = {}
        for cell_class in classes:
            if cell_class.id in self._classes:
                raise SettingsError(f"the class {cell_class.id} is defined twice", "Give each class an id of its own.")
            if cell_class.key and cell_class.key in keys:
                raise SettingsError(
                    f"the key {cell_class.key!r} is taken by {keys[cell_class.key]}",
                    f"Choose another key for {cell_class.id}.",
                )
            keys[cell_class.key] = cell_class.id
            self._classes[cell_class.id] = cell_class

    def __getitem__(self, label: str) -> CellClass:
        return self._classes[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    def with_classes(self, classes: Iterable[CellClass]) -> Taxonomy:
        """Return a taxonomy that has these classes too, after its own.

        Raises
        ------
        SettingsError
            If an id or a key is taken.
        """
        return Taxonomy((*self._classes.values(), *classes))

    def color(self, label: str) -> str:
        """Return the color of a label as ``#rrggbb``; a neutral gray for a label it does not know."""
        return self._classes[label].color if label in self._classes else _UNKNOWN_COLOR

    def name(self, label: str) -> str:
        """Return what people read for a label; the label itself where it is not known."""
        return self._classes[label].name if label in self._classes else label

    def roll_up(self, label: str) -> str:
        """Return the broader class that a label is summed into; the label itself where there is none."""
        return (self._classes[label].roll_up if label in self._classes else "") or label

    def parts(self, label: str) -> tuple[str, ...]:
        """Return the label and every class that rolls up into it, in order."""
        return (label, *(c.id for c in self._classes.values() if c.roll_up == label))

    def by_key(self) -> dict[str, str]:
        """Return the label that each one-letter key stands for."""
        return {c.key: c.id for c in self._classes.values() if c.key}

    def order(self, labels: Iterable[str]) -> list[str]:
        """Return the distinct labels in the taxonomy's order; unknown ones come last, by name."""
        rank = {label: i for i, label in enumerate(self._classes)}
        return sorted(set(labels), key=lambda label: (rank.get(label, len(rank)), label))


TAXONOMY = Taxonomy()
"""The classes every case knows, and the roll-ups. Immutable: a case with classes of its own extends it."""


def color(label: str) -> str:
    """Return the color of a label of the built-in classes as ``#rrggbb``; gray where it is not known."""
    return TAXONOMY.color(label)


def roll_up(label: str) -> str:
    """Return the broader class of a built-in label (`neutrophil`, `immature_granulocyte`), else the label itself."""
    return TAXONOMY.roll_up(label)


def class_from_dict(value: Any) -> CellClass:
    """Return the class that a JSON or TOML table describes, its fields checked one by one.

    Raises
    ------
    SettingsError
        If a field is missing, unknown or of the wrong type.
    """
    example = asdict(CellClass("id", "name", "#000000"))
    if not isinstance(value, Mapping):
        raise SettingsError("a class must be a table", "Give it at least id, name and color.")
    for field, given in value.items():
        if field not in example:
            raise SettingsError(f"a class has no field {field!r}", f"The fields are {', '.join(example)}.")
        if type(given) is not type(example[field]):
            wanted = type(example[field]).__name__
            raise SettingsError(f"the field {field!r} of a class must be of type {wanted}", "Correct it.")
    missing = [field for field in ("id", "name", "color") if field not in value]
    if missing:
        raise SettingsError(f"a class lacks {', '.join(missing)}", "Give it at least id, name and color.")
    return CellClass(**value)


def load_taxonomy(file: str | os.PathLike[str]) -> Taxonomy:
    """Read a laboratory's own classes from a file and return them after the built-in ones.

    Parameters
    ----------
    file : path
        JSON (``{"classes": [{"id": …, "name": …, "color": …}, …]}``) or TOML (``[[classes]]``); the fields are
        `CellClass`'s.

    Raises
    ------
    SettingsError
        If the file cannot be read or a class is not valid.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise SettingsError(f"cannot be read ({error.strerror})", "Check the path.", path) from error
    except ValueError as error:
        raise SettingsError(f"is neither JSON nor TOML ({error})", "Correct the syntax.", path) from error
    if not isinstance(content, dict) or not isinstance(content.get("classes"), list):
        raise SettingsError("has no list named classes", 'Write {"classes": [{"id": …, "name": …, "color": …}]}.', path)
    try:
        return TAXONOMY.with_classes(class_from_dict(value) for value in content["classes"])
    except SettingsError as error:
        raise SettingsError(error.cause, error.remedy, path) from error
