"""Work on many images in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from keras_archs.runtimes.machine import usable_cores

_SECONDS_BETWEEN_REPORTS = 0.1


def in_threads(
    work: Callable[[range], None],
    count: int,
    *,
    batch: int = 1,
    threads: int | None = None,
    on_progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Work on images in batches; each thread takes the next batch when it has finished its last one.

    An exception, that of Ctrl-C too, ends the threads after their batches, and is raised here.

    Args:
        work: Called with the positions of the images of a batch, in several threads at a time.
        count: Number of images.
        batch: Largest number of images in a call.
        threads: Number of threads; None for two per core that the process may use.
        on_progress: Called on the calling thread from time to time with the number of images so far.
    """
    positions = _Positions(count, batch)

    def run() -> None:
        while taken := positions.take():
            work(taken)
            positions.finish(taken)

    workers = threads or 2 * usable_cores()
    with ThreadPoolExecutor(workers, thread_name_prefix="images") as executor:
        try:
            pending = {executor.submit(run) for _ in range(workers)}
            while pending:
                done, pending = wait(pending, _SECONDS_BETWEEN_REPORTS, FIRST_EXCEPTION)
                for future in done:
                    future.result()
                on_progress(positions.done)
        finally:
            positions.stop()


class _Positions:
    """Positions from 0 to `count`, which threads take in batches."""

    def __init__(self, count: int, batch: int) -> None:
        self._count = count
        self._batch = batch
        self._next = 0
        self._lock = threading.Lock()
        self.done = 0

    def take(self) -> range:
        """Return the next batch; empty if there is none."""
        with self._lock:
            start = self._next
            self._next = min(start + self._batch, self._count)
            return range(start, self._next)

    def finish(self, taken: range) -> None:
        """Count a batch as done."""
        with self._lock:
            self.done += len(taken)

    def stop(self) -> None:
        """Leave no batch to take."""
        with self._lock:
            self._next = self._count
