"""Which key gives which class, and which asks for more like it: the usual ones, or the user's under Preferences."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from leukoscope.classification.taxonomy import Taxonomy
from leukoscope.errors import SettingsError

from .settings import plugin_settings, user_settings

__all__ = ["ALIKE", "ALIKE_KEY", "NEXT_KEY", "RESERVED", "alike_key", "checked_keys", "class_keys", "follow_keys"]

NEXT_KEY = "Q"
ALIKE = "more_like_this"
"""What Preferences call the key that asks for the cells most like some."""
ALIKE_KEY = "f"
"""What that key is unless the user has set another."""
RESERVED: Mapping[str, str] = {
    "a": "selects all points in napari",
    "p": "adds points in napari",
    "s": "selects points in napari",
    "v": "shows or hides the layer in napari",
    "z": "moves the view in napari",
    NEXT_KEY.lower(): "goes to the next uncertain cell",
}
"""Letters that mean something else on the cells layer."""


def checked_keys(chosen: Mapping[str, str], taxonomy: Taxonomy) -> dict[str, str]:
    """Lay the user's keys over the taxonomy's.

    Parameters
    ----------
    chosen : mapping of str to str
        Keys by label; "" for none. Classes that are not named keep theirs.
    taxonomy : Taxonomy
        The case's classes.

    Returns
    -------
    dict of str to str
        Labels by key, lower case, in the taxonomy's order.

    Raises
    ------
    SettingsError
        If a key is no letter from a to z, means something else, or is given twice.
    """
    return {key: label for key, label in _checked(chosen, taxonomy).items() if label != ALIKE}


def _checked(chosen: Mapping[str, str], taxonomy: Taxonomy) -> dict[str, str]:
    remedy = "Set another under File, Preferences, Leukoscope, Keys; until then the keys are the usual ones."
    usual = {label: (cell_class.key, cell_class.name) for label, cell_class in taxonomy.items()}
    names = {label: name for label, (_, name) in usual.items()} | {ALIKE: "More like this"}
    labels: dict[str, str] = {}
    for label, (own, name) in (usual | {ALIKE: (ALIKE_KEY, names[ALIKE])}).items():
        key = chosen.get(label, own).strip().lower()
        if not key:
            continue
        if len(key) != 1 or not "a" <= key <= "z":
            raise SettingsError(f"{key!r} is no key for {name}: not a letter from a to z", remedy)
        if key in RESERVED:
            raise SettingsError(f"the key {key.upper()} for {name} {RESERVED[key]}", remedy)
        if key in labels:
            raise SettingsError(f"the key {key.upper()} is set for {names[labels[key]]} and {name}", remedy)
        labels[key] = label
    return labels


def class_keys(taxonomy: Taxonomy, complain: Callable[[str], None]) -> dict[str, str]:
    """Give the labels by key as the user has set them; the taxonomy's, and a complaint, where those are not valid."""
    try:
        return checked_keys(user_settings().keys, taxonomy)
    except SettingsError as error:
        complain(str(error))
        return taxonomy.by_key()


def alike_key(taxonomy: Taxonomy) -> str:
    """Give the key of More like this; "" for none. Where the keys are not valid, a class goes first."""
    try:
        keys = _checked(user_settings().keys, taxonomy)
    except SettingsError:
        keys = {ALIKE_KEY: ALIKE} | taxonomy.by_key()
    return next((key for key, meaning in keys.items() if meaning == ALIKE), "")


def follow_keys(callback: Callable[..., None]) -> None:
    """Have a bound method called when a key is changed under Preferences; it is held weakly."""
    group = getattr(plugin_settings(), "keys", None)
    if group is not None:
        group.events.connect(callback)
