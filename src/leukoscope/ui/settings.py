"""The plugin's settings, as edited in napari's Preferences, and the defaults that follow from them."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "UserSettings",
    "default_output",
    "follow_model",
    "plugin_settings",
    "prefer_case_reader",
    "prefer_model",
    "remember",
    "user_settings",
]


@dataclass(frozen=True)
class UserSettings:
    """What the user set under Preferences, Leukoscope.

    Attributes
    ----------
    segmenter, model, device, profile : str
        Defaults of the Analyze widget.
    output : str
        Folder for cases; empty means beside the slide.
    reviewer : str
        Kept with every correction; never empty.
    thumbnail : int
        Size of the gallery's thumbnails, px.
    sort, by_class : str, bool
        The gallery's order.
    keys : mapping of str to str
        Keys by class, as the user typed them; see `keys.checked_keys`.
    """

    segmenter: str = "spike"
    model: str = "blood"
    device: str = "auto"
    profile: str = "blood"
    output: str = ""
    reviewer: str = ""
    thumbnail: int = 96
    sort: str = "uncertainty"
    by_class: bool = True
    keys: Mapping[str, str] = field(default_factory=dict)


def user_settings() -> UserSettings:
    """Read the settings as they are now; defaults where napari is older than 0.9 and knows no plugin settings."""
    plugin = plugin_settings()
    if plugin is None:
        return UserSettings(reviewer=_login())
    analysis, review, gallery = plugin.analysis, plugin.review, plugin.gallery
    return UserSettings(
        segmenter=analysis.segmenter,
        model=analysis.model,
        device=analysis.device,
        profile=analysis.profile,
        output=analysis.output,
        reviewer=review.reviewer.strip() or _login(),
        thumbnail=gallery.thumbnail,
        sort=gallery.sort,
        by_class=gallery.by_class,
        keys=plugin.keys.model_dump(),
    )


def plugin_settings() -> Any | None:
    """Give napari's settings of this plugin; None where napari knows none, or those of another version of it."""
    try:
        from napari.settings import get_plugin_settings

        plugin = get_plugin_settings("leukoscope")
    except (ImportError, KeyError):
        return None
    return plugin if all(hasattr(plugin, part) for part in ("analysis", "review", "gallery", "keys")) else None


def remember(**values: Any) -> None:
    """Keep how the user has left the gallery, for the next time; napari writes it to its settings."""
    plugin = plugin_settings()
    if plugin is not None:
        for name, value in values.items():
            setattr(plugin.gallery, name, value)


def prefer_model(folder: Path) -> bool:
    """Choose the model of the next analysis, and of those after it; False where napari knows no plugin settings."""
    plugin = plugin_settings()
    if plugin is not None:
        plugin.analysis.model = str(folder)
    return plugin is not None


def follow_model(callback: Callable[..., None]) -> None:
    """Have a bound method called when another model is chosen; it is held weakly."""
    plugin = plugin_settings()
    if plugin is not None:
        plugin.analysis.events.model.connect(callback)


def default_output(slide_address: str) -> Path:
    """Choose the folder for a slide's case: the user's, else the slide's own where it can be written, else the home.

    Parameters
    ----------
    slide_address : str
        What `open_slide` took.
    """
    chosen = user_settings().output.strip()
    if chosen:
        return Path(chosen).expanduser()
    parent = Path(slide_address).parent
    # The bundled sample lies in the installed package, which is no place for results.
    packaged = Path(__file__).parents[1] in parent.parents or parent.name == "sample_data"
    if parent.is_dir() and os.access(parent, os.W_OK) and not packaged:
        return parent
    return Path.home() / "Leukoscope"


def prefer_case_reader() -> None:
    """Have napari open ``*.leuko`` folders with Leukoscope without asking; an own choice of the user is kept.

    napari asks whenever two plugins accept folders, and its own reader accepts every folder.
    """
    from napari.settings import get_settings

    plugins = get_settings().plugins
    pattern = f"*.leuko{os.sep}"
    if pattern not in plugins.extension2reader:
        plugins.extension2reader = {**plugins.extension2reader, pattern: "leukoscope"}


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        return "reviewer"
