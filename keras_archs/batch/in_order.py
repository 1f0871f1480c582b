"""A function of many items, computed in threads, with the results in the order of the items."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from threading import Lock
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_WAITING_RESULTS: Final = 1000
"""Results that may wait for the caller: enough that the threads go on while it writes a file."""


def in_order(
    compute: Callable[[Item], Result], items: Iterable[Item], *, threads: int
) -> Generator[Result, None, None]:
    """Compute a result for each item, several at a time, and yield the results in the order of the items.

    A thread takes an item when it is free, so that no more items are in memory than there are threads. An exception of
    `items` or `compute` is raised in the place of its result, after the results before. When the generator is closed,
    the threads end after the item that they work on.

    Args:
        compute: Computes the result for an item; called by several threads.
        items: The items; the threads take turns with its iterator.
        threads: Number of threads, at least 1.
    """
    remaining = iter(items)
    results: Queue[Future[Result] | None] = Queue(_WAITING_RESULTS)
    taking = Lock()
    is_closed = False

    def take() -> tuple[Item, Future[Result]] | None:
        nonlocal is_closed
        with taking:
            if is_closed:
                return None
            result: Future[Result] = Future()
            try:
                item = next(remaining)
            except StopIteration:
                is_closed = True
                results.put(None)
                return None
            except BaseException as error:  # noqa: BLE001, raised by the caller's thread
                is_closed = True
                result.set_exception(error)
                results.put(result)
                return None
            results.put(result)
            return item, result

    def work() -> None:
        while taken := take():
            item, result = taken
            try:
                result.set_result(compute(item))
            except BaseException as error:  # noqa: BLE001, raised by the caller's thread
                result.set_exception(error)

    with ThreadPoolExecutor(threads, thread_name_prefix="in-order") as executor:
        try:
            for _ in range(threads):
                executor.submit(work)
            while (result := results.get()) is not None:
                yield result.result()
        finally:
            is_closed = True
            while not results.empty():  # a thread may wait for room
                results.get_nowait()
