"""Threads for inference, which would block the event loop and releases the GIL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Timed(Generic[Result]):
    """Results of a pool, and the time that they took.

    Attributes:
        results: Results in the order of the items.
        queue: Seconds until the first item began.
        busy: Seconds from then until the last item finished.
    """

    results: list[Result]
    queue: float
    busy: float

    @classmethod
    def of(cls, submitted: float, items: Sequence[tuple[float, Result, float]]) -> Timed[Result]:
        """Sum up items, each with the seconds at which it began and finished, that were submitted at `submitted`."""
        first_start = min(started for started, _, _ in items)
        return cls(
            results=[result for _, result, _ in items],
            queue=first_start - submitted,
            busy=max(finished for _, _, finished in items) - first_start,
        )


class WorkerPool:
    """A fixed number of threads. Work that is cancelled before it begins never runs."""

    def __init__(self, workers: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)

    async def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Timed[Result]:
        """Apply `function` to each item on the pool's threads; after an exception, cancel items that have not begun."""

        def timed(item: Item) -> tuple[float, Result, float]:
            started = time.perf_counter()
            return started, function(item), time.perf_counter()

        submitted = time.perf_counter()
        futures = [self._executor.submit(timed, item) for item in items]
        try:
            # faster than gather() for a single item, which is the usual case
            done = [await asyncio.wrap_future(future) for future in futures]
        finally:
            for future in futures:
                future.cancel()
        return Timed.of(submitted, done)

    def close(self) -> None:
        """Wait for running work and cancel the rest."""
        self._executor.shutdown(wait=True, cancel_futures=True)
