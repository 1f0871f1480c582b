"""A function of many items in threads: results in order, few items in memory, exceptions in their place."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from keras_archs.batch import in_order as in_order_module
from keras_archs.batch.in_order import in_order


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_results_are_in_the_order_of_the_items(threads: int) -> None:
    first_may_end = threading.Event()

    def compute(item: int) -> int:
        if item == 0 and threads > 1:
            assert first_may_end.wait(10)
        if item == threads:
            first_may_end.set()
        return item * item

    assert list(in_order(compute, range(100), threads=threads)) == [item * item for item in range(100)]


def test_items_are_taken_when_a_thread_needs_one() -> None:
    taken: list[int] = []
    all_taken, go_on = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            if len(taken) == 4:
                all_taken.set()
            yield item

    def compute(item: int) -> int:
        assert go_on.wait(10)
        return item

    results = in_order(compute, items(), threads=4)
    first: list[int] = []
    consumer = threading.Thread(target=lambda: first.append(next(results)))
    consumer.start()
    assert all_taken.wait(10)
    assert taken == [0, 1, 2, 3]
    go_on.set()
    consumer.join()
    results.close()
    assert first == [0]


def test_threads_go_on_while_the_caller_is_busy_but_not_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_order_module, "_WAITING_RESULTS", 5)
    taken: list[int] = []
    enough = threading.Event()

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            if item == 6:
                enough.set()
            yield item

    results = in_order(lambda item: item, items(), threads=2)
    assert next(results) == 0
    assert enough.wait(10)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("in-order")]
    results.close()
    assert not any(thread.is_alive() for thread in threads)
    assert taken == list(range(7))  # one that was asked for, five that wait, and one that has no room


def test_an_exception_is_raised_after_the_results_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("the network is gone")

    results = in_order(lambda item: item, items(), threads=2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the network is gone"):
        next(results)

    results = in_order(lambda item: 1 // (3 - item), range(100), threads=2)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_items_give_no_results() -> None:
    assert list(in_order(lambda item: item, [], threads=3)) == []
