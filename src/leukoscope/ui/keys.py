"""Which key gives which class: the taxonomy's, unless the user has set others under Preferences."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from leukoscope.classification.taxonomy import Taxonomy
from leukoscope.errors import SettingsError

from .settings import plugin_settings, user_settings

__all__ = ["NEXT_KEY", "RESERVED", "checked_keys", "class_keys", "follow_keys"]

NEXT_KEY = "Q"
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
        If a key is no letter from a to z, means something else, or is given to two classes.
    """
    remedy = "Set another under File, Preferences, Leukoscope, Keys; until then the keys are the usual ones."
    labels: dict[str, str] = {}
    for label, cell_class in taxonomy.items():
        key = chosen.get(label, cell_class.key).strip().lower()
        if not key:
            continue
        if len(key) != 1 or not "a" <= key <= "z":
            raise SettingsError(f"{key!r} is no key for {cell_class.name}: not a letter from a to z", remedy)
        if key in RESERVED:
            raise SettingsError(f"the key {key.upper()} for {cell_class.name} {RESERVED[key]}", remedy)
        if key in labels:
            names = f"{taxonomy.name(labels[key])} and {cell_class.name}"
            raise SettingsError(f"the key {key.upper()} is set for {names}", remedy)
        labels[key] = label
    return labels


def class_keys(taxonomy: Taxonomy, complain: Callable[[str], None]) -> dict[str, str]:
    """Give the labels by key as the user has set them; the taxonomy's, and a complaint, where those are not valid."""
    try:
        return checked_keys(user_settings().keys, taxonomy)
    except SettingsError as error:
        complain(str(error))
        return taxonomy.by_key()


def follow_keys(callback: Callable[..., None]) -> None:
    """Have a bound method called when a key is changed under Preferences; it is held weakly."""
    group = getattr(plugin_settings(), "keys", None)
    if group is not None:
        group.events.connect(callback)
