"""Circuit breaker and retry budget."""

from __future__ import annotations

from serving.engines.tf_serving.breaker import CircuitBreaker, RetryBudget
from tests.support.clock import Clock


def test_a_circuit_opens_after_consecutive_failures_and_allows_one_trial_call(clock: Clock) -> None:
    breaker = CircuitBreaker(threshold=3, cooldown=5)

    def is_open(at: float) -> bool:
        clock.now = at
        return breaker.is_open

    for outcome in (breaker.fail, breaker.fail, breaker.succeed, breaker.fail, breaker.fail):
        outcome()
        assert not is_open(at=0)
    breaker.fail()
    assert [is_open(at=0), is_open(at=4), is_open(at=5)] == [True, True, False]
    breaker.begin()
    assert is_open(at=5)  # for all calls but the trial
    breaker.fail()
    assert [is_open(at=9), is_open(at=10)] == [True, False]
    breaker.begin()
    breaker.succeed()
    assert not is_open(at=10)


def test_retries_are_limited_to_a_share_of_all_calls() -> None:
    budget = RetryBudget(tokens=20)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(10):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]
