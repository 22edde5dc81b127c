"""An analysis shown in a terminal or a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from leukoscope.errors import SettingsError

from ._events import BlockDone, Finished, Progress, Started

__all__ = ["reporter"]

Report = Callable[[Progress], None]


@contextmanager
def reporter(progress: str | Report | None) -> Iterator[Report]:
    """Give a function that shows events: a caller's own, "rich" (terminal), "tqdm" (terminal, notebook) or none."""
    if progress is None:
        yield lambda event: None
    elif callable(progress):
        yield progress
    elif progress == "rich":
        with _rich() as report:
            yield report
    elif progress == "tqdm":
        with _tqdm() as report:
            yield report
    else:
        raise SettingsError(f"unknown progress {progress!r}", 'Use "rich", "tqdm", a function or None.')


@contextmanager
def _rich() -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[cells]} cells"),
        TimeRemainingColumn(),
    )
    # stderr: the terminal's output proper stays clean for pipes, and so does a log file, which gets no bar at all
    console = Console(stderr=True)
    bar = Bar(*columns, console=console, disable=not console.is_terminal)
    task = bar.add_task("", total=None, cells=0)

    def report(event: Progress) -> None:
        match event:
            case Started():
                bar.start()  # not before: settings that are refused leave one line, not a bar and a line
                name = event.case.path.stem
                bar.update(task, description=name, total=event.blocks, completed=event.done, cells=event.cells)
            case BlockDone():
                bar.update(task, completed=event.done, cells=event.cells)
            case Finished():
                bar.update(task, cells=event.cells)

    try:
        yield report
    finally:
        bar.stop()


@contextmanager
def _tqdm() -> Iterator[Report]:
    from tqdm.auto import tqdm

    with tqdm(unit="block") as bar:

        def report(event: Progress) -> None:
            match event:
                case Started():
                    bar.set_description(event.case.path.stem)
                    bar.reset(total=event.blocks)
                    bar.update(event.done)
                case BlockDone():
                    bar.set_postfix(cells=event.cells, refresh=False)
                    bar.update(event.done - bar.n)
                case Finished():
                    bar.set_postfix(cells=event.cells)

        yield report
