"""A small smear, its case made from the truth, and a real viewer."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from smears import small_smear, write_ome_tiff

from leukoscope import open_slide
from leukoscope.cases import Case, CellRow, RunSettings, SlideInfo
from leukoscope.classification import load_model
from leukoscope.segmentation import Masks, outlines

os.environ["NAPARI_CONFIG"] = ""  # tests neither read nor write the user's napari settings

CLASSES = ("blast", "lymphocyte", "neutrophil_segmented", "smudge")
SIZE, MPP = 900, 0.25


def _why_no_viewer() -> str | None:
    try:
        import napari  # noqa: F401
        import qtpy.QtWidgets  # noqa: F401
    except Exception as error:  # qtpy raises its own where no binding is installed
        return f"napari or Qt is not installed ({error})"
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display (run under xvfb-run -a)"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    why = _why_no_viewer()
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.qt)
            if why:
                item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def smear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 225 µm with a dozen white cells."""
    path = tmp_path_factory.mktemp("slide") / "smear.ome.tiff"
    return write_ome_tiff(path, drawn().rgb, mpp=MPP, levels=3)


def drawn(seed: int = 3) -> Any:
    mix = (("blast", 0.4), ("lymphocyte", 0.3), ("neutrophil_segmented", 0.3))
    return small_smear(seed=seed, size=SIZE, mpp=MPP, white_cells=12, mix=mix)


@pytest.fixture(scope="session")
def finished_case(smear: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete case of the smear, its cells those that were drawn; not to be written."""
    return drawn_case(smear, tmp_path_factory.mktemp("cases") / "smear.leuko", model="drawn")


def drawn_case(smear: Path, folder: Path, seed: int = 3, **said: Any) -> Path:
    """Make a case of the cells that were drawn, as if a model had classified them."""
    truth = drawn(seed)
    info = SlideInfo.from_slide(open_slide(smear))
    settings = RunSettings(**{"segmenter": "drawn", "classes": CLASSES, "mpp": MPP, "mpp_source": "metadata"} | said)
    masks = Masks(truth.cells, truth.nuclei, np.ones(int(truth.cells.max()), np.float32), MPP, "given")
    labels = dict(zip(truth.table["cell_id"], truth.table["label"], strict=True)) if "cell_id" in truth.table else {}
    rows = []
    for number, cell in enumerate(outlines.found_cells(masks, origin=(0, 0), scale=1.0), start=1):
        label = labels.get(number, CLASSES[number % 3])
        label = label if label in CLASSES else "smudge"
        sure = 0.55 + 0.4 * (number % 5) / 5
        proba = {name: sure if name == label else (1 - sure) / (len(CLASSES) - 1) for name in CLASSES}
        areas = (cell.cell.area * MPP**2, cell.nucleus.area * MPP**2 if cell.nucleus is not None else 0.0)
        rows.append(CellRow(cell.cell, cell.nucleus, cell.x, cell.y, *areas, cell.score, proba, label))
    with Case.create(folder, info, settings) as case:
        run = case.begin_run(settings, blocks=1)
        case.add_block(run, 0, rows)
        case.finish_run(run, "completed")
    return folder


@pytest.fixture
def case_dir(finished_case: Path, tmp_path: Path) -> Path:
    """A copy of the case that a test may write."""
    return Path(shutil.copytree(finished_case, tmp_path / "smear.leuko"))


@pytest.fixture(scope="session")
def classified_case(smear: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case that says it was made with the shipped model; not to be written."""
    folder = tmp_path_factory.mktemp("classified") / "smear.leuko"
    return drawn_case(smear, folder, model="blood", model_fingerprint=load_model("blood", device="cpu").fingerprint)


@pytest.fixture
def classified_dir(classified_case: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may write."""
    return Path(shutil.copytree(classified_case, tmp_path / "classified" / "smear.leuko"))


@pytest.fixture(scope="module")
def open_viewer(qapp: Any) -> Iterator[Callable[[], Any]]:
    """Make viewers that stay hidden and are closed at the end of the module; a viewer takes a second to make."""
    import napari

    made: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        # the thread that fills the status bar outlives hidden windows
        patch.setattr("napari._qt.threads.status_checker.StatusChecker.start", lambda *_: None)
        # napari collects garbage for every layer that goes: a quarter of a second each
        patch.setattr("napari._vispy.canvas.gc", SimpleNamespace(collect=lambda *_: 0))

        def make() -> Any:
            made.append(napari.Viewer(show=False, show_welcome_screen=False))
            return made[-1]

        yield make
        for viewer in made:
            viewer.close()
        made.clear()
        qapp.processEvents()
        gc.collect()


@pytest.fixture(scope="module")
def shared_viewer(open_viewer: Callable[[], Any]) -> Any:
    return open_viewer()


@pytest.fixture
def viewer(shared_viewer: Any, qapp: Any) -> Iterator[Any]:
    """An empty viewer, with no case."""
    from superqt.utils import WorkerBase

    from leukoscope.ui import session_of

    yield shared_viewer
    WorkerBase.await_workers(60_000)
    qapp.processEvents()
    session_of(shared_viewer).close_case()
    for dock in list(shared_viewer.window.dock_widgets.values()):
        shared_viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
    shared_viewer.layers.clear()
    qapp.processEvents()


@pytest.fixture
def session(viewer: Any, case_dir: Path) -> Any:
    """What the viewer shows: the case of the small smear, unless a module has another."""
    from leukoscope.ui import session_of

    session = session_of(viewer)
    session.open(case_dir)
    return session


def all_blasts(case: Case, slide: Any, outlines: Any, device: str) -> list[CellRow]:
    """Stand in for `reclassify`: new outlines are measured, and are blasts."""
    case.check_slide(slide)
    chances = {label: float(label == "blast") for label in case.settings.classes}
    return [CellRow(o, None, o.centroid.x, o.centroid.y, o.area * MPP**2, 0.0, 1.0, chances, "blast") for o in outlines]


def in_own_window(dock: Any, width: int, height: int) -> Any:
    """Show a dock in a window of its own: those of the tests' viewers stay hidden."""
    from qtpy.QtWidgets import QApplication

    window = dock.parent()
    window.setFloating(True)
    window.resize(width, height)
    window.show()
    QApplication.processEvents()
    return dock


def claims(widget: Any, key: Any, held: Any = None) -> bool:
    """Tell whether a widget keeps a key from the shortcuts of the window, as Qt asks it before."""
    from qtpy.QtCore import QEvent, Qt
    from qtpy.QtGui import QKeyEvent
    from qtpy.QtWidgets import QApplication

    event = QKeyEvent(QEvent.Type.ShortcutOverride, key, held or Qt.KeyboardModifier.NoModifier)
    event.ignore()
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def close_for_good(viewer: Any, dock: Any, qapp: Any) -> None:
    """Close a dock, and have Qt delete it now."""
    window = dock.parent()
    viewer.window.remove_dock_widget(dock)
    for widget in (window, dock):
        widget.deleteLater()
    qapp.sendPostedEvents(None, 52)  # QEvent.DeferredDelete
    qapp.processEvents()


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told, in order."""
    told: list[str] = []
    for kind in ("show_info", "show_warning", "show_error"):
        monkeypatch.setattr(f"napari.utils.notifications.{kind}", told.append)
    return told
