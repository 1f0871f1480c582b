"""Threads and memory that clients share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Generic, TypeVar

from serving.core.workers import Timed

SHARE: Final = 0.8
"""Part of the memory of a `FairPool` that one client may take."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Prepared(Generic[Result]):
    """A task whose memory is known.

    Attributes:
        memory: Bytes that the work takes; at most `SHARE` of the memory of the pool.
        work: Does the work, given a function that returns True once the result is not wanted: any exception may end the
            work then.
    """

    memory: int
    work: Callable[[Callable[[], bool]], Result]


@dataclass(eq=False)
class _Job:
    """A task that waits or runs."""

    number: int
    """Place in the order in which tasks came."""
    prepare: Callable[[], Prepared[Any]]
    client: str
    prepared: Prepared[Any] | None = None
    cancelled: bool = False
    future: Future[tuple[float, Any, float]] = field(default_factory=Future)

    @property
    def memory(self) -> int:
        """Bytes that the task takes; 0 until it is prepared, which takes little."""
        return self.prepared.memory if self.prepared else 0

    def is_cancelled(self) -> bool:
        return self.cancelled


class FairPool:
    """Threads and memory that clients share, so that no client takes all of them.

    The next task is from the client with the fewest running tasks; among equals, from the client that was served
    longest ago. A client has at most `workers` tasks running, which take at most `SHARE` of the memory. One more thread
    and the rest of the memory are left to other clients.

    A task waits until there is enough memory for it. Others may start before it, but only in memory that it will leave
    free, so that they do not delay it.

    When the caller gives up, waiting tasks never start, and running tasks are told.
    """

    def __init__(self, workers: int, memory: int, name: str) -> None:
        """Create the pool.

        Args:
            workers: Tasks of one client that may run at the same time; at least 1.
            memory: Bytes that the running tasks of all clients may take together.
            name: Prefix of the names of the threads.
        """
        self._executor = ThreadPoolExecutor(workers + 1, thread_name_prefix=name)
        self._workers = workers
        self._memory = memory
        self._lock = threading.Lock()
        self._numbers = count()
        self._waiting: dict[str, deque[_Job]] = {}  # by client; the client that was served last is last
        self._running: list[_Job] = []
        # The first task that waits for memory, and the tasks that ran when it began to wait.
        self._reserved: tuple[_Job, list[_Job]] | None = None
        # Each task comes with a turn of a thread. Turns in which no task could start are repeated when one ends.
        self._missed_turns = 0
        self._is_closed = False

    async def run(self, tasks: Sequence[Callable[[], Prepared[Result]]], client: str) -> Timed[Result]:
        """Run tasks; after an exception, or when the caller is cancelled, give up the tasks that have not ended.

        Args:
            tasks: At least one function, which runs on a thread of the pool and tells the memory of its task.
            client: Who asks; any text that tells clients apart.
        """
        submitted = time.perf_counter()
        with self._lock:
            jobs = [_Job(next(self._numbers), task, client) for task in tasks]
            self._waiting.setdefault(client, deque()).extend(jobs)
        self._give_turns(len(jobs))
        try:
            done = [await asyncio.wrap_future(job.future) for job in jobs]
        finally:
            self._give_up([job for job in jobs if job.future.cancelled() or not job.future.done()])
        return Timed.of(submitted, done)

    def close(self) -> None:
        """Wait for running tasks; waiting tasks never start."""
        with self._lock:
            self._is_closed = True
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _give_turns(self, number: int) -> None:
        with self._lock:
            for _ in range(0 if self._is_closed else number):
                self._executor.submit(self._take_turn)

    def _take_turn(self) -> None:
        """Run one task, or none if none may start."""
        while job := self._start():
            started = time.perf_counter()
            try:
                prepared = job.prepared or job.prepare()
                if not (job.prepared or self._allot(job, prepared)):
                    continue
                result = prepared.work(job.is_cancelled)
            except BaseException as error:  # noqa: BLE001  the caller gets it
                self._end(job)
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(error)
            else:
                self._end(job)
                if job.future.set_running_or_notify_cancel():
                    job.future.set_result((started, result, time.perf_counter()))
            return

    def _start(self) -> _Job | None:
        """Take the next task from the queue; None if no task may start."""
        with self._lock:
            job = self._choose()
            if job is not None:
                self._remove(job)
                self._running.append(job)
                if job.client in self._waiting:
                    self._waiting[job.client] = self._waiting.pop(job.client)
            elif self._waiting:
                self._missed_turns += 1
            return job

    def _choose(self) -> _Job | None:
        running = Counter(job.client for job in self._running)
        heads = [self._waiting[client][0] for client in sorted(self._waiting, key=running.__getitem__)]
        first = [self._reserved[0]] if self._reserved else []
        for job in first + heads:
            if running[job.client] < self._workers and self._fits(job):
                return job
        return None

    def _remove(self, job: _Job) -> None:
        """Take a task out of the queue, if it is there."""
        queue = self._waiting.get(job.client, deque())
        if job in queue:
            queue.remove(job)
            if not queue:
                del self._waiting[job.client]
        if self._reserved and self._reserved[0] is job:
            self._reserved = None

    def _fits(self, job: _Job) -> bool:
        """Whether there is enough memory for a task; if only others have it, keep it for this task when they end."""
        taken = sum(other.memory for other in self._running if other.client == job.client)
        if taken + job.memory > SHARE * self._memory:
            return False
        if sum(other.memory for other in self._running) + job.memory > self._memory:
            self._reserved = self._reserved or (job, list(self._running))
            return False
        if self._reserved is None or self._reserved[0] is job:
            return True
        first, ahead = self._reserved
        beside = sum(other.memory for other in self._running if other not in ahead)
        return beside + job.memory + first.memory <= self._memory

    def _allot(self, job: _Job, prepared: Prepared[Any]) -> bool:
        """Give a running task its memory; put the task back if there is not enough memory now."""
        with self._lock:
            self._running.remove(job)
            job.prepared = prepared
            if job.cancelled:
                return False
            if self._fits(job):
                self._running.append(job)
                return True
            queue = self._waiting.setdefault(job.client, deque())
            earlier = sum(other.number < job.number for other in queue)
            queue.insert(earlier, job)
            return False

    def _end(self, job: _Job) -> None:
        with self._lock:
            self._running.remove(job)
        self._repeat_missed_turns()

    def _give_up(self, jobs: Sequence[_Job]) -> None:
        if jobs:
            with self._lock:
                for job in jobs:
                    job.cancelled = True
                    self._remove(job)
            self._repeat_missed_turns()

    def _repeat_missed_turns(self) -> None:
        with self._lock:
            repeated = min(self._missed_turns, self._workers + 1)  # no more tasks than threads can start
            self._missed_turns -= repeated
        self._give_turns(repeated)
