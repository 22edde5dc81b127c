"""Whoever does the work, results come in order, and not too many at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukoscope.errors import SettingsError
from leukoscope.pipeline._schedule import in_order, open_executor


def square(number: int) -> int:
    return number * number


@given(delays=st.lists(st.integers(0, 3), max_size=12), ahead=st.integers(1, 6))
@settings(deadline=None, max_examples=25)
def test_results_keep_the_order_of_items_however_long_each_takes(delays: list[int], ahead: int) -> None:
    def wait(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 1000)
        return item[0]

    with ThreadPoolExecutor(3) as executor:
        items = list(enumerate(delays))
        assert [result for _, result in in_order(executor, wait, items, ahead)] == list(range(len(delays)))


def test_no_more_than_the_allowed_number_is_under_way() -> None:
    submitted = 0

    def items() -> object:
        nonlocal submitted
        for i in range(20):
            submitted += 1
            yield i

    with ThreadPoolExecutor(2) as executor:
        for taken, _ in enumerate(in_order(executor, square, items(), ahead=4), start=1):
            assert submitted - taken < 4 + 1


def test_closing_the_stream_drops_what_has_not_started() -> None:
    started = []
    go = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        go.wait(5)
        return item

    with ThreadPoolExecutor(1) as executor:
        go.set()
        stream = in_order(executor, work, range(100), ahead=3)
        next(stream)
        stream.close()
    assert len(started) <= 4


def test_a_failing_item_raises_where_its_result_would_be() -> None:
    def work(item: int) -> int:
        if item == 2:
            raise ValueError("item 2")
        return item

    with ThreadPoolExecutor(2) as executor:
        results = in_order(executor, work, range(5), ahead=2)
        assert [next(results), next(results)] == [(0, 0), (1, 1)]
        with pytest.raises(ValueError, match="item 2"):
            next(results)


@pytest.mark.parametrize("scheduler", [None, "threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_every_scheduler_gives_the_same(scheduler: str | None) -> None:
    with open_executor(scheduler, 2) as (executor, workers):
        assert workers == 2
        assert [r for _, r in in_order(executor, square, range(6), ahead=2)] == [0, 1, 4, 9, 16, 25]


def test_an_executor_of_the_caller_is_used_and_left_open() -> None:
    with ThreadPoolExecutor(1) as mine:
        with open_executor(mine, None) as (executor, _):
            assert isinstance(executor, Executor)
        assert mine.submit(square, 3).result() == 9


def test_an_unknown_scheduler_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingsError, match="threads, processes, dask"), open_executor("slurm", 1):
        pass
