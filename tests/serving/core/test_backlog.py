"""The expected duration of a request follows what requests take, and how many are ahead of it."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from serving.core.access import Caller
from serving.core.backlog import Backlog
from tests.support.clock import Clock

A, B = Caller("a"), Caller("b")


def experienced(clock: Clock, *, parallel: int = 1, seconds: float = 0.1, model: str = "net") -> Backlog:
    """Return a backlog that has seen requests of which `parallel` run at a time, each `seconds` of work."""
    backlog = Backlog(clock.perf_counter)
    for _ in range(200):
        with ExitStack() as together:
            entries = [together.enter_context(backlog.entry(A, model, 1)) for _ in range(parallel)]
            clock.now += seconds
            for entry in entries:
                entry.worked = seconds
    return backlog


def test_without_other_requests_nothing_is_expected() -> None:
    assert experienced(Clock()).expected_seconds(A, "net") == 0


def test_the_expectation_grows_with_the_requests_ahead() -> None:
    backlog = experienced(Clock())
    with backlog.entry(A, "net", 1), backlog.entry(A, "net", 3):
        assert backlog.requests == 2
        assert backlog.expected_seconds(A, "net") == pytest.approx(0.5, rel=0.05)
        assert backlog.expected_seconds(A, "net", images=6) == pytest.approx(1.0, rel=0.05)
    assert backlog.requests == 0
    assert backlog.expected_seconds(A, "net") == 0


def test_what_runs_in_parallel_shortens_it() -> None:
    alone, parallel = experienced(Clock()), experienced(Clock(), parallel=4)
    with alone.entry(A, "net", 7), parallel.entry(A, "net", 7):
        assert parallel.expected_seconds(A, "net") < 0.6 * alone.expected_seconds(A, "net")


def test_a_heavy_model_counts_for_more() -> None:
    clock = Clock()
    backlog = experienced(clock, model="light", seconds=0.01)
    for _ in range(200):
        with backlog.entry(A, "heavy", 1) as entry:
            clock.now += 1.0
            entry.worked = 1.0
    with backlog.entry(A, "light", 1):
        before = backlog.expected_seconds(A, "light")
    with backlog.entry(A, "heavy", 1):
        assert backlog.expected_seconds(A, "light") == pytest.approx(50 * before, rel=0.05)


def test_of_the_work_of_others_no_more_is_ahead_than_the_caller_has_itself() -> None:
    backlog = experienced(Clock())
    with ExitStack() as waiting:
        for _ in range(50):
            waiting.enter_context(backlog.entry(A, "net", 1))
        assert backlog.expected_seconds(B, "net") == pytest.approx(0.2, rel=0.05)
        assert backlog.expected_seconds(Caller("c", weight=0.1), "net") == pytest.approx(1.1, rel=0.05)
        assert backlog.expected_seconds(A, "net") == pytest.approx(5.1, rel=0.05)


def test_it_follows_when_requests_take_longer() -> None:
    clock = Clock()
    backlog = experienced(clock)
    for _ in range(200):
        with backlog.entry(A, "net", 1) as entry:
            clock.now += 0.4
            entry.worked = 0.1
    with backlog.entry(A, "net", 1):
        assert backlog.expected_seconds(A, "net") == pytest.approx(0.8, rel=0.05)


def test_missed_deadlines_make_it_longer_and_clients_that_leave_early_do_not_make_it_shorter() -> None:
    clock = Clock()
    backlog = experienced(clock)
    for seconds in (0.0, 3.0):
        for _ in range(200):
            with pytest.raises(asyncio.CancelledError), backlog.entry(A, "net", 1):
                clock.now += seconds
                raise asyncio.CancelledError
        with backlog.entry(A, "net", 1):
            expected = backlog.expected_seconds(A, "net")
        assert expected == pytest.approx(0.2 if seconds == 0 else 6.0, rel=0.05)


def test_caution_grows_when_requests_take_unequal_times() -> None:
    clock = Clock()
    backlog = experienced(clock)
    assert backlog.caution == pytest.approx(1.5)
    for number in range(200):
        with backlog.entry(A, "net", 1) as entry:
            clock.now += 0.02 if number % 2 else 0.18
            entry.worked = 0.1
    assert 2 < backlog.caution < 4


def test_one_long_wait_says_little() -> None:
    clock = Clock()
    backlog = experienced(clock)
    with backlog.entry(A, "net", 1) as entry:
        clock.now += 60
        entry.worked = 0.1
    with backlog.entry(A, "net", 1):
        assert backlog.expected_seconds(A, "net") < 0.25
