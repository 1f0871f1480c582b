"""The event loop leaves threads that compute on their cores, except while it refuses requests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest

from serving.core import priority
from serving.core.priority import LoopPriority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has policies of threads")


@pytest.fixture
def thread() -> Iterator[Executor]:
    """A thread whose policy may change."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


def policy() -> int:
    return os.sched_getscheduler(0)


def test_the_loop_and_threads_that_start_later_wait_for_the_end_of_a_slice(thread: Executor) -> None:
    def started_later() -> int:
        with ThreadPoolExecutor(1) as another:
            return another.submit(policy).result()

    before = policy()
    thread.submit(LoopPriority).result()
    assert thread.submit(policy).result() == os.SCHED_BATCH
    assert thread.submit(started_later).result() == os.SCHED_BATCH
    assert policy() == before


def test_the_loop_waits_no_more_while_requests_are_refused(thread: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(priority, "URGENT_SECONDS", 0.02)

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        of_loop = LoopPriority()
        for _ in range(2):  # a second overload is as urgent as the first
            of_loop.refused()
            assert policy() == os.SCHED_OTHER
            busy_until = loop.time() + 5 * priority.URGENT_SECONDS
            while loop.time() < busy_until:
                of_loop.refused()
                await asyncio.sleep(0)
                assert policy() == os.SCHED_OTHER
            deadline = loop.time() + 10
            while policy() != os.SCHED_BATCH:
                assert loop.time() < deadline
                await asyncio.sleep(0)

    thread.submit(asyncio.run, scenario()).result()


def test_a_system_that_forbids_it_does_not_prevent_serving(thread: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    async def scenario() -> None:
        LoopPriority().refused()

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    before = thread.submit(policy).result()
    thread.submit(asyncio.run, scenario()).result()
    assert thread.submit(policy).result() == before
