"""The Cells dock: what it shows of the viewer's case, and what its keys and drops do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QMenu, QWidget

from leukoscope.errors import LeukoscopeError

from .._state import Session, session_of
from .._ties import Ties
from ..keys import NEXT_KEY, alike_key
from ..layers import slide_of
from ..notify import reporting_errors, say, show_error_line
from ..review import go_to_next_uncertain, redo, undo
from .alike import Alike
from .cells import CellTable
from .follow import SlideLink
from .pane import GalleryPane

__all__ = ["GalleryWidget"]

NOBODY = "No cell is meant: select some that are in sight, or point at one."
GATHER_MS = 400  # cells that an analysis brings are shown together


class GalleryWidget(GalleryPane):
    """Thumbnails of the cells that a viewer's case shows; follows every analysis and correction.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer whose case it shows.
    """

    def __init__(self, napari_viewer: Any, parent: QWidget | None = None) -> None:
        super().__init__(napari_viewer, parent)
        self.session: Session = session_of(napari_viewer)
        self.link = SlideLink(self.session, self)
        self.alike = Alike(self.session, self)
        self.page.insertWidget(self.page.indexOf(self.grid), self.alike)
        self._following = False
        self._gather = QTimer(self)
        self._gather.setSingleShot(True)
        self._gather.setInterval(GATHER_MS)
        self._gather.timeout.connect(self._read_more)
        self._connect()
        self._on_case()

    def _connect(self) -> None:
        self.grid.class_key.connect(self.relabel)
        self.grid.command_key.connect(self._on_command)
        self.grid.chosen_changed.connect(self._on_chosen)
        self.controls.changed.connect(self._rearrange)
        self.chips.filtered.connect(self._rearrange)
        self.chips.dropped.connect(self.relabel)
        self.refresh.clicked.connect(self.arrange)
        self.all.clicked.connect(self.show_all)
        self.more.clicked.connect(lambda *_: self.more_like_this())
        self.grid.menu_asked.connect(self._show_menu)
        self.alike.found.connect(self._on_alike)
        self.alike.left.connect(self._on_all)
        self.alike.resized.connect(self.arrange)
        self.link.picked.connect(self._on_picked)
        self._ties = Ties(
            self,
            (self.session.case_changed, self._on_case),
            (self.session.cells_added, self._on_added),
            (self.session.relabeled, self._on_relabeled),
            (self.session.keys_changed, self._on_keys),
        )
        self.destroyed.connect(self.link.detach)

    # -- what is shown --------------------------------------------------------------------------------------------

    def _on_case(self, *_: Any) -> None:
        case = self.session.case
        self.link.attach()
        self.alike.reset()
        self.controls.offer_likeness(False)
        slide = None if case is None else slide_of(self.session.slide)
        self._read_cells(slide)
        self._on_keys()
        says = []
        if case is not None and case.readonly:
            says.append("Read only: another program holds the case. Corrections are off.")
        if case is not None and slide is None:
            says.append("The slide is not where it was: Find slide… in the Counts dock opens it.")
        self.notice.setText("\n".join(says))
        self.notice.setVisible(bool(says))

    def _on_added(self, *_: Any) -> None:
        self.link.attach()
        self.alike.forget()
        if not self._gather.isActive():
            self._gather.start()

    def _read_more(self) -> None:
        """Read the cells that came in; the thumbnails of those before still hold."""
        before = None if self.model.table is None else self.model.table.likeness
        self._read_cells(self.slide, keep=True, likeness=before)
        self.alike.ask_again()

    def _read_cells(self, slide: Any, keep: bool = False, likeness: Any = None) -> None:
        case = self.session.case
        chosen = self.model.cells(self.grid.chosen())
        self._following = True
        try:
            if case is None or not len(case):
                self.model.show_cells(None)
            else:
                table = CellTable.of(case)
                if likeness is not None:  # cells that were drawn since are compared in a moment
                    table.likeness = np.pad(likeness, (0, len(table) - len(likeness)), constant_values=np.nan)
                self.model.show_cells(table, None, case.taxonomy)
        finally:
            self._following = False
        self.cards.clear()
        self.read_from(slide, None if case is None else case.mpp, keep)
        self._count()
        self.arrange(chosen=chosen)

    def arrange(self, *_: Any, chosen: Iterable[int] | None = None) -> None:
        """Filter and sort anew; what is selected stays so where it is still shown."""
        cells = self.model.cells(self.grid.chosen()) if chosen is None else chosen
        filters = replace(self.controls.filters, labels=self.chips.checked, nearest=self.alike.number.value())
        order = self.controls.order
        self._following = True  # the slide's selection is not the gallery's to change now
        try:
            try:
                self.model.arrange(filters, **order)
            except LeukoscopeError as error:  # the profile's file has gone, so no verdict could flip
                show_error_line(error)
                self.model.arrange(filters, **{**order, "by": "uncertainty"})
            self.grid.choose(self.model.places(cells))
        finally:
            self._following = False
        self._say()

    def _rearrange(self) -> None:
        """Show another order, or other cells: from the first on, or where the selected ones are."""
        self.arrange()
        self.grid.scrollToTop()
        chosen = self.grid.chosen()
        if len(chosen):
            self.grid.scrollTo(self.model.index(int(chosen[0])))

    def show_all(self) -> None:
        """Show every cell: filter by nothing, and look for none alike."""
        for chip in self.chips.chips.values():
            chip.setChecked(False)
        self.alike.leave()
        self.controls.clear_filters()

    def _on_keys(self) -> None:
        self.grid.keys = dict(self.session.keys)
        self.grid.next_key = NEXT_KEY
        key = self.grid.alike_key = alike_key(self.model.taxonomy)
        self.more.setText(f"More like this ({key.upper()})" if key else "More like this")
        self.more.setToolTip("The cells most like the selected ones, or the one under the mouse, to label together")
        self._count()

    def _count(self) -> None:
        table = self.model.table
        self.chips.show_classes(self.model.taxonomy, self.session.keys, {} if table is None else table.counts())

    def _say(self) -> None:
        table, case = self.model.table, self.session.case
        shown, chosen = self.model.rowCount(), len(self.grid.chosen())
        if case is None:
            self.grid.message = "No case is open: analyze a slide, or open a *.leuko folder."
        elif table is None:
            self.grid.message = "No cells yet: they appear here as the analysis finds them."
        else:
            self.grid.message = "No cell passes the filters. Show all clears them."
        total = 0 if table is None else int((~table.removed).sum())
        text = f"{shown:,} of {total:,} cells" if shown != total else f"{total:,} cells"
        self.status.setText(f"{text}, {chosen:,} selected" if chosen else text)
        self.all.setEnabled(shown != total)
        self.refresh.setEnabled(bool(self.model.moved))
        self.grid.viewport().update()

    # -- correcting -----------------------------------------------------------------------------------------------

    def target_cells(self) -> list[int]:
        """Find the cells that a key means.

        Returns
        -------
        list of int
            The ids of the selected cells where one of them is in sight, else of the cell under the mouse. A selection
            that was scrolled away is thus never relabeled by accident.
        """
        chosen, seen = self.grid.chosen(), self.grid.items_in_sight()
        if len(chosen) and np.any((chosen >= seen.start) & (chosen < seen.stop)):
            return self.model.cells(chosen)
        return [self.model.cell(self.grid.hovered)] if self.grid.hovered >= 0 else []

    def relabel(self, label: str, cells: Iterable[int] | None = None) -> None:
        """Give cells a label, by default those that a key means; in the case first, then, by its signal, here."""
        meant = self.target_cells() if cells is None else list(cells)
        if self.session.case is None:
            return
        if not meant:
            say(NOBODY)
            return
        with reporting_errors():
            self.session.relabel(meant, label)

    def confirm(self) -> None:
        """Say of the cells that a key means that they are what they are labeled."""
        meant = self.target_cells()
        if meant:
            with reporting_errors():
                self.session.confirm(meant)
        elif self.session.case is not None:
            say(NOBODY)

    def _on_command(self, name: str) -> None:
        if name == "alike":
            self.more_like_this()
        elif name == "confirm":
            self.confirm()
        else:
            {"next": go_to_next_uncertain, "undo": undo, "redo": redo}[name](self.session)

    def _on_relabeled(self, ids: list[int]) -> None:
        case, table = self.session.case, self.model.table
        if case is None or table is None or (ids and ids[-1] > len(table)):
            return
        labels = case.labels(ids)
        self.model.relabeled(ids, [labels[cell] for cell in ids], self._reviewed(ids))
        self._count()
        self._say()

    def _reviewed(self, ids: list[int]) -> Any:
        layer, rows = self.session.cells, np.asarray(ids) - 1
        # the session has just written this column; the case would make its whole table for it
        source = layer.features["source"] if layer is not None else self.session.case.all_cells["source"]  # type: ignore[union-attr]
        return source.to_numpy()[rows] == "reviewer"

    # -- cells alike ----------------------------------------------------------------------------------------------

    def more_like_this(self, cells: Iterable[int] | None = None) -> None:
        """Show the cells most like some, by default those that a key means, the most alike first."""
        meant = self.target_cells() if cells is None else list(cells)
        if meant:
            self.alike.ask(meant)
        else:
            say(NOBODY)

    def _on_alike(self, likeness: Any) -> None:
        table = self.model.table
        if table is not None and len(table) == len(likeness):
            table.likeness = likeness
            self.controls.offer_likeness(True)
            self.arrange(chosen=self.alike.asked)
            self.grid.scrollToTop()

    def _on_all(self) -> None:
        if self.model.table is not None:
            self.model.table.likeness = None
        self.controls.offer_likeness(False)
        self._rearrange()

    def _show_menu(self, place: Any) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        action = menu.addAction(self.more.text())
        action.setEnabled(bool(self.target_cells()))
        action.triggered.connect(lambda *_: self.more_like_this())
        menu.popup(place)

    # -- the same selection on the slide --------------------------------------------------------------------------

    def _on_chosen(self) -> None:
        if not self._following:
            self.link.select(self.model.cells(self.grid.chosen()))
        self._say()

    def _on_picked(self, cells: list[int]) -> None:
        self._following = True
        try:
            places = self.model.places(cells)
            self.grid.choose(places, scroll=True)
        finally:
            self._following = False
        self._say()
        if cells and not len(places):
            self.status.setText(f"Cell {cells[0]} is not shown: the filters leave it out")
