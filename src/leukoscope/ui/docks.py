"""Our docks in napari's window: opened once each, brought to the front, and tabs where they do not fit."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

__all__ = ["DOCKS", "Docked", "open_dock", "tabify_if_tight"]

DOCKS = {
    "Analyze": "analyze:AnalyzeWidget",
    "Counts": "counts:CountsWidget",
    "Cells": "gallery:GalleryWidget",
    "Review": "review_dock:ReviewWidget",
    "Retrain": "retrain_dock:RetrainWidget",
    "Outlines": "outlining:OutlinesWidget",
    "Spikes": "spikes:SpikesWidget",
}
"""The widget of each dock, by the name that the manifest gives it."""

_TITLE = "{} (Leukoscope)"  # as napari's menu calls them: one that it has opened is found, and it finds ours
SPARE_PX = 160  # texts that come later: a verdict of two lines, a status


class Docked(QWidget):
    """A widget of ours in a dock, which becomes a tab when it is first shown where there is no room below the others.

    Parameters
    ----------
    viewer : napari.Viewer, optional
        Whose window keeps the size that it has now.
    """

    def __init__(self, viewer: Any = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        window = None if viewer is None else _window(viewer)
        self._height: int | None = None if window is None else window.height()
        self._placed = window is None

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Find a place, once; where the user moves the dock later, it stays."""
        super().showEvent(event)
        dock = self.parent()
        if isinstance(dock, QDockWidget):
            dock.setWindowTitle(dock.objectName().removesuffix(_TITLE.format("")))  # what a tab has room for
        if not self._placed:
            # Later: a window that is busy showing a dock must not have its docks rearranged.
            QTimer.singleShot(0, self.find_place)

    def find_place(self) -> None:
        """Become a tab where there is no room, unless it was looked for before; the window keeps its height."""
        if self._placed or self._height is None:
            return
        self._placed = True
        if tabify_if_tight(self, self._height):
            QTimer.singleShot(0, self._keep_height)

    def _keep_height(self) -> None:
        window = self.window()
        window.resize(window.width(), self._height)


def open_dock(viewer: Any, name: str, front: bool = True) -> Any:
    """Open a dock of ours, or show the one there is.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        Of `DOCKS`.
    front : bool
        Bring it before the docks that it shares its place with.

    Returns
    -------
    QWidget
        What is in the dock.
    """
    title = _TITLE.format(name)
    widget = viewer.window.dock_widgets.get(title)
    before = None
    if widget is None:
        before = _in_front(_window(viewer))
        module, made = DOCKS[name].split(":")
        widget = getattr(import_module(f".{module}", __package__), made)(viewer)
        viewer.window.add_dock_widget(widget, name=title)
        if _window(viewer).isVisible():
            widget.find_place()
    dock = widget.parent()
    dock.setVisible(True)
    if front:
        dock.raise_()
    else:
        for other in before or ():
            other.raise_()
    return widget


def tabify_if_tight(widget: QWidget, height: int) -> bool:
    """Make a widget's dock a tab of the last of ours beside it, where a window has not the height for all of them.

    napari puts docks one below the other, and Qt lets the window grow, beyond the screen if need be.

    Parameters
    ----------
    widget : QWidget
        In a dock.
    height : int
        Of the window as it is to be, px.

    Returns
    -------
    bool
        Whether it is a tab now.
    """
    dock, window = widget.parent(), widget.window()
    if not isinstance(dock, QDockWidget) or not isinstance(window, QMainWindow) or dock.isFloating():
        return False
    beside = [other for other in _ours(window) if window.dockWidgetArea(other) == window.dockWidgetArea(dock)]
    beside = [other for other in beside if other is not dock and not other.isFloating() and not other.isHidden()]
    column: dict[frozenset[QDockWidget], int] = {}
    for other in (dock, *beside):
        tabs = frozenset((other, *window.tabifiedDockWidgets(other)))
        column[tabs] = max(column.get(tabs, 0), other.minimumSizeHint().height())
    if not beside or sum(column.values()) + SPARE_PX <= height:
        return False
    window.tabifyDockWidget(beside[-1], dock)
    dock.raise_()
    return True


def _window(viewer: Any) -> QMainWindow:
    window: QMainWindow = getattr(viewer, "__wrapped__", viewer).window._qt_window  # plugins get a proxy
    return window


def _ours(window: QMainWindow) -> list[QDockWidget]:
    suffix = _TITLE.format("")
    return [dock for dock in window.findChildren(QDockWidget) if getattr(dock, "name", "").endswith(suffix)]


def _in_front(window: Any) -> list[QDockWidget]:
    return [dock for dock in _ours(window) if not dock.isHidden() and not dock.visibleRegion().isEmpty()]
