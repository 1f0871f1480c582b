"""Every image is worked on once, and threads end whatever happens."""

from __future__ import annotations

import threading

import pytest

from keras_archs.training.data.parallel import in_threads


@pytest.mark.parametrize(("count", "batch", "threads"), [(0, 1, 2), (1, 4, 3), (10, 3, 4), (100, 1, None)])
def test_every_position_is_in_exactly_one_batch(count: int, batch: int, threads: int | None) -> None:
    seen: list[range] = []
    in_threads(seen.append, count, batch=batch, threads=threads)
    assert sorted(position for positions in seen for position in positions) == list(range(count))
    assert all(1 <= len(positions) <= batch for positions in seen)


def test_the_last_report_of_progress_is_that_of_all_images() -> None:
    reports: list[int] = []
    in_threads(lambda positions: None, 7, on_progress=reports.append)
    assert reports[-1] == 7


def test_an_exception_ends_the_work_and_is_raised() -> None:
    seen: list[int] = []

    def work(positions: range) -> None:
        seen.append(positions[0])
        if positions[0] == 3:
            raise MemoryError("no memory for the fourth image")

    with pytest.raises(MemoryError, match="the fourth image"):
        in_threads(work, 100_000, threads=2)
    assert len(seen) < 100_000
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("images")]
