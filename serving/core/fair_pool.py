"""Threads and memory that callers share, for decoding and for inference."""

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

from serving.core.access import Caller
from serving.core.priority import give_way
from serving.core.workers import Timed

SHARE: Final = 0.8
"""Part of the memory of a `FairPool` that one caller may take."""

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


def light(work: Callable[[], Result]) -> Callable[[], Prepared[Result]]:
    """Return a task that takes little memory."""
    return lambda: Prepared(0, lambda _: work())


@dataclass(eq=False)
class _Job:
    """A task that waits or runs."""

    number: int
    """Place in the order in which tasks came."""
    prepare: Callable[[], Prepared[Any]]
    caller: Caller
    kind: str
    prepared: Prepared[Any] | None = None
    cancelled: bool = False
    future: Future[tuple[float, Any, float]] = field(default_factory=Future)

    @property
    def flow(self) -> tuple[str, str]:
        """Name of the caller, and the kind of work: among each other, tasks of a flow start in the order they came."""
        return self.caller.name, self.kind

    @property
    def memory(self) -> int:
        """Bytes that the task takes; 0 until it is prepared, which takes little."""
        return self.prepared.memory if self.prepared else 0

    def is_cancelled(self) -> bool:
        return self.cancelled


class FairPool:
    """Threads and memory that callers share, so that no caller and no kind of work takes all of them.

    The next task is from the caller with the fewest running tasks for its weight, and of the kind of which that caller
    has the fewest running; among equals, from the caller and of the kind served longest ago. So long tasks get no more
    threads than short ones. A caller has at most `workers` tasks of one kind running, and its tasks take at most
    `SHARE` of the memory. One more thread and the rest of the memory are left to others.

    A task waits until there is enough memory for it. Others may start before it, but only in memory that it will leave
    free, so that they do not delay it.

    When the caller gives up, waiting tasks never start, and running tasks are told.
    """

    def __init__(self, workers: int, memory: int, name: str) -> None:
        """Create the pool.

        Args:
            workers: Tasks of one caller and kind that may run at the same time; at least 1.
            memory: Bytes that the running tasks of all callers may take together.
            name: Prefix of the names of the threads.
        """
        self._executor = ThreadPoolExecutor(workers + 1, thread_name_prefix=name, initializer=give_way)
        self._workers = workers
        self._memory = memory
        self._lock = threading.Lock()
        self._numbers = count()
        self._waiting: dict[tuple[str, str], deque[_Job]] = {}  # by flow; the flow that was served last is last
        self._running: list[_Job] = []
        # The first task that waits for memory, and the tasks that ran when it began to wait.
        self._reserved: tuple[_Job, list[_Job]] | None = None
        self._threads = workers + 1
        self._awake = 0  # threads that run a task or look for one
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """Number of tasks that wait."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    @property
    def running(self) -> int:
        """Number of tasks that run."""
        return len(self._running)

    async def run(
        self, tasks: Sequence[Callable[[], Prepared[Result]]], caller: Caller, kind: str = ""
    ) -> Timed[Result]:
        """Run tasks; after an exception, or when the caller is cancelled, give up the tasks that have not ended.

        Args:
            tasks: At least one function, which runs on a thread of the pool and tells the memory of its task.
            caller: Who asks.
            kind: Kind of work, such as the name of a model; any text that tells kinds apart.
        """
        submitted = time.perf_counter()
        with self._lock:
            jobs = [_Job(next(self._numbers), task, caller, kind) for task in tasks]
            self._waiting.setdefault((caller.name, kind), deque()).extend(jobs)
            self._wake()
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

    def _wake(self) -> None:
        """Let a further thread look for a task, if there are a thread and a task that may start; the lock is held."""
        if self._awake < self._threads and not self._is_closed and self._choose() is not None:
            self._awake += 1
            self._executor.submit(self._work)

    def _work(self) -> None:
        """Run tasks until none may start."""
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

    def _start(self) -> _Job | None:
        """Take the next task from the queue; None if no task may start, and the thread sleeps."""
        with self._lock:
            job = None if self._is_closed else self._choose()
            if job is None:
                self._awake -= 1
                return None
            self._remove(job)
            self._running.append(job)
            if job.flow in self._waiting:
                self._waiting[job.flow] = self._waiting.pop(job.flow)
            self._wake()
            return job

    def _choose(self) -> _Job | None:
        by_caller = Counter(job.caller.name for job in self._running)
        by_flow = Counter(job.flow for job in self._running)

        def load(job: _Job) -> tuple[float, int]:
            return by_caller[job.caller.name] / job.caller.weight, by_flow[job.flow]

        heads = sorted((jobs[0] for jobs in self._waiting.values()), key=load)
        first = [self._reserved[0]] if self._reserved else []
        for job in first + heads:
            if by_flow[job.flow] < self._workers and self._fits(job):
                return job
        return None

    def _remove(self, job: _Job) -> None:
        """Take a task out of the queue, if it is there."""
        queue = self._waiting.get(job.flow, deque())
        if job in queue:
            queue.remove(job)
            if not queue:
                del self._waiting[job.flow]
        if self._reserved and self._reserved[0] is job:
            self._reserved = None

    def _fits(self, job: _Job) -> bool:
        """Whether there is enough memory for a task; if only others have it, keep it for this task when they end."""
        taken = sum(other.memory for other in self._running if other.caller.name == job.caller.name)
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
            queue = self._waiting.setdefault(job.flow, deque())
            earlier = sum(other.number < job.number for other in queue)
            queue.insert(earlier, job)
            return False

    def _end(self, job: _Job) -> None:
        with self._lock:
            self._running.remove(job)

    def _give_up(self, jobs: Sequence[_Job]) -> None:
        if jobs:
            with self._lock:
                for job in jobs:
                    job.cancelled = True
                    self._remove(job)
                self._wake()
