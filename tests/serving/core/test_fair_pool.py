"""Clients share threads and memory, and work that is no longer wanted frees its place."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from serving.core.access import Caller
from serving.core.fair_pool import FairPool, Prepared, light

MEMORY = 100


class Work:
    """Tasks that wait for each other's signals.

    Attributes:
        prepared: Names of the tasks whose memory is known, in order.
        begun: Names of the tasks that began, in order.
        told: Names of the tasks that were told that their result is not wanted.
    """

    def __init__(self) -> None:
        self.prepared: list[str] = []
        self.begun: list[str] = []
        self.told: list[str] = []
        self._may_end = threading.Event()
        self._changed = threading.Condition()

    def task(self, name: str, memory: int = 0, *, waits: bool = True) -> Callable[[], Prepared[str]]:
        """Return a task that waits for `release`, or until it is told that its result is not wanted."""

        def work(is_cancelled: Callable[[], bool]) -> str:
            with self._changed:
                self.begun.append(name)
                self._changed.notify_all()
            while waits and not self._may_end.wait(0.005):
                if is_cancelled():
                    with self._changed:
                        self.told.append(name)
                        self._changed.notify_all()
                    raise InterruptedError
            return name

        def prepare() -> Prepared[str]:
            with self._changed:
                self.prepared.append(name)
                self._changed.notify_all()
            return Prepared(memory, work)

        return prepare

    def release(self) -> None:
        """Let the tasks end."""
        self._may_end.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` is true; it is looked at when a list changes."""

        def wait() -> None:
            with self._changed:
                assert self._changed.wait_for(condition, 20)

        await asyncio.to_thread(wait)


@contextmanager
def pool(workers: int) -> Iterator[tuple[FairPool, Work]]:
    made, work = FairPool(workers, MEMORY, "test"), Work()
    try:
        yield made, work
    finally:
        work.release()
        made.close()


def test_results_come_in_the_order_of_the_tasks() -> None:
    async def scenario() -> None:
        with pool(2) as (shared, work):
            timed = await shared.run([work.task(str(number), waits=False) for number in range(20)], Caller("a"))
            assert timed.results == [str(number) for number in range(20)]
            assert timed.queue >= 0 and timed.busy >= 0

    asyncio.run(scenario())


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_client_with_much_work_leaves_a_thread_to_others(workers: int) -> None:
    async def scenario() -> None:
        with pool(workers) as (shared, work):
            greedy = asyncio.create_task(shared.run([work.task(f"a{number}") for number in range(20)], Caller("a")))
            await work.until(lambda: len(work.begun) == workers)
            for number in range(3):
                answer = await shared.run([work.task(f"b{number}", waits=False)], Caller("b"))
                assert answer.results == [f"b{number}"]
            assert sum(name.startswith("a") for name in work.begun) == workers
            work.release()
            assert len((await greedy).results) == 20

    asyncio.run(scenario())


def test_clients_take_turns() -> None:
    async def scenario() -> None:
        with pool(1) as (shared, work):
            first = asyncio.create_task(shared.run([work.task("a0"), work.task("a1"), work.task("a2")], Caller("a")))
            await work.until(lambda: work.begun == ["a0"])
            second = asyncio.create_task(shared.run([work.task("b0")], Caller("b")))
            await work.until(lambda: work.begun == ["a0", "b0"])
            others = [asyncio.create_task(shared.run([work.task(name)], Caller(name))) for name in ("c", "d")]
            await asyncio.sleep(0)
            work.release()
            await asyncio.gather(first, second, *others)
            assert sorted(work.begun[2:4]) != ["a1", "a2"]

    asyncio.run(scenario())


def test_work_of_a_client_that_left_never_begins_or_is_told() -> None:
    async def scenario() -> None:
        with pool(2) as (shared, work):
            leaving = asyncio.create_task(shared.run([work.task(f"a{number}") for number in range(10)], Caller("a")))
            await work.until(lambda: len(work.begun) == 2)
            leaving.cancel()
            await work.until(lambda: sorted(work.told) == ["a0", "a1"])
            assert (await shared.run([work.task("a10", waits=False)], Caller("a"))).results == ["a10"]
            assert sorted(work.begun) == ["a0", "a1", "a10"]

    asyncio.run(scenario())


def test_after_a_failure_the_other_tasks_are_given_up() -> None:
    def failing() -> Prepared[str]:
        raise KeyError("no such picture")

    async def scenario() -> None:
        with pool(1) as (shared, work):
            with pytest.raises(KeyError, match="no such picture"):
                await shared.run([failing, work.task("a1"), work.task("a2")], Caller("a"))
            assert (await shared.run([work.task("a3", waits=False)], Caller("a"))).results == ["a3"]
            assert "a2" not in work.begun

    asyncio.run(scenario())


def test_running_tasks_fit_into_the_memory() -> None:
    async def scenario() -> None:
        with pool(8) as (shared, work):
            tasks = [asyncio.create_task(shared.run([work.task(name, 40)], Caller(name))) for name in "abcd"]
            await work.until(lambda: len(work.begun) == 2)
            assert (await shared.run([work.task("small", 20, waits=False)], Caller("small"))).results == ["small"]
            assert len(work.begun) == 3
            work.release()
            await asyncio.gather(*tasks)
            assert len(work.begun) == 5

    asyncio.run(scenario())


