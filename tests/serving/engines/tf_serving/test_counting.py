"""When a server is left alone and when a request is tried again, by counting; and how servers are named."""

from __future__ import annotations

import pytest

from serving.engines.tf_serving.breaker import CircuitBreaker, RetryBudget
from serving.engines.tf_serving.pool import Target


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def monotonic(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("serving.engines.tf_serving.breaker.time", made)
    return made


def test_a_circuit_opens_after_failures_in_a_row_and_lets_one_try(clock: Clock) -> None:
    breaker = CircuitBreaker(failures=3, pause=5)

    def is_open(at: float) -> bool:
        clock.now = at
        return breaker.is_open

    for outcome in (breaker.fail, breaker.fail, breaker.succeed, breaker.fail, breaker.fail):
        outcome()
        assert not is_open(at=0)
    breaker.fail()
    assert [is_open(at=0), is_open(at=4), is_open(at=5)] == [True, True, False]
    breaker.begin()
    assert is_open(at=5)  # for all others
    breaker.fail()
    assert [is_open(at=9), is_open(at=10)] == [True, False]
    breaker.begin()
    breaker.succeed()
    assert not is_open(at=10)


def test_retries_are_a_small_part_of_all_calls() -> None:
    budget = RetryBudget(tokens=20)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(10):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("text", "target"), [("tf-serving:8500", Target("tf-serving", 8500)), ("[::1]:1", Target("::1", 1))]
)
def test_a_target_is_a_host_and_a_port(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:x", "host:99999", "host:1/path", "me@host:1"])
def test_anything_else_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Target.parse(text)
