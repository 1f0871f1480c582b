"""Settings that nobody sets follow from what the process may use (see `tests/runtimes/test_machine.py`)."""

from __future__ import annotations

import pytest

from keras_archs.runtimes.machine import usable_cores, usable_memory
from serving.run import serve
from serving.settings import Settings


def test_the_default_memory_for_models_is_half_of_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().memory_limit_mb == usable_memory() // 2 // 10**6
    monkeypatch.setattr("serving.settings.usable_memory", lambda: 2 * 10**9)
    assert Settings().memory_limit_mb == 1000
    monkeypatch.setattr("serving.settings.usable_memory", lambda: 1000)
    assert Settings().memory_limit_mb == 1
    assert Settings(memory_limit_mb=300).memory_limit_mb == 300


def test_threads_streams_and_workers_follow_from_the_cores_or_from_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cores = usable_cores()
    settings = Settings()
    assert (settings.threads, settings.streams, settings.workers) == (cores, cores, 2 * cores)
    monkeypatch.setenv("KERAS_ARCHS_THREADS", "5")
    settings = Settings()
    assert (settings.threads, settings.streams, settings.workers) == (5, 5, 10)
    settings = Settings(threads=3, streams=1, workers=7)
    assert (settings.threads, settings.streams, settings.workers) == (3, 1, 7)


@pytest.mark.parametrize(("cores", "processes", "pending"), [(1, 1, 64), (2, 1, 64), (64, 1, 1024), (64, 4, 256)])
def test_more_requests_may_wait_where_there_are_more_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, pending: int
) -> None:
    monkeypatch.setattr("serving.settings.usable_cores", lambda: cores)
    assert Settings(processes=processes).max_pending == pending
    assert Settings(processes=processes, max_pending=7).max_pending == 7


def test_an_invalid_number_of_threads_is_one_error() -> None:
    with pytest.raises(ValueError, match=r"^setting threads \(KERAS_ARCHS_THREADS\): [^;]*; got 0$"):
        serve(threads=0)