def test_a_client_with_large_tasks_leaves_memory_to_others() -> None:
    async def scenario() -> None:
        with pool(8) as (shared, work):
            greedy = asyncio.create_task(shared.run([work.task(f"a{number}", 40) for number in range(9)], Caller("a")))
            await work.until(lambda: len(work.begun) == 2)
            for number in range(3):
                await shared.run([work.task(f"b{number}", 20, waits=False)], Caller("b"))
            assert work.begun[2:] == ["b0", "b1", "b2"]
            work.release()
            await greedy

    asyncio.run(scenario())


def test_a_large_task_is_not_delayed_by_smaller_tasks_that_came_later() -> None:
    async def scenario() -> None:
        with pool(1) as (shared, work):
            running = asyncio.create_task(shared.run([work.task("running", 60)], Caller("a")))
            await work.until(lambda: work.begun == ["running"])
            others = [
                asyncio.create_task(shared.run([work.task(name, memory)], Caller(name)))
                for name, memory in {"large": 80, "too large beside it": 30, "fits beside it": 15}.items()
            ]
            await work.until(lambda: work.begun == ["running", "fits beside it"])
            running.cancel()
            await work.until(lambda: work.begun == ["running", "fits beside it", "large"])
            work.release()
            await asyncio.gather(*others)

    asyncio.run(scenario())


def test_a_large_task_that_is_given_up_delays_nobody() -> None:
    async def scenario() -> None:
        with pool(1) as (shared, work):
            running = asyncio.create_task(shared.run([work.task("running", 60)], Caller("a")))
            await work.until(lambda: work.begun == ["running"])
            large = asyncio.create_task(shared.run([work.task("large", 80)], Caller("b")))
            smaller = asyncio.create_task(shared.run([work.task("smaller", 30)], Caller("c")))
            await work.until(lambda: work.prepared == ["running", "large", "smaller"])
            large.cancel()
            await work.until(lambda: work.begun == ["running", "smaller"])
            work.release()
            await asyncio.gather(running, smaller)

    asyncio.run(scenario())


def test_a_model_with_much_work_leaves_a_thread_to_others_of_the_same_caller() -> None:
    async def scenario() -> None:
        with pool(2) as (shared, work):
            heavy = [work.task(f"heavy{number}") for number in range(20)]
            greedy = asyncio.create_task(shared.run(heavy, Caller("a"), "heavy"))
            await work.until(lambda: len(work.begun) == 2)
            for number in range(3):
                await shared.run([work.task(f"light{number}", waits=False)], Caller("a"), "light")
            assert work.begun[2:] == ["light0", "light1", "light2"]
            work.release()
            await greedy

    asyncio.run(scenario())


def test_threads_are_shared_by_weight() -> None:
    async def scenario() -> None:
        with pool(4) as (shared, work):
            first = asyncio.create_task(shared.run([work.task("first")] * 4, Caller("first")))
            await work.until(lambda: len(work.begun) == 4)
            others = [
                asyncio.create_task(shared.run([work.task(caller.name)] * 9, caller))
                for caller in (Caller("light"), Caller("heavy", weight=3))
            ]
            await work.until(lambda: len(work.begun) == 5)
            await asyncio.sleep(0)  # until both wait
            first.cancel()
            await work.until(lambda: len(work.begun) == 9)
            assert (work.begun[4:].count("light"), work.begun[4:].count("heavy")) == (1, 4) or (
                work.begun[4:].count("light"),
                work.begun[4:].count("heavy"),
            ) == (2, 3)
            work.release()
            await asyncio.gather(*others)

    asyncio.run(scenario())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_threads_give_way_to_the_event_loop() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    async def scenario() -> None:
        with pool(1) as (shared, _):
            before = niceness()
            assert (await shared.run([light(niceness)], Caller("a"))).results[0] > before
            assert niceness() == before

    asyncio.run(scenario())


def test_work_whose_deadline_has_passed_never_begins() -> None:
    async def scenario() -> None:
        with pool(1) as (shared, work):
            running = asyncio.create_task(shared.run([work.task("running")], Caller("a")))
            await work.until(lambda: work.begun == ["running"])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await shared.run([work.task("late")], Caller("a"))
            assert shared.waiting == 0
            work.release()
            await running
            await shared.run([work.task("next", waits=False)], Caller("a"))
            assert work.begun == ["running", "next"]

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(20))
def test_every_task_ends_whatever_the_others_do(seed: int) -> None:
    chance = random.Random(seed)

    async def client(shared: FairPool, work: Work, name: str) -> None:
        for _ in range(10):
            tasks = [
                work.task(f"{name}{number}", chance.choice([0, 1, 30, 60, 80]), waits=False)
                for number in range(chance.randint(1, 4))
            ]
            try:
                async with asyncio.timeout(chance.choice([0.001, 10])):
                    await shared.run(tasks, Caller(name))
            except TimeoutError:
                pass

    async def scenario() -> None:
        with pool(chance.randint(1, 3)) as (shared, work):
            async with asyncio.timeout(20):
                await asyncio.gather(*(client(shared, work, name) for name in "abcde"))
                last = await shared.run([work.task("last", 80, waits=False)], Caller("f"))
            assert last.results == ["last"]

    asyncio.run(scenario())
