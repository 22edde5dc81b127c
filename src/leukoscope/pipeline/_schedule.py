"""The same block function on threads, processes or dask workers; results in order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from leukoscope.errors import SettingsError

__all__ = ["SCHEDULERS", "check_scheduler", "in_order", "open_executor"]

SCHEDULERS = ("threads", "processes", "dask")

T = TypeVar("T")
R = TypeVar("R")


def check_scheduler(scheduler: str | Executor | None, workers: int | None) -> None:
    """Raise SettingsError where `open_executor` would for want of a known scheduler or of workers."""
    if workers is not None and workers < 1:
        raise SettingsError(f"{workers} workers cannot work", "Give 1 or more.")
    if not (scheduler is None or isinstance(scheduler, Executor) or scheduler in SCHEDULERS or "://" in scheduler):
        raise SettingsError(f"unknown scheduler {scheduler!r}", f"Use one of {', '.join(SCHEDULERS)}.")


@contextmanager
def open_executor(scheduler: str | Executor | None, workers: int | None) -> Iterator[tuple[Executor, int]]:
    """Open the workers that a name stands for.

    Parameters
    ----------
    scheduler : str, concurrent.futures.Executor or None
        "threads" (the default), "processes", "dask" (the client in use, else a local cluster), the address of a dask
        scheduler ("tcp://host:8786"), or an executor that is used and left open.
    workers : int or None
        How many; by default as many as there are processor cores.

    Yields
    ------
    executor, workers

    Raises
    ------
    SettingsError
        For an unknown name, no workers, or dask without its distributed part.
    """
    check_scheduler(scheduler, workers)
    count = workers or os.cpu_count() or 1
    if isinstance(scheduler, Executor):
        yield scheduler, count
    elif scheduler in (None, "threads"):
        pool = ThreadPoolExecutor(count, "leukoscope", initializer=_share_cores, initargs=(count,))
        with _closing(pool) as executor:
            yield executor, count
    elif scheduler == "processes":
        # spawn: a forked child would inherit torch's and Qt's threads in an undefined state
        context = multiprocessing.get_context("spawn")
        with _closing(
            ProcessPoolExecutor(count, mp_context=context, initializer=_share_cores, initargs=(count,))
        ) as executor:
            yield executor, count
    else:
        with _dask(str(scheduler), count) as (executor, dask_workers):
            yield executor, dask_workers


def in_order(executor: Executor, function: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[tuple[T, R]]:
    """Run a function over items, `ahead` of them at a time, and give results in the items' order.

    Bounded, so that neither results nor pixels pile up when the reader of results is slow.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    source = iter(items)
    try:
        for item in source:
            waiting.append((item, executor.submit(function, item)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


@contextmanager
def _closing(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _dask(scheduler: str, workers: int) -> Iterator[tuple[Executor, int]]:
    try:
        from distributed import Client, get_client
    except ImportError:
        raise SettingsError(
            "dask's distributed scheduler is not installed", "Run: pip install 'leukoscope[distributed]'"
        ) from None
    if scheduler != "dask":
        try:
            client: Any = Client(scheduler, timeout="10s")
        except OSError as error:
            raise SettingsError(f"no dask scheduler answers at {scheduler} ({error})", "Check the address.") from None
        own = client
    else:
        try:
            client, own = get_client(), None
        except ValueError:  # nobody has made a client
            client = own = Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    try:
        count = sum(w["nthreads"] for w in client.scheduler_info(n_workers=-1)["workers"].values()) or workers
        with client.get_executor(pure=False) as executor:
            yield executor, count
    finally:
        if own is not None:
            own.close()


def _share_cores(workers: int) -> None:
    # Workers share the cores already: torch's own threads on top would only get in each other's way. OpenMP keeps the
    # number per calling thread, so a caller's own torch work is not slowed.
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
