"""A simulated gateway in simulated time: above its capacity it answers as much in time as at its capacity."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import pytest

from serving.core.access import Caller
from serving.core.admission import Admission, Place
from serving.core.backlog import Backlog, Entry
from serving.core.errors import OverloadedError
from tests.support.clock import Clock

THREADS = 2
MEAN_SECONDS = 0.0133
CAPACITY = THREADS / MEAN_SECONDS
"""Requests per second."""
CALLER = Caller("a")


@dataclass(eq=False)
class Request:
    """A request that was admitted."""

    came: float
    place: Place
    counted: AbstractContextManager[Entry]
    entry: Entry = field(default_factory=Entry)


@dataclass
class Gateway:
    """Threads that work in the order in which requests came, and give up what is too late."""

    deadline: float
    spread: float
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    clock: Clock = field(default_factory=Clock)
    waiting: deque[Request] = field(default_factory=deque)
    working: list[tuple[float, int, Request, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.backlog = Backlog(self.clock.perf_counter)
        self.admission = Admission(
            max_requests=64, max_bytes=10**9, timeout_seconds=self.deadline, backlog=self.backlog
        )

    def run(self, rate: float, seconds: float) -> float:
        """Send requests, and return how many per second were answered in time; `seconds` has their latencies."""
        for arrival in self._arrivals(rate, seconds):
            self._work_until(arrival)
            self.clock.now = arrival
            try:
                place = self.admission.enter(CALLER, 1, lambda: None)
            except OverloadedError:
                continue
            place.run()
            request = Request(arrival, place, self.backlog.entry(CALLER, "net", 1))
            request.entry = request.counted.__enter__()
            self.waiting.append(request)
            self._start()
        return len(self.seconds) / seconds

    def _arrivals(self, rate: float, seconds: float) -> Iterator[float]:
        now = 0.0
        while (now := now + self.chance.expovariate(rate)) < seconds:
            yield now

    def _work_until(self, now: float) -> None:
        while self.working and self.working[0][0] <= now:
            self.clock.now, _, request, seconds = heapq.heappop(self.working)
            if self.clock.now - request.came <= self.deadline:
                request.entry.worked = seconds
                self.seconds.append(self.clock.now - request.came)
            self._leave(request)
            self._start()

    def _start(self) -> None:
        while self.waiting and len(self.working) < THREADS:
            request = self.waiting.popleft()
            if self.clock.now - request.came > self.deadline:
                self._leave(request)
                continue
            seconds = MEAN_SECONDS * self.chance.lognormvariate(-(self.spread**2) / 2, self.spread)
            heapq.heappush(self.working, (self.clock.now + seconds, id(request), request, seconds))

    def _leave(self, request: Request) -> None:
        request.counted.__exit__(None, None, None)
        request.place.leave()


@pytest.mark.parametrize("spread", [0.1, 1.0])
@pytest.mark.parametrize("deadline", [30.0, 0.3, 0.1])
@pytest.mark.parametrize("times", [1.5, 3])
def test_excess_load_costs_no_goodput(times: float, deadline: float, spread: float) -> None:
    at_capacity = Gateway(deadline, spread).run(CAPACITY, 20)
    overloaded = Gateway(deadline, spread)
    goodput = overloaded.run(times * CAPACITY, 20)
    assert goodput > 0.95 * at_capacity
    assert np.percentile(overloaded.seconds, 99) < deadline
