"""Blasts by region: whether the smear tells the same everywhere, and a map of where its blasts lie."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QModelIndex, QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel

from leukoscope.errors import LeukoscopeError
from leukoscope.hematology import Dispersion, DrivingRegion, Profile, Regions, by_region, square_regions

from .._napari import camera
from .._state import Session
from .._ties import Ties
from ..notify import reporting_errors, show_error_line
from .density_layer import KINDS, density_layer, lay_density
from .places import Counted, counted_cells, square_name
from .rows import RowsModel, rows_view
from .tab import Tab, label, line

__all__ = ["RegionsTab"]

ACROSS = 4  # squares along the longer side, unless the user sets their size
CERTAIN = 0.05


class RegionsTab(Tab):
    """The blast percentage square by square, warnings, and the density map."""

    title = "Regions"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.side = QDoubleSpinBox()
        self.side.setRange(0.01, 100.0)
        self.side.setDecimals(2)
        self.side.setSuffix(" mm")
        self.side.setToolTip("Width of the squares that the slide is cut into")
        self.side.valueChanged.connect(self._on_side)
        self.warning = label(bold=True)
        self.dispersion = label()
        self.model = RowsModel(("Square", "Cells", "Blasts", "%", "95 % CI", ""), left=(0, 5))
        self.table = rows_view(self.model)
        self.table.setToolTip("Click a square to go there; bold ones drive the count")
        self.table.clicked.connect(self._go)
        self.map = QCheckBox("Map of")
        self.map.setToolTip("Lay the density over the slide (Gaussian, σ 150 µm), where at least ten cells carry it")
        self.map.toggled.connect(self._on_map)
        self.kind = QComboBox()
        for kind, name in KINDS.items():
            self.kind.addItem(name, kind)
        self.kind.currentIndexChanged.connect(lambda *_: self._lay())
        self.regions: Regions | None = None
        self._own_side = False
        self._columns, self._corner = 1, (0, 0)
        self.side.setMinimumWidth(110)
        self.page.addWidget(line(QLabel("Squares of"), self.side, QLabel(), self.map, self.kind))
        for widget in (self.warning, self.dispersion):
            self.page.addWidget(widget)
        self.page.addWidget(self.table, stretch=1)
        self.page.addWidget(
            label("Squares are named as on a chessboard, A1 at the top left. Follows the profile of the case.")
        )
        self._ties = Ties(self, (session.viewer.layers.events.removed, self._on_removed))

    def on_case(self) -> None:
        """Choose squares that suit the slide; the map went with the case before."""
        self._own_side = False
        with QSignalBlocker(self.map):
            self.map.setChecked(density_layer(self.session) is not None)

    def compute(self) -> None:
        """Count by region, and draw the map anew."""
        case = self.session.case
        self.regions = None
        if case is not None and self.session.reading is None:
            try:
                profile = case.profile()
                cells = counted_cells(self.session, profile)
                if not self._own_side:
                    self._fit(cells, case.mpp)
                self._count(cells, profile, case.mpp)
            except LeukoscopeError as error:
                show_error_line(error)
        self._show(self.regions)
        self._lay()

    def _fit(self, cells: Counted, mpp: float | None) -> None:
        if len(cells.x) and mpp:
            reach = max(np.ptp(cells.x), np.ptp(cells.y)) * mpp / 1000
            with QSignalBlocker(self.side):
                self.side.setValue(round(reach / ACROSS * 1.001 + 0.005, 2))

    def _count(self, cells: Counted, profile: Profile, mpp: float | None) -> None:
        side = self.side.value() * 1000 / (mpp or 1.0)
        self.side.setSuffix(" mm" if mpp else " thousand px")
        if len(cells.x):
            corner_x, corner_y = (int(np.floor(at.min() / side)) for at in (cells.x, cells.y))
            self._corner = (corner_y, corner_x)
            self._columns = int(np.floor(cells.x.max() / side)) - corner_x + 1
            self.regions = by_region(square_regions(cells.x, cells.y, side), cells.is_blast, profile)

    def _show(self, found: Regions | None) -> None:
        driving = {} if found is None else {warning.region.index: warning for warning in found.driving}
        self.warning.setText("\n".join(f"⚠ {self._warns(one)}" for one in list(driving.values())[:3]))
        self.warning.setVisible(bool(driving))
        self.dispersion.setText("No cells are counted yet." if found is None else _disperses(found.dispersion))
        rows = () if found is None else found.regions
        texts = [
            (
                self._name(row.index),
                f"{row.cells:,}",
                f"{row.blasts:,}",
                f"{row.percent:.1f}",
                f"{row.low:.1f}–{row.high:.1f}",
                "drives the count" if row.index in driving else "",
            )
            for row in rows
        ]
        self.model.show_rows(texts, bold=[i for i, row in enumerate(rows) if row.index in driving])

    def _name(self, index: int) -> str:
        return square_name(*divmod(index, self._columns))

    def _warns(self, warning: DrivingRegion) -> str:
        square, cells = self._name(warning.region.index), warning.region.cells
        said = f"Without {square} ({cells:,} cells) blasts are {warning.percent:.1f} %"
        if warning.finding is not warning.without:
            return f"{said}: {warning.without.value} instead of {warning.finding.value}."
        return f"{said}: outside the interval of the whole count."

    def _go(self, index: QModelIndex) -> None:
        if self.regions is None or self.session.cells is None:
            return
        row, column = divmod(self.regions.regions[index.row()].index, self._columns)
        mpp = self.session.case.mpp if self.session.case is not None else None
        side = self.side.value() * 1000 / (mpp or 1.0)
        middle = [(first + at + 0.5) * side for first, at in zip(self._corner, (row, column), strict=True)]
        view = camera(self.session.viewer)
        view.center = self.session.cells.data_to_world(middle)
        height = self.session.viewer.window._qt_viewer.canvas.size[0]
        view.zoom = 0.9 * height / (side * float(self.session.cells.scale[0]))

    def _on_side(self, *_: object) -> None:
        self._own_side = True
        self._later.start()

    def _on_map(self, on: bool) -> None:
        if on:
            self._lay()
        elif (layer := density_layer(self.session)) is not None:
            self.session.viewer.layers.remove(layer)

    def _lay(self) -> None:
        case = self.session.case
        if not self.map.isChecked() or case is None or self.session.reading is not None:
            return
        with reporting_errors():
            lay_density(self.session, case.profile(), self.kind.currentData())
            return
        with QSignalBlocker(self.map):
            self.map.setChecked(False)

    def _on_removed(self, event: object) -> None:
        if self.map.isChecked() and density_layer(self.session) is None:
            with QSignalBlocker(self.map):
                self.map.setChecked(False)


def _disperses(found: Dispersion) -> str:
    if not found.freedom:
        return "All counted cells lie in one square: nothing to compare."
    how = f"p = {found.p:.2g}, {found.factor:.1f} times the variance of chance"
    if found.p >= CERTAIN:
        return f"Squares differ no more than chance lets them ({how})."
    wide = max(found.factor, 1.0) ** 0.5
    return f"Squares differ by more than chance ({how}): take the interval as {wide:.1f} times as wide as it says."
