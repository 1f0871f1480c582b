"""Threads for work that would block the event loop: decoding and inference, which both release the GIL."""

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
    """Results in the order of their items, and where the time went, in seconds."""

    results: list[Result]
    queue: float
    busy: float


class WorkerPool:
    """A fixed number of threads. Work that is cancelled before it began is dropped, not run."""

    def __init__(self, workers: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=name)

    async def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Timed[Result]:
        """Applies `function` to each item on the pool's threads; the first exception is raised, the rest is dropped."""

        def timed(item: Item) -> tuple[float, Result, float]:
            started = time.perf_counter()
            return started, function(item), time.perf_counter()

        submitted = time.perf_counter()
        futures = [self._executor.submit(timed, item) for item in items]
        try:
            done = [await asyncio.wrap_future(future) for future in futures]  # for one item, gather() would take longer
        finally:
            for future in futures:
                future.cancel()
        first_start = min(started for started, _, _ in done)
        return Timed(
            results=[result for _, result, _ in done],
            queue=first_start - submitted,
            busy=max(finished for _, _, finished in done) - first_start,
        )

    def close(self) -> None:
        """Lets running work end and drops the rest."""
        self._executor.shutdown(wait=True, cancel_futures=True)
