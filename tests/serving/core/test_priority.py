"""Threads of the gateway are not driven from their cores by each request that arrives."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.core.priority import let_finish

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has policies of threads")


def policy() -> int:
    return os.sched_getscheduler(0)


def test_threads_that_start_later_wait_for_a_running_slice_too() -> None:
    def started_later() -> int:
        with ThreadPoolExecutor(1) as another:
            return another.submit(policy).result()

    before = policy()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(let_finish).result()
        assert thread.submit(policy).result() == os.SCHED_BATCH
        assert thread.submit(started_later).result() == os.SCHED_BATCH
    assert policy() == before


def test_a_system_that_forbids_it_does_not_prevent_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    let_finish()
