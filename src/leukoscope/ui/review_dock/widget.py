"""The Review dock: its tabs, and which of them has to look at the case again."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from .._state import Session, session_of
from .._ties import Ties
from ..docks import Docked
from .history_tab import HistoryTab
from .readers_tab import ReadersTab
from .regions_tab import RegionsTab
from .sample_tab import SampleTab
from .series_tab import SeriesTab
from .sign_tab import SignTab
from .tab import Tab, label

__all__ = ["ReviewWidget"]


class ReviewWidget(Docked):
    """What comes after a count, and before it is signed; follows the case of a viewer.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose case is reviewed.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.session: Session = session_of(napari_viewer)
        self.notice = label(bold=True)
        self.tabs = QTabWidget()
        self.regions = RegionsTab(self.session)
        self.sample = SampleTab(self.session)
        self.readers = ReadersTab(self.session)
        self.sign = SignTab(self.session)
        self.history = HistoryTab(self.session)
        self.series = SeriesTab(self.session)
        self.all: tuple[Tab, ...] = (
            self.sample,
            self.regions,
            self.readers,
            self.sign,
            self.history,
            self.series,
        )
        for tab in self.all:
            self.tabs.addTab(tab, tab.title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.notice)
        layout.addWidget(self.tabs)
        self.setMinimumWidth(480)
        self._stale: set[Tab] = set()
        self.tabs.currentChanged.connect(self._refresh)
        self._connect()
        self._on_case()

    def show_tab(self, tab: Tab) -> None:
        """Bring a tab to the front."""
        self.tabs.setCurrentWidget(tab)

    def _connect(self) -> None:
        session = self.session
        self._ties = Ties(
            self,
            (session.case_changed, self._on_case),
            (session.cells_added, self._on_change),
            (session.relabeled, self._on_relabeled),
            (session.logged, self._on_change),
            (session.keys_changed, self._on_change),
        )

    def _on_case(self, *_: Any) -> None:
        reading = self.session.reading
        for i, tab in enumerate(self.all):
            self.tabs.setTabEnabled(i, reading is None or tab.during_reading)
            tab.on_case()
        if reading is not None:
            self.show_tab(self.readers)
        whole = self.session.whole
        says = "Read only: another program holds the case." if whole is not None and whole.readonly else ""
        self.notice.setText(says)
        self.notice.setVisible(bool(says))
        self._on_change()

    def _on_relabeled(self, ids: list[int]) -> None:
        for tab in self.all:
            tab.on_relabeled(ids)
        self._on_change()

    def _on_change(self, *_: Any) -> None:
        self._stale = set(self.all)
        self._mark_signed()
        self._refresh()

    def _mark_signed(self) -> None:
        whole = self.session.whole
        done = self.session.reading is None and whole is not None and whole.signed is not None
        self.tabs.setTabText(self.tabs.indexOf(self.sign), f"{self.sign.title} ✓" if done else self.sign.title)

    def _refresh(self, *_: Any) -> None:
        tab: Any = self.tabs.currentWidget()
        if tab in self._stale:
            self._stale.discard(tab)
            tab.refresh()
